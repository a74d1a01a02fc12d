"""Functions on candidate lists that the reordering rules share."""

import numpy as np

from batch.arrays import Floats, Rows
from batch.topk import NO_ITEM, TopK


def reordered(lists: TopK, order: Rows) -> TopK:
    """Return the lists with their places permuted by `order`, (n_users, k)."""
    return TopK(
        np.take_along_axis(lists.item_rows, order, axis=1),
        np.take_along_axis(lists.scores, order, axis=1),
    )


def by_score(lists: TopK, scores: Floats) -> TopK:
    """Return the lists sorted by new scores, descending; equal ones keep their order."""
    scores = np.where(lists.item_rows == NO_ITEM, -np.inf, scores).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")
    return reordered(TopK(lists.item_rows, scores), order)


def standardised(lists: TopK) -> TopK:
    """Return the lists with scores of mean 0 and deviation 1 within each user's candidates.

    Scale and sign of scores depend on the user and the model; standardised scores can be
    combined with boosts and costs in the same way for every user. The order does not
    change. Equal scores, or a single one, become 0.
    """
    is_item = lists.item_rows != NO_ITEM
    n = np.maximum(is_item.sum(axis=1, keepdims=True), 1)
    scores = np.where(is_item, lists.scores, 0).astype(np.float64)
    deviation = np.where(is_item, scores - scores.sum(axis=1, keepdims=True) / n, 0)
    spread = np.sqrt((deviation**2).sum(axis=1, keepdims=True) / n)
    scores = deviation / np.where(spread > 0, spread, 1)
    return TopK(lists.item_rows, np.where(is_item, scores, -np.inf).astype(np.float32))


def places(lists: TopK) -> Rows:
    """Return (n_users, k) the places 0, 1, 2 … of each row."""
    return np.broadcast_to(np.arange(lists.item_rows.shape[1]), lists.item_rows.shape)


def lengths(lists: TopK) -> Rows:
    """Return (n_users,) the number of items of each list."""
    return np.asarray((lists.item_rows != NO_ITEM).sum(axis=1))
