"""What a protocol is made of: a task to choose parameters on, and a task to report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import scipy.sparse as sp

from batch.arrays import Doubles
from batch.models.protocol import Fitted


class Task(Protocol):
    """A training side, and the metrics of a model that was fitted to it."""

    @property
    def train(self) -> sp.csr_matrix:
        """Return (n_users, n_items), 1 where the user has the item."""

    def per_user(self, fitted: Fitted, n_threads: int) -> dict[str, Doubles]:
        """Return (n_evaluated,) values of each metric by its name.

        Args:
            fitted: Model fitted to `train`.
            n_threads: Number of threads; 0 means one for each usable processor.
        """


AnyTask_co = TypeVar("AnyTask_co", bound=Task, covariant=True)


@dataclass(frozen=True, slots=True)
class Tasks(Generic[AnyTask_co]):
    """Both tasks of a protocol.

    Attributes:
        validation: Task that parameters are chosen on; it has no pair of the test side.
        test: Task that is reported.
    """

    validation: AnyTask_co
    test: AnyTask_co


@dataclass(frozen=True, slots=True)
class Published:
    """Figures of one model in the literature.

    Attributes:
        model: Name of the model.
        values: Published values by metric.
        source: Paper or repository.
    """

    model: str
    values: Mapping[str, float]
    source: str


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """A published protocol.

    Attributes:
        name: Name in tables and figures.
        files: Files that it needs, below the folder of real data sets.
        read: Function from that folder to the tasks.
        choose_by: Metric that parameters are chosen by.
        goals: Values that Marquee's default model has to reach, by metric.
        published: Figures of the literature.
    """

    name: str
    files: Sequence[str]
    read: Callable[[Path], Tasks[Task]]
    choose_by: str
    goals: Mapping[str, float]
    published: Sequence[Published]

    def missing(self, folder: Path) -> list[str]:
        """Return those files that are not in the folder."""
        return [name for name in self.files if not (folder / name).is_file()]

    def best_published(self, metric: str) -> float | None:
        """Return the best published value of a metric; None if there is none."""
        return max(
            (row.values[metric] for row in self.published if metric in row.values), default=None
        )
