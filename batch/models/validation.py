"""A validation set inside of training: some items each of some users, to choose models on.

It is larger than the holdout of one item (see `holdout`): models and their blends differ by
less than the parameters of one. The quality of a model is measured by `batch.evaluation`
instead, on a test set that no choice has used.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, ItemRows, Rows, Times
from batch.evaluation.metrics import per_user
from batch.models.dense_topk import entries_of
from batch.models.holdout import without
from batch.sampling import UserSample, sample_rows

VALIDATION_K: Final = 20
_METRIC: Final = "ndcg"
_SHARE: Final = 0.1  # of a user's items


@dataclass(frozen=True, slots=True)
class Validation:
    """Interactions without some items of some users.

    Attributes:
        weights: (n_users, n_items) weights without the validation items.
        at: (n_interactions,) times beside `weights.data`; None if unknown.
        user_rows: (n,) rows of the users with validation items, ascending.
        relevant: (n, n_items) an entry for each of their validation items.
    """

    weights: sp.csr_matrix
    at: Times | None
    user_rows: Rows
    relevant: sp.csr_matrix

    def ndcg(self, item_rows: ItemRows) -> Doubles:
        """Return (n,) the NDCG of each user's list, the (n, k) `item_rows`."""
        return per_user(item_rows, self.relevant)[_METRIC]

    def restricted(self, users: UserSample) -> "Validation":
        """Return the part of these users, sampled from the weights."""
        is_sampled = np.zeros(users.n_users, dtype=bool)
        is_sampled[users.user_rows] = True
        kept = is_sampled[self.user_rows]
        rows = np.searchsorted(users.user_rows, self.user_rows[kept])
        return Validation(users.weights, users.at, rows, self.relevant[kept])


def split_validation(
    weights: sp.csr_matrix, at: Times | None, max_users: int, seed: int
) -> Validation:
    """Split off a tenth of the items, at least one, of users that have 2 or more.

    Args:
        weights: (n_users, n_items) weights of all interactions; not modified.
        at: (n_interactions,) times beside `weights.data`: the latest items are split off.
            Without times (None), or at equal times, random ones.
        max_users: Maximum users to split items off.
        seed: Random seed of the users, and of the items where times do not decide.
    """
    random = np.random.default_rng(seed)
    user_rows = sample_rows(np.flatnonzero(np.diff(weights.indptr) >= 2), max_users, random)
    entry = entries_of(weights, user_rows)
    n_items_of = np.diff(weights.indptr)[user_rows]
    user = np.repeat(np.arange(len(user_rows)), n_items_of)
    when = at[entry] if at is not None else np.zeros(len(entry), np.int64)
    order = np.lexsort((random.random(len(entry)), when, user))
    n_behind = np.repeat(np.cumsum(n_items_of), n_items_of) - 1 - np.arange(len(entry))
    n_split_off = np.maximum(np.round(_SHARE * n_items_of), 1)
    is_split_off = n_behind < np.repeat(n_split_off, n_items_of)
    chosen = order[is_split_off]
    held_out = entry[chosen]
    cells = (user[chosen], weights.indices[held_out])
    ones = np.ones(len(held_out), np.float32)
    is_kept = np.ones(weights.nnz, dtype=bool)
    is_kept[held_out] = False
    return Validation(
        without(weights, held_out),
        None if at is None else at[is_kept],
        user_rows,
        sp.csr_matrix(sp.coo_matrix((ones, cells), (len(user_rows), weights.shape[1]))),
    )
