"""Lists that came out short, filled from others."""

import numpy as np

from batch.topk import NO_ITEM, TopK


def filled(lists: TopK, others: TopK) -> TopK:
    """Return `lists`, what lacks taken from `others` in their order, nothing twice.

    What is filled in has a score of 0: the model that made the list has none.

    Args:
        lists: (n_users, k).
        others: (n_users, k) too, so that they have enough that is not there yet.
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
