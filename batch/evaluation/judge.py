"""One model on one split: fitted, timed, weighed, judged."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import METRICS, of_all_lists, per_user
from batch.evaluation.splits import Split
from batch.models.protocol import Fitted, Recommender
from batch.progress import noop


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model takes.

    Attributes:
        train_seconds: To fit.
        inference_seconds: For the lists of all judged users.
        memory_bytes: Of what it keeps in order to answer.
        disk_bytes: Of the same, in a file.
    """

    train_seconds: float
    inference_seconds: float
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Judged:
    """One model's lists, judged.

    Attributes:
        model: Its name.
        figures: By metric, (n_judged,) of each user.
        of_lists: Coverage, novelty and the like, of all lists together.
        cost: What it took.
        about: What the model found out in training.
    """

    model: str
    figures: Mapping[str, npt.NDArray[np.float64]]
    of_lists: Mapping[str, float]
    cost: Cost
    about: Mapping[str, float]

    def table(self) -> npt.NDArray[np.float64]:
        """Return (n_judged, n_metrics), the metrics in their order."""
        return np.stack([self.figures[name] for name in METRICS], axis=1)

    def groups(
        self, groups: Mapping[str, npt.NDArray[np.bool_]], seed: int = 0
    ) -> dict[str, dict[str, Interval]]:
        """Return each metric's interval in each group of users."""
        found = intervals(self.table(), np.stack(list(groups.values()), axis=1), seed=seed)
        return {
            name: dict(zip(METRICS, row, strict=True))
            for name, row in zip(groups, found, strict=True)
        }

    def better_than(self, other: "Judged", seed: int = 0) -> dict[str, Interval]:
        """Return the interval of each metric's difference to another model's, user by user."""
        difference = self.table() - other.table()
        everybody = np.ones((len(difference), 1), dtype=bool)
        return dict(zip(METRICS, intervals(difference, everybody, seed=seed)[0], strict=True))


def judge(
    model: Recommender,
    split: Split,
    k: int,
    *,
    n_threads: int = 0,
    on_step: Callable[[], object] = noop,
) -> Judged:
    """Fit a model to one side of a split and judge its lists by the other.

    Args:
        model: With its parameters set.
        split: Of the interactions.
        k: Length of the lists.
        n_threads: 0 means all processors.
        on_step: Called after each sweep of the training.

    Raises:
        BatchError: The model cannot be fitted, or cannot fold users in where
            the split wants it.
    """
    began = time.perf_counter()
    fitted = model.fit(split.train, at=split.at, n_threads=n_threads, on_step=on_step)
    fitted_at = time.perf_counter()
    lists = split.lists(fitted, k, n_threads)
    done = time.perf_counter()
    memory_bytes, disk_bytes = _sizes(fitted)
    return Judged(
        model.name,
        per_user(lists.item_rows, split.test),
        of_all_lists(lists.item_rows, split.train),
        Cost(fitted_at - began, done - fitted_at, memory_bytes, disk_bytes),
        fitted.about,
    )


def _sizes(fitted: Fitted) -> tuple[int, int]:
    arrays = fitted.arrays
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npy"
        with path.open("wb") as file:
            for array in arrays.values():
                np.save(file, array)
        return sum(array.nbytes for array in arrays.values()), path.stat().st_size
