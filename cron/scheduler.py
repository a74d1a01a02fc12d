"""The loop: every few seconds, start the jobs that are due or were requested.

`schedule` only triggers the check. It keeps no state over a restart, does not
catch up and has a bug around daylight saving (#648), so `cron.due` decides what
is due. A job that raises would end its loop or run again at every poll: this one
never raises, and an exception counts as a failed run, with its retry pause.

Jobs run beside each other, each once at a time: a file beside its state is locked while it
runs, by the scheduler or by `python -m cron run`.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import schedule

from cron.child import Child, Ending, Run
from cron.due import due_at, is_due
from cron.jobs import REFRESH, Job
from cron.lock import is_free, locked_job
from cron.new_data import has_grown, size_of
from cron.output import last_line, log_file, opened
from cron.settings import CronSettings
from cron.state import JobState, add_to_history, read_state, state_file, write_state
from store.errors import StoreError
from store.gate_result import EXIT_REFUSED
from store.refresh_request import take_refresh_request
from store.stop import StopRequest

_TICK_SECONDS: Final = 1.0
_DATA_SECONDS: Final = 60.0  # between two looks at the size of a job's data
_POLL_SECONDS: Final = 0.1

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Running:
    """A job that is running."""

    child: Child
    resources: contextlib.ExitStack


class Scheduler:
    """Runs jobs; the caller holds `one_instance`.

    Args:
        settings: Section `[cron]`.
        jobs: Jobs by name; those that are not enabled run on request only.
        store: Store in which a refresh is requested.
        stop: Request that ends the loop and what is running.
        clock: Function that returns the current time, aware.

    Attributes:
        jobs: Jobs by name.
        folder: Directory of their states.
    """

    def __init__(
        self,
        settings: CronSettings,
        jobs: Mapping[str, Job],
        store: Path,
        stop: StopRequest,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self.jobs = jobs
        self._store = store
        self._stop = stop
        self._clock = clock
        self.folder = Path(settings.path)
        self._running: dict[str, _Running] = {}
        self._requested: set[str] = set()
        self._unwritten: dict[str, JobState] = {}  # states that a full disk did not take
        self._looked_at: dict[str, datetime] = {}  # when a job's data were measured

    def run(self, poll_seconds: int = 5) -> None:
        """Poll at once and then every `poll_seconds`, until stopping is requested."""
        zone = self._settings.timezone or "the machine's time zone"
        enabled = [f"{job.name} {job.when}" for job in self.jobs.values() if job.enabled]
        _log.info("scheduler started (%s): %s", zone, "; ".join(enabled) or "no jobs")
        self.close_interrupted()
        scheduler = schedule.Scheduler()
        scheduler.every(poll_seconds).seconds.do(self._poll)
        scheduler.run_all()
        while not self._stop.wait(_TICK_SECONDS):
            # `schedule` counts in local time. When that goes back (each autumn, or when
            # a wrong clock is corrected), it would sleep until the old time is reached again.
            if (scheduler.idle_seconds or 0.0) > poll_seconds:
                scheduler.run_all()
            scheduler.run_pending()
            self._reap()
        self._end_all()
        _log.info("scheduler stopped")

    def run_now(self, name: str) -> Ending | None:
        """Run one job now, due or not, its output on standard error; None if it is running."""
        if name in self._running:
            return None
        self._start(self.jobs[name], None, is_retry=False)
        if name not in self._running:
            return None
        while name in self._running:
            if self._stop.wait(_POLL_SECONDS):
                self._end_all()
            self._reap()
        return self.state(name).ending

    def step(self) -> None:
        """Record the runs that are over, and start the jobs that are due."""
        self._reap()
        self._poll()

    def wait(self) -> None:
        """Wait until no job is running, or stopping is requested."""
        while self._running and not self._stop.wait(_POLL_SECONDS):
            self._reap()

    def close_interrupted(self) -> None:
        """Record runs whose end no scheduler saw; a repeatable job is due again."""
        for job in self.jobs.values():
            state = self.state(job.name)
            if not state.is_open or not is_free(self.folder, job.name):
                continue
            fate = "runs again" if job.repeatable else "does not run again until it is due"
            _log.error("%s interrupted, the scheduler died meanwhile; it %s", job.name, fate)
            ended = state.end(self._clock(), Run(Ending.INTERRUPTED, None, 0.0))
            if not job.repeatable:
                ended = ended.give_up(self._clock(), job.retries)
            self._record(job.name, ended)
            self._add_to_history(job.name, ended)

    def state(self, name: str) -> JobState:
        """Return the state of a job."""
        return self._unwritten.get(name) or read_state(state_file(self.folder, name))

    def _poll(self) -> None:
        self._take_request()
        for job in self.jobs.values():
            if job.name in self._running:
                continue
            try:
                self._check(job)
            except Exception:  # a bug: the log needs its traceback
                _log.exception("%s could not be run; the scheduler continues", job.name)
                now = self._clock()
                state = self.state(job.name).begin(now, 0, is_retry=True)
                self._record(job.name, state.end(now, Run(Ending.FAILED, None, 0.0)))

    def _check(self, job: Job) -> None:
        if any(self._goes_first(self.jobs[name]) for name in job.after):
            return
        if job.name in self._requested:
            self._requested.discard(job.name)
            self._start(job, log_file(self._settings.log_dir, job.name), is_retry=False)
        elif job.enabled and self._is_due(job):
            state, at = self.state(job.name), self._due_at(job)
            is_retry = bool(state.last_failure and at and state.last_failure >= at)
            self._start(job, log_file(self._settings.log_dir, job.name), is_retry=is_retry)

    def _goes_first(self, job: Job) -> bool:
        return job.name in self._running or (job.enabled and self._is_due(job))

    def _is_due(self, job: Job) -> bool:
        now, at, state = self._clock(), self._due_at(job), self.state(job.name)
        if state.last_success is not None and state.last_success > now:
            _log.warning(
                "%s: the recorded last success is in the future (%s); ignored",
                job.name, state.last_success,
            )  # fmt: skip
        if at is not None and is_due(job, state, now, at):
            return True
        return self._has_new_data(job, state, now)

    def _due_at(self, job: Job) -> datetime | None:
        """Return when a job was due: by the clock, or else by the last success of one before."""
        at = due_at(job, self._clock(), self._settings.zone)
        if at is not None or not job.after:
            return at
        successes = [self.state(name).last_success for name in job.after]
        return max((success for success in successes if success is not None), default=None)

    def _has_new_data(self, job: Job, state: JobState, now: datetime) -> bool:
        if not job.data:
            return False
        looked_at = self._looked_at.get(job.name)
        if looked_at and 0 <= (now - looked_at).total_seconds() < _DATA_SECONDS:
            return False
        if state.last_failure and now < state.last_failure + job.pause(max(state.n_failures, 1)):
            return False
        self._looked_at[job.name] = now
        return has_grown(job, state.data_bytes, size_of(job.data))

    def _take_request(self) -> None:
        """Remove the request that the server's `/admin/train` writes into the store."""
        try:
            why = take_refresh_request(self._store)
        except StoreError as error:
            _log.error("cannot take the refresh request: %s", error)
            return
        if why is not None:
            _log.info("refresh requested: %s", why)
            self._requested.add(REFRESH)

    def _start(self, job: Job, log: Path | None, *, is_retry: bool) -> None:
        """Start a job, unless it is running elsewhere; its begin is on disk before."""
        with contextlib.ExitStack() as resources:
            if not resources.enter_context(locked_job(self.folder, job.name)):
                return
            output = resources.enter_context(opened(log))
            began = self.state(job.name).begin(self._clock(), size_of(job.data), is_retry=is_retry)
            self._record(job.name, began)
            _log.info("%s started: %s", job.name, job.line)
            child = Child(job.command, job.limits, output)
            self._running[job.name] = _Running(child, resources.pop_all())

    def _reap(self) -> None:
        for name, running in [*self._running.items()]:
            run = running.child.poll()
            if run is not None:
                self._ended(self.jobs[name], run)
                del self._running[name]
                running.resources.close()

    def _ended(self, job: Job, run: Run) -> None:
        if job.name == REFRESH and run.status == EXIT_REFUSED:
            run = Run(Ending.REFUSED, run.status, run.seconds)
        state = self.state(job.name).end(self._clock(), run)
        is_bad = run.ending not in (Ending.SUCCEEDED, Ending.STOPPED)
        said = last_line(log_file(self._settings.log_dir, job.name)) if is_bad else ""
        _log.log(
            logging.ERROR if is_bad else logging.INFO,
            "%s %s after %.1f s, exit status %s%s",
            job.name, run.ending, run.seconds, run.status, f": {said}" if said else "",
        )  # fmt: skip
        self._record(job.name, state)
        self._add_to_history(job.name, state)

    def _end_all(self) -> None:
        for running in self._running.values():
            running.child.stop()
        for name, running in [*self._running.items()]:
            run = running.child.wait(self._stop)
            self._ended(self.jobs[name], run)
            del self._running[name]
            running.resources.close()

    def _record(self, name: str, state: JobState) -> None:
        # On a full disk a job must not run at every poll: its state stays in memory then.
        self._unwritten[name] = state
        file = state_file(self.folder, name)
        try:
            write_state(file, state)
        except OSError as error:
            _log.error("%s: cannot be written, the next start will not have it: %s", file, error)
        else:
            del self._unwritten[name]

    def _add_to_history(self, name: str, state: JobState) -> None:
        try:
            add_to_history(self.folder, name, state)
        except OSError as error:
            _log.error("%s: the history cannot be written: %s", self.folder, error)
