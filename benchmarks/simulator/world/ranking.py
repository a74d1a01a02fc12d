"""Lists by scores, and how near a list comes to the best one."""

import numpy as np
import numpy.typing as npt

from benchmarks.simulator.world.items import Floats, Rows


def best_of(scores: npt.NDArray[np.floating], k: int) -> Rows:
    """Return (…, k) columns of the k best scores of each row, best first, ties by column."""
    return np.argsort(-scores, axis=-1, kind="stable")[..., :k]


def ndcg(lists: Rows, gains: npt.NDArray[np.floating], seen: npt.NDArray[np.bool_]) -> Floats:
    """Return (n,) how near each list comes to the best possible one, 1 at most.

    Args:
        lists: (n, k) item rows, best first; -1 fills the places left over.
        gains: (n, n_items) true relevance.
        seen: (n, n_items) items that no list may hold; they gain nothing.

    Source:
        Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR
        techniques", TOIS 2002; gains as they are, discount 1 / log2(1 + place).
    """
    gains = np.where(seen, 0, gains)
    discount = 1 / np.log2(2 + np.arange(lists.shape[1]))
    found = np.where(lists >= 0, np.take_along_axis(gains, np.maximum(lists, 0), axis=1), 0)
    best = np.take_along_axis(gains, best_of(gains, lists.shape[1]), axis=1)
    return np.asarray((found @ discount) / (best @ discount))
