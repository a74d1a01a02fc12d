"""Popularity added to the scores of a model of factors, as one more factor.

    user   [ factors …, gain ]
    item   [ factors …, its users as a share of the most popular item's ]

The scores of a model grow with what is known of a user; the gain is the same for all. So
popularity counts most for users of few interactions. (In a blend, where each model's scores
are standardised within the user, one share of popularity cannot suit both kinds of users.)
"""

from dataclasses import replace
from typing import Final

import numpy as np

from batch.arrays import Rows
from batch.models.factors import FittedFactors
from batch.models.fold_in import WithConstant, with_column

_N_SCALE_USERS: Final = 1000  # users whose top scores give the unit of the gain


def with_popularity(
    fitted: FittedFactors, n_users: Rows, weight: float, n_threads: int = 0
) -> FittedFactors:
    """Return the model with popularity added to each score.

    Args:
        fitted: Model to add popularity to.
        n_users: (n_items,) users of each item.
        weight: Score added for the most popular item, in units of the mean top score; a
            share of it for the others.
        n_threads: Number of threads; 0 means one for each usable processor.
    """
    share = n_users / max(n_users.max(initial=0), 1)
    gain = float(np.float32(weight * _mean_top_score(fitted, n_threads) if weight else 0))
    return replace(
        fitted,
        user_factors=with_column(fitted.user_factors, np.float32(gain)),
        item_factors=with_column(fitted.item_factors, share),
        solve=WithConstant(fitted.solve, gain),
    )


def _mean_top_score(fitted: FittedFactors, n_threads: int) -> float:
    """Return the mean best score of at most 1,000 users, spread over all rows."""
    n_users = len(fitted.user_factors)
    rows = np.unique(np.linspace(0, n_users - 1, min(_N_SCALE_USERS, n_users)).astype(np.int64))
    best = fitted.top_k(1, user_rows=rows, n_threads=n_threads).scores[:, 0]
    has_list = np.isfinite(best)
    return float(best[has_list].mean()) if has_list.any() else 1.0
