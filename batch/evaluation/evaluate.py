"""One model on one split: its metrics, training time and size."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from batch.arrays import Doubles, Flags
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import METRICS, of_all_lists, per_user
from batch.evaluation.splits import Split
from batch.models.protocol import Fitted, Recommender
from batch.models.sweep import OnStep
from batch.progress import noop


@dataclass(frozen=True, slots=True)
class Cost:
    """Time and memory of a model.

    Attributes:
        train_seconds: Training time.
        inference_seconds: Time for the lists of all evaluated users.
        memory_bytes: Size of the arrays that inference needs.
        disk_bytes: Size of the same arrays in a file.
    """

    train_seconds: float
    inference_seconds: float
    memory_bytes: int
    disk_bytes: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The metrics of one model's lists.

    Attributes:
        model: Name of the model.
        by_user: (n_evaluated,) values by metric.
        of_lists: Coverage, novelty and other metrics of all lists together.
        cost: Time and memory.
        about: Figures that the training reports.
    """

    model: str
    by_user: Mapping[str, Doubles]
    of_lists: Mapping[str, float]
    cost: Cost
    about: Mapping[str, float]

    def table(self) -> Doubles:
        """Return (n_evaluated, n_metrics), the metrics in their order."""
        return np.stack([self.by_user[name] for name in METRICS], axis=1)

    def groups(self, groups: Mapping[str, Flags], seed: int = 0) -> dict[str, dict[str, Interval]]:
        """Return each metric's interval in each group of users."""
        found = intervals(self.table(), np.stack(list(groups.values()), axis=1), seed=seed)
        return {
            name: dict(zip(METRICS, row, strict=True))
            for name, row in zip(groups, found, strict=True)
        }

    def minus(self, other: "Evaluation", seed: int = 0) -> dict[str, Interval]:
        """Return the interval of each metric's difference from another model's, paired by user."""
        difference = self.table() - other.table()
        all_users = np.ones((len(difference), 1), dtype=bool)
        return dict(zip(METRICS, intervals(difference, all_users, seed=seed)[0], strict=True))


def evaluate(
    model: Recommender,
    split: Split,
    k: int,
    *,
    n_threads: int = 0,
    on_step: OnStep = noop,
) -> Evaluation:
    """Fit a model to one side of a split and measure its lists on the other.

    Args:
        model: Model with its parameters set.
        split: Split of the interactions.
        k: Length of the lists.
        n_threads: Number of threads; 0 means all processors.
        on_step: Callback after each step of the training.

    Raises:
        BatchError: The model cannot be fitted, or the split needs a fold-in that the
            model does not have.
    """
    began = time.perf_counter()
    fitted = model.fit(split.train, at=split.at, n_threads=n_threads, on_step=on_step)
    fitted_at = time.perf_counter()
    lists = split.lists(fitted, k, n_threads)
    done = time.perf_counter()
    memory_bytes, disk_bytes = _sizes(fitted)
    return Evaluation(
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
