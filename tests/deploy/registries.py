"""The metrics that our processes of the stream register, by process."""

from typing import Any

from stream.collect.metrics import CollectorMetrics
from stream.fresh.metrics import FreshMetrics
from stream.online.metrics import OnlineGauges
from stream.watch.metrics import WatchMetrics

REGISTERED_BY: dict[str, Any] = {
    "collect": CollectorMetrics,
    "fresh": FreshMetrics,
    "online": OnlineGauges,
    "watch": WatchMetrics,
}


def names_of(process):
    """Return the names of all time series of a process."""
    return set(REGISTERED_BY[process]().registry._names_to_collectors)


def fill(registry):
    """Give every metric with labels one time series, so that it is in the answer."""
    for collector in set(registry._names_to_collectors.values()):
        if collector._labelnames:
            collector.labels(*("x" for _ in collector._labelnames))
