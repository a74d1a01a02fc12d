"""A trained rating model: its parameters, its predictions, and their errors."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from batch.arrays import AnyFloats, Flags, Floats, Rows
from batch.interactions.build import Ratings


class Scale(NamedTuple):
    """The ends of the rating scale, to which predictions are clipped.

    Attributes:
        lowest: 1, or the lowest rating in the data where that is below 1.
        highest: The best possible rating.
    """

    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class RatingFactors:
    """Bias and factors of every user, or of every item.

    Attributes:
        is_rated: (n_rows,) False for a row without ratings; its bias and factors are 0.
        bias: (n_rows,) in points of the scale.
        factors: (n_rows, n_factors).
    """

    is_rated: Flags
    bias: AnyFloats
    factors: Floats


@dataclass(frozen=True, slots=True)
class RatingModel:
    """The parameters of a prediction.

    Attributes:
        mean: Prediction where neither the user nor the item has a rating.
        scale: Limits of the predictions.
        users: Bias and factors of each user row.
        items: Bias and factors of each item row.
    """

    mean: float
    scale: Scale
    users: RatingFactors
    items: RatingFactors

    def predict(self, user_row: Rows, item_row: Rows) -> AnyFloats:
        """Return the (n_pairs,) predicted ratings of those users for those items."""
        users, items = self.users, self.items
        products = np.einsum("ij,ij->i", users.factors[user_row], items.factors[item_row])
        expected = self.mean + users.bias[user_row] + items.bias[item_row] + products
        predicted: AnyFloats = np.clip(expected, *self.scale)
        return predicted


class PredictionErrors(NamedTuple):
    """Errors of predicted ratings, in points of the scale.

    Attributes:
        rmse: Root mean squared error.
        mae: Mean absolute error.
    """

    rmse: float
    mae: float


def prediction_errors(model: RatingModel, held_out: Ratings) -> PredictionErrors:
    """Return the errors on held-out ratings, of which there is at least one."""
    error = model.predict(held_out.user_row, held_out.item_row) - held_out.rating
    return PredictionErrors(float(np.sqrt(np.mean(error**2))), float(np.mean(np.abs(error))))
