"""The simplest rating model: a mean, and how far each item and each user lies from it.

Source:
    Koren, "Factor in the Neighbors", ACM TKDD 2010, section 2.1: item biases
    first, then user biases of what is left, both shrunk towards 0.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from batch.interactions import Ratings

_ITEM_SHRINKAGE: Final = 25.0  # the paper's λ2 and λ3, in ratings
_USER_SHRINKAGE: Final = 10.0


class Biases(NamedTuple):
    """A predicted rating is mean + user_bias + item_bias.

    Attributes:
        mean: Of all ratings.
        user_bias: (n_users,) 0 where a user has rated nothing.
        item_bias: (n_items,) 0 where nobody has rated an item.
    """

    mean: float
    user_bias: npt.NDArray[np.float64]
    item_bias: npt.NDArray[np.float64]


def fit_biases(ratings: Ratings, n_users: int, n_items: int) -> Biases | None:
    """Return the biases of the data's ratings, None where there are no ratings."""
    if not len(ratings.rating):
        return None
    mean = float(np.mean(ratings.rating, dtype=np.float64))
    rest = ratings.rating - mean
    item_bias = _shrunk_mean(ratings.item_row, rest, n_items, _ITEM_SHRINKAGE)
    rest = rest - item_bias[ratings.item_row]
    user_bias = _shrunk_mean(ratings.user_row, rest, n_users, _USER_SHRINKAGE)
    return Biases(mean, user_bias, item_bias)


def _shrunk_mean(
    rows: npt.NDArray[np.int64], values: npt.NDArray[np.floating], n_rows: int, shrinkage: float
) -> npt.NDArray[np.float64]:
    total = np.bincount(rows, weights=values, minlength=n_rows)
    return total / (shrinkage + np.bincount(rows, minlength=n_rows))
