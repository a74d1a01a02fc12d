"""The model of a refresh on Spark: each part of it a sum of few terms, as `fit` has it.

    driver      sample   a + b · sampled users + c · items + d · sampled events
                tables   e + f · users + g · items
    executors   read     h + i · users + j · events
                sweeps   k + l · users + m · events + n · partitions · items
                lists    o + p · users + q · events + r · users · items
    memory of the driver     s + t · sampled users + u · items + v · sampled events
    bytes of the shards      w + x · users

The sample is what the driver trains on; where it has all users, the sweeps are left out. A whole
driver or executor is not fitted at once: users and sampled users are too much alike in sizes that
can be measured on one machine, but not in those that are planned.
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

_PARTITION_EVENTS: Final = 1_000_000  # about as many as with `[batch] spark_partitions = 0`
_TABLES: Final = ("catalogue", "events", "users", "fingerprint", "write", "publish", "report")
_LISTS: Final = ("users", "write")
TERMS: Final[Mapping[str, tuple[str, ...]]] = {
    "sample": ("once", "sampled_users", "items", "sampled_events"),
    "tables": ("once", "users", "items"),
    "read": ("once", "users", "events"),
    "sweeps": ("once", "users", "events", "sums"),
    "lists": ("once", "users", "events", "pairs"),
    "memory": ("once", "sampled_users", "items", "sampled_events"),
    "shards": ("once", "users"),
}


@dataclass(frozen=True, slots=True)
class SparkModel:
    """Fitted figures of refreshes on Spark.

    Attributes:
        coefficients: Coefficients of the terms of each part that was measured.
        max_users: Users of the largest size that was fitted.
    """

    coefficients: Mapping[str, Doubles]
    max_users: int

    def figures(self, size: DataSize) -> dict[str, float]:
        """Return the predicted figures of a refresh, by the names of `figures_on_spark`."""
        parts = dict.fromkeys(TERMS, 0.0)
        parts |= {name: float(_terms(size, name) @ one) for name, one in self.coefficients.items()}
        return _figures(size, parts if _sampled_share(size) < 1 else parts | {"sweeps": 0.0})


def figures_on_spark(measured: OnSpark) -> dict[str, float]:
    """Return the measured figures of a whole refresh; `spark_seconds` is all processor time."""
    return _figures(measured.size, _parts(measured))


def fit_on_spark(sizes: Sequence[OnSpark]) -> SparkModel:
    """Fit the figures of refreshes on Spark.

    Args:
        sizes: Measured sizes, at least one.
    """
    parts = [(one.size, _parts(one)) for one in sizes]
    coefficients = {}
    for name in TERMS:
        used = [(_terms(size, name), found[name]) for size, found in parts if found[name]]
        if used:
            terms, values = zip(*used, strict=True)
            coefficients[name] = least_relative_error(np.stack(terms), values)
    return SparkModel(coefficients, max(one.size.users for one in sizes))


def errors_on_spark(model: SparkModel, measured: OnSpark) -> dict[str, float]:
    """Return predicted over measured, less 1, of each figure that is above 0."""
    predicted = model.figures(measured.size)
    found = figures_on_spark(measured)
    return {name: predicted[name] / value - 1 for name, value in found.items() if value}


def _parts(measured: OnSpark) -> dict[str, float]:
    """Return the measured value of each part."""
    driver, executors = dict(measured.driver_seconds), dict(measured.executor_seconds)
    return {
        "tables": sum(driver.pop(stage, 0.0) for stage in _TABLES),
        "sample": sum(driver.values()),
        "sweeps": executors.pop("sweeps", 0.0),
        "lists": sum(executors.pop(stage, 0.0) for stage in _LISTS),
        "read": sum(executors.values()),
        "memory": _peak_mib(measured),
        "shards": float(measured.shard_bytes),
    }


def _peak_mib(measured: OnSpark) -> float:
    """Return the driver's peak before the report, which maps the lists that are written.

    The kernel can take back such pages, so they are not needed memory.
    """
    return max(value for stage, value in measured.driver_mib.items() if stage != "report")


def _figures(size: DataSize, parts: Mapping[str, float]) -> dict[str, float]:
    driver, executors = parts["sample"] + parts["tables"], parts["read"] + parts["lists"]
    return {
        "driver_seconds": driver,
        "executor_seconds": executors,
        "sweep_seconds": parts["sweeps"],
        "spark_seconds": driver + executors + parts["sweeps"],
        "driver_mib": parts["memory"],
        "shard_bytes": parts["shards"],
    }


def _terms(size: DataSize, part: str) -> Doubles:
    n_events, share = size.views + size.ratings, _sampled_share(size)
    n_partitions = (n_events // (_PARTITION_EVENTS * N_PROCESSORS) + 1) * N_PROCESSORS
    counts = {
        "once": 1,
        "users": size.users,
        "items": size.items,
        "events": n_events,
        "pairs": size.users * size.items,
        "sums": n_partitions * size.items,
        "sampled_users": size.users * share,
        "sampled_events": n_events * share,
    }
    return np.array([counts[name] for name in TERMS[part]], np.float64)


def _sampled_share(size: DataSize) -> float:
    """Return the share of the users in the sample that the driver trains on."""
    return counts_of_size(size, BatchSettings()).sampled_view / size.views
