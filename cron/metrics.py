"""The gauges of the scheduler: its jobs and its open alarms, for Prometheus on a port.

They are read when Prometheus asks, from the same states that `python -m cron status` shows.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily

from cron.alarms import Alarms
from cron.due import due_at, due_since
from cron.jobs import Job
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.show import next_run
from store.port import port_errors_explained

_GAUGES: Final = {
    "last_success_seconds": "Begin of the last run that succeeded.",
    "duration_seconds": "Duration of the last run that ended.",
    "failures": "Failures in a row since it was due.",
    "exit_status": "Exit status of the last run, -N after signal N.",
    "running": "1 while it is running.",
    "next_run_seconds": "Time of the next run by the clock; for a job that waits, since when.",
}


class SchedulerMetrics:
    """Gauges of the enabled jobs, and of the alarms.

    Args:
        scheduler: Scheduler of the jobs.
        settings: Section `[cron]`.
        alarms: Alarms of the scheduler's notifier.
        clock: Function that returns the current time, aware.

    Attributes:
        registry: Registry of all of them.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        settings: CronSettings,
        alarms: Alarms,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._scheduler, self._alarms = scheduler, alarms
        self._zone, self._clock = settings.zone, clock
        self._began_at = clock()
        self.registry = CollectorRegistry(auto_describe=True)
        self.registry.register(self)

    def serve(self, host: str, port: int) -> None:
        """Answer Prometheus on a port, in a thread of its own.

        Raises:
            PortError: The port is taken, or the address is not of this machine.
        """
        with port_errors_explained(host, port, "cron"):
            start_http_server(port, addr=host, registry=self.registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield all gauges as they are now."""
        jobs = [job for job in self._scheduler.jobs.values() if job.enabled]
        found = {job.name: self._of_job(job) for job in jobs}
        for gauge, text in _GAUGES.items():
            family = GaugeMetricFamily(f"marquee_cron_{gauge}", text, labels=["name"])
            for name, values in found.items():
                if (value := values[gauge]) is not None:
                    family.add_metric([name], value)
            yield family
        levels = GaugeMetricFamily(
            "marquee_cron_alarm_level", "Level of an open alarm; 2: urgent.", labels=["name"]
        )
        for name, level in self._alarms.levels().items():
            levels.add_metric([name], level)
        yield levels

    def _of_job(self, job: Job) -> dict[str, float | None]:
        """Return the value of each gauge; None for one without."""
        state, next_at = self._scheduler.state(job.name), self._next_run(job)
        return {
            "last_success_seconds": _seconds(state.last_success),
            "duration_seconds": state.seconds if state.ending else None,
            "failures": state.n_failures,
            "exit_status": state.status,
            "running": state.is_open,
            "next_run_seconds": _seconds(next_at),
        }

    def _next_run(self, job: Job) -> datetime | None:
        """Return when a job runs next; in the past, but not before the start, if it waits."""
        state, now = self._scheduler.state(job.name), self._clock()
        if state.is_open:
            return None
        since = due_since(job, state, now, due_at(job, now, self._zone))
        return max(since, self._began_at) if since else next_run(job, state, now, self._zone)


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
