"""Factors and popularity in one score, still as factors, and so with the same exact top-k.

    user   [ ALS factors …, gain ]
    item   [ ALS factors …, its users as a share of the most popular item's ]

The first n_factors columns are ALS's own: neighbours and a warm start use them
unchanged. A gain of 0 is ALS alone; the larger it is, the closer the lists are to the
popular one.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows
from batch.models.factors import FittedFactors

_N_SCALE_USERS: Final = 1000  # users whose top scores give the scale of the gain


def with_popularity(fitted: FittedFactors, n_users: Rows, gain: float) -> FittedFactors:
    """Return the model with popularity added to each score.

    Args:
        fitted: Model to blend with popularity.
        n_users: (n_items,) users of each item.
        gain: Score added for the most popular item; a share of it for the others.
    """
    share = n_users / max(n_users.max(initial=0), 1)

    def solve(others: sp.csr_matrix) -> Floats:
        return _with_column(fitted.solve(others), np.float32(gain))

    return replace(
        fitted,
        user_factors=_with_column(fitted.user_factors, np.float32(gain)),
        item_factors=_with_column(fitted.item_factors, share),
        solve=solve,
    )


def mean_top_score(fitted: FittedFactors, n_threads: int = 0) -> float:
    """Return the mean best score of at most 1,000 users, spread over all rows.

    It is the unit of gains: the scale of scores depends on the data and on alpha.
    """
    n_users = len(fitted.user_factors)
    rows = np.unique(np.linspace(0, n_users - 1, min(_N_SCALE_USERS, n_users)).astype(np.int64))
    best = fitted.top_k(1, user_rows=rows, n_threads=n_threads).scores[:, 0]
    has_list = np.isfinite(best)
    return float(best[has_list].mean()) if has_list.any() else 1.0


def _with_column(factors: Floats, column: Floats | np.float32) -> Floats:
    wider = np.empty((factors.shape[0], factors.shape[1] + 1), np.float32)
    wider[:, :-1], wider[:, -1] = factors, column
    return wider
