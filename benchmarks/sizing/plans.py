"""Plans: what services that were not measured take, and the curves of them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from batch.capacity.needs import needed_memory
from batch.capacity.sizes import DataSize
from batch.settings import BatchSettings
from benchmarks.sizing.costs import Costs, Prices, costs
from benchmarks.sizing.fit import Model, figures_of
from benchmarks.sizing.fit_spark import SparkModel, figures_on_spark
from benchmarks.sizing.picture import Curve
from benchmarks.sizing.sizes import Sizes

_TITLES: Final = {
    "memory_gib": "memory of one machine, GiB",
    "core_hours": "processor time of a night, hours",
    "snapshot_gib": "snapshot, GiB",
    "cost_month": "cost of a month",
    "overhead": "processor time on Spark over local",
    "driver_gib": "memory of Spark's driver, GiB",
}
_OF_SPARK: Final = ("overhead", "driver_gib")


class Plan(NamedTuple):
    """A service that was not measured, and what it takes.

    Attributes:
        size: Number of users, items, views and ratings.
        costs: Machines, time, disk and cost of it.
        is_on_spark: Whether its refresh is what Spark was measured to take.
        beyond: Number of its users over those of the largest size that its model was fitted to.
    """

    size: DataSize
    costs: Costs
    is_on_spark: bool
    beyond: float


def plan(size: DataSize, model: Model, spark: SparkModel | None, prices: Prices) -> Plan:
    """Return what a service takes.

    Args:
        size: Number of users, items, views and ratings.
        model: Figures of the local engine.
        spark: Figures of Spark; None: not measured.
        prices: Prices, machines and load.
    """
    # few sizes say less of memory far beyond them than the forecast, checked on a large one
    memory = needed_memory(size, BatchSettings()) / (1 << 20)
    figures = model.figures(size) | {"peak_mib": memory}
    found = costs(figures | (spark.figures(size) if spark else {}), size.users, prices)
    is_on_spark = spark is not None and found.machines > 1
    max_users = spark.max_users if spark and is_on_spark else model.max_users
    return Plan(size, found, is_on_spark, size.users / max_users)


def curves(plans: Sequence[Plan], sizes: Sizes) -> list[Curve]:
    """Return the figures of the plans, and the measured ones of any items and views."""
    of_local = [(one.size.users, figures_of(one)) for one in sizes.local]
    both = [(one, figures_on_spark(one)) for one in sizes.spark]
    gib = 1 / (1 << 30)
    dots = {
        "memory_gib": [(n, found["peak_mib"] / 1024) for n, found in of_local],
        "core_hours": [(n, found["nightly_seconds"] / 3600) for n, found in of_local],
        "snapshot_gib": [(n, found["snapshot_bytes"] * gib) for n, found in of_local],
        "cost_month": [],
        "overhead": [
            (one.size.users, found["spark_seconds"] / sum(one.local_seconds.values()))
            for one, found in both
        ],
        "driver_gib": [(one.size.users, found["driver_mib"] / 1024) for one, found in both],
    }
    drawn = []
    for name, title in _TITLES.items():
        used = [one for one in plans if one.is_on_spark or name not in _OF_SPARK]
        line = [(one.size.users, getattr(one.costs, name)) for one in used]
        if line or dots[name]:
            drawn.append(Curve(title, line, dots[name]))
    return drawn
