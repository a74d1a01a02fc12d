"""The model of a refresh on Spark: each figure a sum of few terms, as `fit` has it.

    seconds of the driver    =  a + b · users + c · items + d · sampled events
    seconds of the executors =  e + f · users + g · events + h · users · items
    seconds of the sweeps    =  i + j · users + k · events + l · partitions · items
    memory of the driver     =  m + n · users + o · items + p · sampled events
    bytes of the shards      =  q + r · users

The sweeps are the executors' work, too. They are left out where the sample that the driver trains
on has all users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from batch.arrays import Doubles
from batch.capacity.needs import counts_of_size
from batch.capacity.sizes import DataSize
from batch.settings import BatchSettings
from benchmarks.sizing.fit import least_relative_error
from benchmarks.sizing.on_spark import N_PROCESSORS, OnSpark

SWEEPS: Final = "sweep_seconds"
_SWEEP_STAGE: Final = "sweeps"
_PARTITION_EVENTS: Final = 1_000_000  # as `[batch] spark_partitions = 0` has it
_TERMS: Final[Mapping[str, tuple[str, ...]]] = {
    "driver_seconds": ("once", "users", "items", "sampled"),
    "executor_seconds": ("once", "users", "events", "pairs"),
    SWEEPS: ("once", "users", "events", "sums"),
    "driver_mib": ("once", "users", "items", "sampled"),
    "shard_bytes": ("once", "users"),
}


@dataclass(frozen=True, slots=True)
class SparkModel:
    """Fitted figures of refreshes on Spark.

    Attributes:
        coefficients: Coefficients of the terms of each figure; no sweeps if none were measured.
        max_users: Users of the largest size that was fitted.
    """

    coefficients: Mapping[str, Doubles]
    max_users: int

    def figures(self, size: DataSize) -> dict[str, float]:
        """Return the predicted figures of a refresh, by the names of `figures_on_spark`."""
        found = {name: float(_terms(size, name) @ one) for name, one in self.coefficients.items()}
        return _with_total(found if _sampled(size) < size.views else found | {SWEEPS: 0.0})


def figures_on_spark(measured: OnSpark) -> dict[str, float]:
    """Return the measured figures of a whole refresh; `spark_seconds` is all processor time."""
    stages = dict(measured.executor_seconds)
    sweeps = stages.pop(_SWEEP_STAGE, 0.0)
    return _with_total(
        {
            "driver_seconds": sum(measured.driver_seconds.values()),
            "executor_seconds": sum(stages.values()),
            SWEEPS: sweeps,
            "driver_mib": max(measured.driver_mib.values()),
            "shard_bytes": float(measured.shard_bytes),
        }
    )


def fit_on_spark(sizes: Sequence[OnSpark]) -> SparkModel:
    """Fit the figures of refreshes on Spark.

    Args:
        sizes: Measured sizes, at least one.
    """
    coefficients = {}
    for name in _TERMS:
        found = [(one.size, figures_on_spark(one)[name]) for one in sizes]
        used = [(size, value) for size, value in found if value]
        if used:
            terms = np.stack([_terms(size, name) for size, _ in used])
            coefficients[name] = least_relative_error(terms, [value for _, value in used])
    return SparkModel(coefficients, max(one.size.users for one in sizes))


def errors_on_spark(model: SparkModel, measured: OnSpark) -> dict[str, float]:
    """Return predicted over measured, less 1, of each figure that is above 0."""
    predicted = model.figures(measured.size)
    found = figures_on_spark(measured)
    return {name: predicted[name] / value - 1 for name, value in found.items() if value}


def _with_total(found: Mapping[str, float]) -> dict[str, float]:
    seconds = {SWEEPS: 0.0} | {name: one for name, one in found.items() if name.endswith("seconds")}
    return {**found, **seconds, "spark_seconds": sum(seconds.values())}


def _terms(size: DataSize, figure: str) -> Doubles:
    n_events = size.views + size.ratings
    n_partitions = max(N_PROCESSORS, n_events // _PARTITION_EVENTS + 1)
    counts = {
        "once": 1,
        "users": size.users,
        "items": size.items,
        "events": n_events,
        "sampled": _sampled(size) * n_events / size.views,
        "pairs": size.users * size.items,
        "sums": n_partitions * size.items,
    }
    return np.array([counts[name] for name in _TERMS[figure]], np.float64)


def _sampled(size: DataSize) -> float:
    """Return the views of the sample that the driver trains on."""
    return counts_of_size(size, BatchSettings()).sampled_view
