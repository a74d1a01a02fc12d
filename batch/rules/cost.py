"""Licence cost: the score weighed against the cost of a play.

    score' = (1 - weight) · score - weight · cost

both standardised: the score within the user's candidates, the cost, in USD a play,
over the catalogue. A weight of 0 is the score alone, 1 the cheapest first. An item of
unknown cost has the mean of the known costs.
"""

from collections.abc import Sequence

import numpy as np

from batch.arrays import Floats
from batch.records.catalogue import Item
from batch.rules.lists import by_score
from batch.topk import TopK


def standard_costs(items: Sequence[Item]) -> Floats:
    """Return (n_items,) costs of mean 0 and deviation 1 over the items of known cost."""
    known = [np.nan if item.cost is None else item.cost for item in items]
    costs = np.asarray(known, np.float64)
    is_known = np.isfinite(costs)
    if not is_known.any():
        return np.zeros(len(items), np.float32)
    spread = costs[is_known].std()
    standard = (costs - costs[is_known].mean()) / (spread if spread > 0 else 1)
    return np.where(is_known, standard, 0).astype(np.float32)


def cheaper(lists: TopK, costs: Floats, weight: float) -> TopK:
    """Return the lists with scores weighed against cost.

    Args:
        lists: Lists with standardised scores.
        costs: (n_items,) standardised costs.
        weight: Weight of the cost, 0 to 1.
    """
    scores = np.where(np.isfinite(lists.scores), lists.scores, 0)  # 0 · -inf would be NaN
    return by_score(lists, (1 - weight) * scores - weight * costs[lists.item_rows])
