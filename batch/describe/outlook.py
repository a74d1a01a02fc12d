"""What a model can hope for: enough history, items that others watched, and the simplest model.

    last items, held out ─┬─► another user has it too:  upper bound of any hit rate
                          └─► among the 20 most popular:  what a model has to beat

Where times are unknown, a random item of each user stands for the last one.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from batch.arrays import Floats
from batch.errors import BatchError
from batch.evaluation.bootstrap import Interval
from batch.evaluation.evaluate import evaluate
from batch.evaluation.groups import ALL
from batch.evaluation.splits import leave_last_out
from batch.interactions.aggregate import AggregatedEvents
from batch.models.popularity import Popularity
from store.layout import LIST_LENGTH

_ENOUGH: Final = (2, 5, 10, 20)  # interactions of a user
_MAX_USERS: Final = 20_000  # evaluated: an interval of less than half a point to each side


def outlook(found: AggregatedEvents, seed: int, n_threads: int = 0) -> dict[str, Any]:
    """Return the shares of users with enough history, and the hit rate of the most popular items.

    Args:
        found: Interactions.
        seed: Random seed of the evaluated users, and of their last item where times are unknown.
        n_threads: Number of threads, 0 for all.
    """
    n_of_user = np.diff(found.pairs.indptr)
    enough = [
        {"min_interactions": least, "share_of_users": float((n_of_user >= least).mean())}
        for least in _ENOUGH
    ]
    return {"enough": enough, "hit_rate": _hit_rate(found, seed, n_threads)}


def _hit_rate(found: AggregatedEvents, seed: int, n_threads: int) -> dict[str, Any] | None:
    """Return how often the last item is a popular one; None if no user has two items."""
    ones: Floats = np.ones(found.pairs.n_pairs, np.float32)
    matrix = found.pairs.matrix(ones, len(found.item_ids))
    try:
        split = leave_last_out(matrix, found.began_at, _MAX_USERS, seed)
    except BatchError:
        return None
    measured = evaluate(Popularity(), split, LIST_LENGTH, n_threads=n_threads)
    everyone = np.ones(len(split.user_rows), dtype=bool)
    popular = measured.groups({ALL: everyone}, seed)[ALL]["hit_rate"]
    is_elsewhere = np.bincount(split.train.indices, minlength=split.train.shape[1]) > 0
    return {
        "k": LIST_LENGTH,
        "n_users": len(split.user_rows),
        "is_last_by_time": found.began_at is not None,
        "popularity": _rounded(popular),
        "upper_bound": float(is_elsewhere[split.test.indices].mean()),
        "random": LIST_LENGTH / max(len(found.item_ids), LIST_LENGTH),
    }


def _rounded(interval: Interval) -> Sequence[float]:
    return [round(float(end), 6) for end in interval]
