"""The metrics that our processes register, by process."""

from datetime import UTC, datetime
from typing import Any

from cron.alarms import Alarms, Condition
from cron.child import Ending
from cron.jobs import Job
from cron.metrics import SchedulerMetrics
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.state import JobState, state_file, write_state
from store.stop import StopRequest
from stream.collect.metrics import CollectorMetrics
from stream.fresh.metrics import FreshMetrics
from stream.online.metrics import OnlineGauges
from stream.watch.metrics import WatchMetrics

_OF_STREAM: dict[str, Any] = {
    "collect": CollectorMetrics,
    "fresh": FreshMetrics,
    "online": OnlineGauges,
    "watch": WatchMetrics,
}
PROCESSES = (*_OF_STREAM, "cron")


def registry_of(process, folder):
    """Return the registry of a process; every metric has a time series.

    Args:
        process: One of PROCESSES.
        folder: Empty directory for what the process keeps.
    """
    if process == "cron":
        return _scheduler(folder).registry
    registry = _OF_STREAM[process]().registry
    for collector in set(registry._names_to_collectors.values()):
        if collector._labelnames:
            collector.labels(*("x" for _ in collector._labelnames))
    return registry


def _scheduler(folder):
    """Return the gauges of a scheduler whose job has run, with an open alarm."""
    settings, now = CronSettings(path=str(folder)), datetime.now(UTC)
    job = Job(("true",), at="03:30", name="refresh")
    ended = JobState(now, began=now, ending=Ending.SUCCEEDED, status=0)
    write_state(state_file(folder, job.name), ended)
    alarms = Alarms(folder / "ALARMS")
    alarms.update([Condition("gate", 1)], now)
    scheduler = Scheduler(settings, {job.name: job}, folder, StopRequest())
    return SchedulerMetrics(scheduler, settings, alarms)
