"""Exact top-k of scores that are mostly absent."""

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows
from batch.topk import NO_ITEM, TopK


def sparse_top_k(scores: sp.csr_matrix, seen: sp.csr_matrix, k: int) -> TopK:
    """Return the k best items of each row that have a score above 0 and are not seen.

    Args:
        scores: (n_users, n_items) sparse scores.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        k: Items to keep; equal scores keep the lower item row first.
    """
    n_users = scores.shape[0]
    user, item, score = _open_entries(scores, seen)
    place = _places(user, n_users)
    pool = np.full((n_users, max(k, int(place.max(initial=-1)) + 1)), -np.inf, np.float32)
    pool[user, place] = score
    kth = np.partition(pool, -k, axis=1)[:, -k]
    may_stay = score >= kth[user]
    user, item, score = user[may_stay], item[may_stay], score[may_stay]
    order = np.lexsort((item, -score, user))
    user, item, score = user[order], item[order], score[order]
    place = _places(user, n_users)
    is_best = place < k
    found = TopK(
        np.full((n_users, k), NO_ITEM, np.int32), np.full((n_users, k), -np.inf, np.float32)
    )
    found.item_rows[user[is_best], place[is_best]] = item[is_best]
    found.scores[user[is_best], place[is_best]] = score[is_best]
    return found


def _open_entries(scores: sp.csr_matrix, seen: sp.csr_matrix) -> tuple[Rows, Rows, Floats]:
    n_users, n_items = scores.shape
    user = np.repeat(np.arange(n_users), np.diff(scores.indptr))
    seen_user = np.repeat(np.arange(n_users), np.diff(seen.indptr))
    cell = user * n_items + scores.indices
    is_open = ~np.isin(cell, seen_user * n_items + seen.indices) & (scores.data > 0)
    item = scores.indices[is_open].astype(np.int64)
    return user[is_open].astype(np.int64), item, scores.data[is_open]


def _places(user: Rows, n_users: int) -> Rows:
    """Return 0, 1, 2 … within each run of one user; `user` is ascending."""
    n_of = np.bincount(user, minlength=n_users)
    return np.asarray(np.arange(len(user)) - (np.cumsum(n_of) - n_of)[user], np.int64)
