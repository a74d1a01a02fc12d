"""Machines, hours and cost a month of a service, from the fitted model and stated prices.

    figures ─► one machine, or as many as hold the peak ─► hours of a refresh
            ─► cores that serve ─► disk of events and snapshots ─► cost a month

What is assumed, and not measured:
- Amdahl's law: a share of a refresh runs on all cores of a machine, the rest on one.
- A cluster divides the work by users, and adds its overhead to the processor time.
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
    """Prices and load, of the option's names; the currency is the caller's.

    Attributes:
        core_month: A core with 4 GiB of memory for a month.
        disk_month: A GiB of disk for a month.
        network_gib: A GiB between store and replicas.
        cores: Cores of a machine.
        memory_gib: Memory of a machine.
        parallel_share: Share of a refresh that runs on all cores.
        cluster_overhead: Processor time of a cluster over that of one machine.
        requests_per_user: Requests a day of a user with a list.
        peak_factor: Requests at peak over the mean.
        utilisation: Highest share of the serving cores' time in use.
        replicas: Machines that serve the same lists, at least.
        generations: Snapshots on each machine.
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
    generations: int = 7
    choice_days: float = 7.0


@dataclass(frozen=True, slots=True)
class Costs:
    """What a service takes.

    Attributes:
        memory_gib: Peak memory of a refresh on one machine.
        machines: Machines of a refresh; more than 1: a cluster.
        core_hours: Processor time of a refresh.
        hours: Duration of a refresh without a search.
        search_hours: Time that a search adds.
        snapshot_gib: Size of a snapshot.
        history_gib: Size of the events.
        pushed_gib: Network of a refresh, to all replicas.
        serving_cores: Cores that serve at peak, all replicas together.
        cost_month: Cost of a month.
    """

    memory_gib: float
    machines: int
    core_hours: float
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
        figures: Figures of `Model.figures`.
        n_users: Users with a list.
        prices: Prices, machines and load.
    """
    memory_gib = figures["peak_mib"] / 1024
    machines = max(1, math.ceil(memory_gib / prices.memory_gib))
    overhead = prices.cluster_overhead if machines > 1 else 1.0
    seconds, search = (figures[name] * overhead for name in ("nightly_seconds", "search_seconds"))
    share = 1 - prices.parallel_share + prices.parallel_share / prices.cores
    hours, search_hours = (one * share / machines / 3600 for one in (seconds, search))
    at_peak = n_users * prices.requests_per_user / _DAY_SECONDS * prices.peak_factor
    needed = at_peak / (max(figures["requests_per_core"], 1.0) * prices.utilisation)
    serving_cores = prices.replicas * max(1, math.ceil(needed / max(prices.replicas - 1, 1)))
    snapshot, history, pushed = (
        figures[f"{name}_bytes"] / _GIB for name in ("snapshot", "history", "pushed")
    )
    refreshing = hours * _NIGHTS + search_hours * _NIGHTS / prices.choice_days
    disk = history + snapshot * prices.generations * (1 + prices.replicas)
    cost = (
        prices.core_month * (serving_cores + prices.cores * machines * refreshing / _MONTH_HOURS)
        + prices.disk_month * disk
        + prices.network_gib * pushed * prices.replicas * _NIGHTS
    )
    return Costs(
        memory_gib, machines, seconds / 3600, hours, search_hours, snapshot, history,
        pushed * prices.replicas, serving_cores, cost,
    )  # fmt: skip
