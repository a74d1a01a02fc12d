"""The lists of few users, as the speed layer makes them: exact scores of the items that may count.

    bound of an item   ‖user‖ · ‖item‖  +  what is added to its score
    the items of the highest bounds: 1,024, then twice as many …  ─► exact scores
    no other bound reaches the k-th best of these                 ─► the list

`topk.py` sorts the items for each search, which takes longer than the lists of few users.
"""

from typing import Final

import numpy as np

from batch.arrays import Doubles, Floats, Rows
from batch.models.norms import kept_norm_bounds, norm_bounds
from batch.models.rescore import Scoring
from batch.threads import one_blas_thread
from batch.topk import NO_ITEM, TopK

MAX_FEW_USERS: Final = 32
_FIRST_ITEMS: Final = 1024


def best_of_few(scoring: Scoring, k: int) -> TopK:
    """Return each user's k best items by exact scores; equal ones keep the lower row first."""
    n_users = len(scoring.user_factors)
    lists = TopK(
        np.full((n_users, k), NO_ITEM, np.int32), np.full((n_users, k), -np.inf, np.float32)
    )
    with one_blas_thread():
        bounds = _bounds(scoring)
        for user in range(n_users):
            rows, scores = _candidates(scoring, user, bounds[user], k)
            best = np.lexsort((rows, -scores))[:k]
            lists.item_rows[user, : len(best)] = rows[best]
            lists.scores[user, : len(best)] = scores[best]
    return lists


def _bounds(scoring: Scoring) -> Doubles:
    """Return (n_users, n_items) bounds that no score exceeds; -inf for hidden items."""
    users, items = norm_bounds(scoring.user_factors), kept_norm_bounds(scoring.item_factors)
    bounds = users[:, None].astype(np.float64) * items
    if scoring.added is not None:
        bounds += scoring.added
    bounds += scoring.errors()[:, None]
    scoring.hide(bounds, np.arange(len(bounds)))
    return bounds


def _candidates(scoring: Scoring, user: int, bounds: Doubles, k: int) -> tuple[Rows, Floats]:
    """Return rows of items, among them the k best, and their exact scores."""
    left, size = np.flatnonzero(bounds > -np.inf), max(_FIRST_ITEMS, k)
    rows, scores = np.empty(0, np.int64), np.empty(0, np.float32)
    while len(left):
        chosen = np.ones(len(left), bool)
        if len(left) > size:
            chosen[np.argpartition(bounds[left], -size)[:-size]] = False
        rows = np.concatenate((rows, left[chosen]))
        scores = np.concatenate((scores, scoring.of(user, left[chosen])))
        left, size = left[~chosen], 2 * size
        if len(left):  # k items or more have a score
            left = left[bounds[left] >= np.partition(scores, -k)[-k]]
    return rows, scores
