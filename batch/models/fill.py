"""Short lists, filled up from other lists."""

import numpy as np

from batch.topk import NO_ITEM, TopK


def filled(lists: TopK, others: TopK) -> TopK:
    """Return `lists` with empty places filled from `others` in their order, without repeats.

    Filled places have a score of 0: the model of `lists` has no score for them.

    Args:
        lists: (n_users, k) lists that may be short.
        others: (n_users, k) lists to fill from, long enough to fill every place.
    """
    short = np.flatnonzero((lists.item_rows == NO_ITEM).any(axis=1))
    if not len(short):
        return lists
    own, other = lists.item_rows[short], others.item_rows[short]
    is_new = (other != NO_ITEM) & ~(other[:, :, None] == own[:, None, :]).any(axis=2)
    both = np.concatenate((own, np.where(is_new, other, NO_ITEM)), axis=1)
    scores = np.concatenate((lists.scores[short], np.where(is_new, 0, -np.inf)), axis=1)
    order = np.argsort(both == NO_ITEM, axis=1, kind="stable")[:, : own.shape[1]]
    item_rows, best = lists.item_rows.copy(), lists.scores.copy()
    item_rows[short] = np.take_along_axis(both, order, axis=1)
    best[short] = np.take_along_axis(scores, order, axis=1)
    return TopK(item_rows, best)
