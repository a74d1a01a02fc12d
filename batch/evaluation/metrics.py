"""Metrics of lists: one figure for each user, and those that only all lists together have.

Relevance is yes or no: what the user had in truth on the test side, whatever its weight.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Doubles, ItemRows
from batch.topk import NO_ITEM

_PAIRED_USERS: Final = 10_000


def hits_of(item_rows: ItemRows, test: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    """Return (n_users, k) whether each place of each list is relevant.

    Args:
        item_rows: (n_users, k), NO_ITEM where a list is short.
        test: (n_users, n_items), an entry where the item is relevant.
    """
    n_users, n_items = test.shape
    if len(item_rows) != n_users:
        raise ValueError(f"{len(item_rows)} lists do not belong to {n_users} users")
    relevant = np.repeat(np.arange(n_users), np.diff(test.indptr)) * n_items + test.indices
    relevant.sort()
    cells = np.arange(n_users)[:, None] * n_items + item_rows
    place = np.searchsorted(relevant, cells)
    padded = np.append(relevant, -1)
    return np.asarray((padded[place] == cells) & (item_rows != NO_ITEM))


def per_user(item_rows: ItemRows, test: sp.csr_matrix) -> dict[str, Doubles]:
    """Return each metric at k, the lists' length, for each user.

    Args:
        item_rows: (n_users, k), best first.
        test: (n_users, n_items); each user has at least one entry.

    Returns:
        Of the names in `METRICS`, (n_users,) each, between 0 and 1.
    """
    hits = hits_of(item_rows, test).astype(np.float64)
    n_relevant = np.diff(test.indptr).astype(np.float64)
    if n_relevant.min(initial=1) < 1:
        raise ValueError("a user without a relevant item cannot be judged")
    return {name: metric(hits, n_relevant) for name, metric in METRICS.items()}


def _recall(hits: Doubles, n_relevant: Doubles) -> Doubles:
    return np.asarray(hits.sum(axis=1) / n_relevant)


def _recall_capped(hits: Doubles, n_relevant: Doubles) -> Doubles:
    """Divide by what a list of k can hold: the recall of the VAE papers."""
    return np.asarray(hits.sum(axis=1) / np.minimum(n_relevant, hits.shape[1]))


def _ndcg(hits: Doubles, n_relevant: Doubles) -> Doubles:
    discount = 1 / np.log2(np.arange(hits.shape[1]) + 2)
    ideal = np.cumsum(discount)[np.minimum(n_relevant, hits.shape[1]).astype(np.int64) - 1]
    return np.asarray(hits @ discount / ideal)


def _average_precision(hits: Doubles, n_relevant: Doubles) -> Doubles:
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1) / n_relevant)


def _reciprocal_rank(hits: Doubles, _: Doubles) -> Doubles:
    return np.asarray((hits / np.arange(1, hits.shape[1] + 1)).max(axis=1))


def _hit_rate(hits: Doubles, _: Doubles) -> Doubles:
    return np.asarray(hits.max(axis=1))


METRICS: Final[Mapping[str, Callable[[Doubles, Doubles], Doubles]]] = {
    "ndcg": _ndcg,
    "recall": _recall,
    "recall_capped": _recall_capped,
    "map": _average_precision,
    "mrr": _reciprocal_rank,
    "hit_rate": _hit_rate,
}


def of_all_lists(item_rows: ItemRows, train: sp.csr_matrix) -> dict[str, float]:
    """Return what all lists together say.

    Args:
        item_rows: (n_users, k).
        train: (n_users_trained, n_items), where popularity is counted.

    Returns:
        coverage: Share of the items that stand in any list.
        novelty: Mean over all places of -log2(share of the users that have the
            item), in bits; an item that nobody has counts as had by one.
        popularity_correlation: Pearson's, over the items, between how often
            each is listed and how many users have it; 0 where either is constant.
        personalization: 1 - mean share of items that two users' lists have in common,
            over neighbours in a fixed shuffle of at most 10,000 users.

    Source:
        Novelty: Zhou et al., "Solving the apparent diversity-accuracy dilemma of
        recommender systems", PNAS 2010, equation 5.
    """
    n_users, n_items = train.shape
    listed = np.bincount(item_rows[item_rows != NO_ITEM], minlength=n_items)
    had = np.bincount(train.indices, minlength=n_items)
    bits = np.log2(max(n_users, 1) / np.maximum(had, 1))
    n_places = max(int(listed.sum()), 1)
    is_constant = listed.std() == 0 or had.std() == 0
    return {
        "coverage": float((listed > 0).mean()),
        "novelty": float(listed @ bits / n_places),
        "popularity_correlation": 0.0 if is_constant else float(np.corrcoef(listed, had)[0, 1]),
        "personalization": _personalization(item_rows),
    }


def _personalization(item_rows: ItemRows) -> float:
    random = np.random.default_rng(0)
    ones = item_rows[random.permutation(len(item_rows))[:_PAIRED_USERS]]
    others = np.roll(ones, 1, axis=0)
    is_item = ones != NO_ITEM
    is_common = (ones[:, :, None] == others[:, None, :]).any(axis=2) & is_item
    n_listed = int(is_item.sum())
    return 1 - int(is_common.sum()) / n_listed if n_listed and len(ones) > 1 else 0.0
