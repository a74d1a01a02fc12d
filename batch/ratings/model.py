"""A trained rating model: what it holds, what it predicts, how far off it is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from batch.arrays import AnyFloats, Flags, Rows
from batch.interactions.build import Ratings


class Scale(NamedTuple):
    """The ends of the scale; a prediction beyond them is clipped.

    Attributes:
        lowest: 1, or less where the data has it.
        highest: The best rating.
    """

    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Side:
    """Bias and factors of every user, or of every item.

    Attributes:
        is_rated: (n_rows,) False where there is no rating; bias and factors are 0 there.
        bias: (n_rows,) in points of the scale.
        factors: (n_rows, n_factors) float32.
    """

    is_rated: Flags
    bias: AnyFloats
    factors: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RatingModel:
    """Everything that a prediction needs.

    Attributes:
        mean: What is predicted where neither the user nor the item has a rating.
        scale: Where predictions are clipped.
        users: By user row.
        items: By item row.
    """

    mean: float
    scale: Scale
    users: Side
    items: Side

    def predict(self, user_row: Rows, item_row: Rows) -> AnyFloats:
        """Return the (n_pairs,) ratings expected of those users for those items."""
        users, items = self.users, self.items
        shared = np.einsum("ij,ij->i", users.factors[user_row], items.factors[item_row])
        expected = self.mean + users.bias[user_row] + items.bias[item_row] + shared
        predicted: AnyFloats = np.clip(expected, *self.scale)
        return predicted


class PredictionErrors(NamedTuple):
    """How far predictions lie from ratings, in points of the scale.

    Attributes:
        rmse: Root of the mean squared miss.
        mae: Mean absolute miss.
    """

    rmse: float
    mae: float


def misses(model: RatingModel, held_out: Ratings) -> PredictionErrors:
    """Measure a model on ratings that it has not been trained on, at least one."""
    miss = model.predict(held_out.user_row, held_out.item_row) - held_out.rating
    return PredictionErrors(float(np.sqrt(np.mean(miss**2))), float(np.mean(np.abs(miss))))
