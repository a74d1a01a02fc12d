"""Metrics of lists: one value for each user, and values of all lists together.

Relevance is binary: an item is relevant if the user has it on the test side, whatever its weight.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Flags, ItemRows
from batch.topk import NO_ITEM

_MAX_PAIRED_USERS: Final = 10_000


def hits_of(item_rows: ItemRows, test: sp.csr_matrix) -> Flags:
    """Return (n_users, k), True where the item at that rank is relevant.

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
    position = np.searchsorted(relevant, cells)
    padded = np.append(relevant, -1)
    return np.asarray((padded[position] == cells) & (item_rows != NO_ITEM))


def per_user(item_rows: ItemRows, test: sp.csr_matrix) -> dict[str, Doubles]:
    """Return each metric at k, the lists' length, for each user.

    Args:
        item_rows: (n_users, k), best first.
        test: (n_users, n_items); each user has at least one entry.

    Returns:
        (n_users,) values between 0 and 1 by name, those of `METRICS`.
    """
    hits = hits_of(item_rows, test).astype(np.float64)
    n_relevant = np.diff(test.indptr).astype(np.float64)
    if n_relevant.min(initial=1) < 1:
        raise ValueError("a user without a relevant item cannot be evaluated")
    return {name: metric(hits, n_relevant) for name, metric in METRICS.items()}


def _recall(hits: Doubles, n_relevant: Doubles) -> Doubles:
    return np.asarray(hits.sum(axis=1) / n_relevant)


def _recall_capped(hits: Doubles, n_relevant: Doubles) -> Doubles:
    """Divide by min(k, relevant items): the recall of the VAE papers."""
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
    """Return the metrics of all lists together.

    Args:
        item_rows: (n_users, k).
        train: (n_users_trained, n_items) interactions that popularity is counted in.

    Returns:
        coverage: Share of the items that are in any list.
        novelty: Mean over all list entries of -log2(share of the users with the item),
            in bits; an item without users counts as one with one user.
        popularity_correlation: Pearson's correlation over the items between the number of
            lists and the number of users; 0 where either is constant.
        personalization: 1 - mean share of items that two users' lists have in common,
            over neighbours in a fixed shuffle of at most 10,000 users.

    Source:
        Novelty: Zhou et al., "Solving the apparent diversity-accuracy dilemma of
        recommender systems", PNAS 2010, equation 5.
    """
    n_users, n_items = train.shape
    listed = np.bincount(item_rows[item_rows != NO_ITEM], minlength=n_items)
    n_users_of = np.bincount(train.indices, minlength=n_items)
    bits = np.log2(max(n_users, 1) / np.maximum(n_users_of, 1))
    n_entries = max(int(listed.sum()), 1)
    is_constant = listed.std() == 0 or n_users_of.std() == 0
    return {
        "coverage": float((listed > 0).mean()),
        "novelty": float(listed @ bits / n_entries),
        "popularity_correlation": 0.0
        if is_constant
        else float(np.corrcoef(listed, n_users_of)[0, 1]),
        "personalization": _personalization(item_rows),
    }


def _personalization(item_rows: ItemRows) -> float:
    random = np.random.default_rng(0)
    ones = item_rows[random.permutation(len(item_rows))[:_MAX_PAIRED_USERS]]
    others = np.roll(ones, 1, axis=0)
    is_item = ones != NO_ITEM
    is_common = (ones[:, :, None] == others[:, None, :]).any(axis=2) & is_item
    n_listed = int(is_item.sum())
    return 1 - int(is_common.sum()) / n_listed if n_listed and len(ones) > 1 else 0.0
