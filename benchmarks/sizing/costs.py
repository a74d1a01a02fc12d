"""Machines, hours and cost a month of a service, from the fitted model and stated prices.

    figures ─► one machine, or as many as hold the peak ─► hours of a refresh
            ─► cores that serve ─► disk of events and snapshots ─► cost a month

What is assumed, and not measured:
- Amdahl's law: a share of a refresh runs on all cores of a machine, the rest on one.
- `auto` takes as much longer than `als` at any size as it was measured to at 1 million users.
- Its search is on a sample of users, and takes all the time that it may.
- A cluster has as many machines as hold the peak of one. Its executors' work is divided by all
  their cores; the driver's is not, and has a machine of them.
- Where Spark was not measured, a cluster takes `cluster_overhead` times the processor time, and
  divides all of it.
- The machines of a refresh are paid by the hour, those that serve by the month.
"""

import math
from dataclasses import dataclass
from typing import Final

_GIB: Final = 1 << 30
_DAY_SECONDS: Final = 86_400
_MONTH_HOURS: Final = 730.0
_NIGHTS: Final = 30


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices, machines and load; the currency is the caller's.

    Attributes:
        core_month: A core of such a machine, with its share of the memory, for a month.
        disk_month: A GiB of disk for a month.
        network_gib: A GiB between store and replicas.
        cores: Cores of a machine.
        memory_gib: Memory of a machine.
        parallel_share: Share of a refresh that runs on all cores.
        cluster_overhead: Processor time of a cluster over that of one machine, where Spark was
            not measured.
        requests_per_user: Requests a day of a user with a list.
        peak_factor: Requests at peak over the mean.
        utilisation: Highest share of the serving cores' time in use.
        replicas: Machines that serve the same lists, at least.
        memory_share: Share of a snapshot that the machines of a replica hold in memory.
        generations: Snapshots on each machine.
        auto_over_als: Processor time of a night by `auto` over that by `als`.
        choice_seconds: Processor time of a search, as `[batch] choice_seconds` at most.
        choice_days: Days between two searches, as `[batch] choice_days`.
    """

    core_month: float = 25.0
    disk_month: float = 0.1
    network_gib: float = 0.0
    cores: int = 16
    memory_gib: float = 128.0
    parallel_share: float = 0.64
    cluster_overhead: float = 1.5
    requests_per_user: float = 5.0
    peak_factor: float = 4.0
    utilisation: float = 0.5
    replicas: int = 2
    memory_share: float = 0.5
    generations: int = 7
    auto_over_als: float = 1.13
    choice_seconds: float = 600.0
    choice_days: float = 7.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What a service takes.

    Attributes:
        memory_gib: Peak memory of a refresh on one machine.
        machines: Machines of a refresh; more than 1: a cluster.
        driver_gib: Peak memory of a cluster's driver; 0: one machine, or Spark not measured.
        core_hours: Processor time of a refresh.
        overhead: That time over the processor time of the local engine.
        hours: Duration of a refresh without a search.
        search_hours: Time that a search adds.
        snapshot_gib: Size of a snapshot.
        history_gib: Size of the events.
        pushed_gib: Network of a refresh, to all replicas.
        serving_cores: Cores that serve at peak and whose memory holds the lists, of all replicas.
        cost_month: Cost of a month.
    """

    memory_gib: float
    machines: int
    driver_gib: float
    core_hours: float
    overhead: float
    hours: float
    search_hours: float
    snapshot_gib: float
    history_gib: float
    pushed_gib: float
    serving_cores: int
    cost_month: float


def costs(figures: dict[str, float], n_users: int, prices: Prices) -> Costs:
    """Return what a service of predicted figures takes.

    Args:
        figures: Figures of `Model.figures`, by `als`, and of `SparkModel.figures` if there are any.
        n_users: Users with a list.
        prices: Prices, machines and load.
    """
    memory_gib = figures["peak_mib"] / 1024
    machines = max(1, math.ceil(memory_gib / prices.memory_gib))
    seconds, elapsed, driver_mib = _refresh(figures, machines, prices)
    overhead, core_hours = seconds / figures["nightly_seconds"], seconds / 3600
    core_hours, hours = (one * prices.auto_over_als for one in (core_hours, elapsed / 3600))
    search_hours = prices.choice_seconds * _elapsed_share(prices) / 3600
    snapshot, history, pushed = (
        figures[f"{name}_bytes"] / _GIB for name in ("snapshot", "history", "pushed")
    )
    serving_cores = _serving_cores(n_users, figures["requests_per_core"], snapshot, prices)
    refreshing = hours * _NIGHTS + search_hours * _NIGHTS / prices.choice_days
    disk = history + snapshot * prices.generations * (1 + prices.replicas)
    cost = (
        prices.core_month * (serving_cores + prices.cores * machines * refreshing / _MONTH_HOURS)
        + prices.disk_month * disk
        + prices.network_gib * pushed * prices.replicas * _NIGHTS
    )
    return Costs(
        memory_gib, machines, driver_mib / 1024, core_hours, overhead, hours, search_hours,
        snapshot, history, pushed * prices.replicas, serving_cores, cost,
    )  # fmt: skip


def _refresh(
    figures: dict[str, float], machines: int, prices: Prices
) -> tuple[float, float, float]:
    """Return processor time and elapsed time by `als`, and the MiB of a cluster's driver."""
    local, share = figures["nightly_seconds"], _elapsed_share(prices)
    if machines == 1:
        return local, local * share, 0.0
    if "spark_seconds" not in figures:
        seconds = local * prices.cluster_overhead
        return seconds, seconds * share / machines, 0.0
    driver, seconds = figures["driver_seconds"], figures["spark_seconds"]
    divided = (seconds - driver) / (machines * prices.cores)
    return seconds, driver * share + divided, figures["driver_mib"]


def _elapsed_share(prices: Prices) -> float:
    """Return the elapsed time on one machine over the processor time."""
    return 1 - prices.parallel_share + prices.parallel_share / prices.cores


def _serving_cores(
    n_users: int, requests_per_core: float, snapshot_gib: float, prices: Prices
) -> int:
    """Return the cores of all replicas; the load is served while one of them is down."""
    at_peak = n_users * prices.requests_per_user / _DAY_SECONDS * prices.peak_factor
    for_load = at_peak / max(requests_per_core, 1.0) / prices.utilisation
    for_load /= max(prices.replicas - 1, 1)
    for_memory = snapshot_gib * prices.memory_share * prices.cores / prices.memory_gib
    return prices.replicas * max(1, math.ceil(for_load), math.ceil(for_memory))
