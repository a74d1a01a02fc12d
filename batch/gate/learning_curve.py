"""The learning curve: NDCG@20 on the last day after sweeps of the model that the trial trains.

    sweep ─► factors of some evaluated users ─► their lists ─► NDCG@20 of what they watched
      1   2   3   4   5   6   7   8   10   12   15   18   22 …     sweeps that are measured

Training has the sweeps anyway, and changes nothing because of the curve. It is measured on few
users and at ever fewer sweeps, so that it costs a small part of the training.
"""

from typing import Any, Final

from batch.evaluation.metrics import per_user
from batch.evaluation.splits import Split
from batch.gate.trial import LastDay
from batch.models.factors import FittedFactors
from batch.models.sweep import Sweep
from batch.parent import LEARNING_CURVE
from batch.unavailable import Unavailable
from store.layout import LIST_LENGTH

_MAX_USERS: Final = 1_000
_MAX_SCORES: Final = 10_000_000  # of a sweep, its users times the items
_GROWTH: Final = 1.25  # from a sweep that is measured to the next, once sweeps are many


class LearningCurve:
    """Measures a training after its sweeps; call it after each step.

    Without a last day it measures nothing. A model without sweeps has no curve.
    """

    def __init__(self, day: LastDay | Unavailable, seed: int, n_threads: int) -> None:
        """Make one of a training that has not begun.

        Args:
            day: Split of the trial, to whose left side the model is fitted.
            seed: Random seed of the sample of users.
            n_threads: Number of threads; 0 means all processors.
        """
        self._split: Split | None = None
        if isinstance(day, LastDay):
            n_users = min(_MAX_USERS, _MAX_SCORES // max(day.split.train.shape[1], 1))
            self._split = day.split.limited(max(n_users, 1), seed)
        self._n_threads = n_threads
        self._n_sweeps: dict[str, int] = {}
        self._points: dict[str, list[tuple[int, float]]] = {}

    def __call__(self, sweep: Sweep | None = None, /) -> None:
        """Take note of a step, and measure it if it is a sweep that is due."""
        if sweep is None or self._split is None:
            return
        number = self._n_sweeps[sweep.model] = self._n_sweeps.get(sweep.model, 0) + 1
        points = self._points.setdefault(sweep.model, [])
        latest = points[-1][0] if points else 0
        if number >= max(latest + 1, int(latest * _GROWTH)):
            points.append((number, self._ndcg(sweep, self._split)))

    def metrics(self) -> dict[str, Any]:
        """Return the figures for the manifest; nothing without a last day.

        They are the number of users, and by model the pairs of sweep and mean NDCG@20.
        """
        if self._split is None:
            return {}
        models = {
            name: [[number, round(ndcg, 5)] for number, ndcg in points]
            for name, points in self._points.items()
        }
        return {LEARNING_CURVE: {"n_users": len(self._split.user_rows), "models": models}}

    def _ndcg(self, sweep: Sweep, split: Split) -> float:
        users = sweep.factors.user_factors[split.user_rows]
        items = sweep.factors.item_factors.copy()  # training changes them
        fitted = FittedFactors(users, items, split.fold_in, lambda _: users)
        lists = fitted.top_k(LIST_LENGTH, n_threads=self._n_threads)
        return float(per_user(lists.item_rows, split.test)["ndcg"].mean())
