"""The loop: every few seconds, start the jobs that are due or were requested.

`schedule` only triggers the check. It keeps no state over a restart, does not
catch up and has a bug around daylight saving (#648), so `cron.due` decides what
is due. A job that raises would end its loop or run again at every poll: this one
never raises, and an exception counts as a failed run, with its retry pause.

Jobs run beside each other, each once at a time: a file beside its state is locked while it
runs, by the scheduler or by `python -m cron run`. A job waits for those before it, but for one
whole run of each at most: one that is always due or running would hold it up for ever.
"""

import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import schedule

from cron.child import Child, Ending, Run
from cron.due import due_at, is_after_failure, is_due, retry_at
from cron.jobs import REFRESH, Job
from cron.leftovers import end_leftovers, mark
from cron.lock import is_free, locked_job
from cron.new_data import DataSizes, has_grown, size_of
from cron.notifier import Notifier
from cron.output import last_line, log_file, opened
from cron.row_counts import RowCounts
from cron.settings import CronSettings
from cron.state import JobState, States
from cron.status_file import StatusFile
from store.errors import StoreError
from store.gate_result import EXIT_REFUSED
from store.refresh_request import is_refresh_requested, take_refresh_request
from store.stop import StopRequest

_TICK_SECONDS: Final = 1.0
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
        notifier: Sender of messages about failures; None for none.
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
        notifier: Notifier | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self.jobs = jobs
        self._store = store
        self._stop = stop
        self._notifier = notifier
        self._clock = clock
        self.folder = Path(settings.path)
        self._running: dict[str, _Running] = {}
        self._states = States(self.folder)
        self._held_since: dict[str, datetime] = {}  # jobs that wait for others
        self._data_sizes = DataSizes()
        self._row_counts = RowCounts()

    def run(self, poll_seconds: int = 5) -> None:
        """Poll at once and then every `poll_seconds`, until stopping is requested."""
        zone = self._settings.timezone or "the machine's time zone"
        enabled = [f"{job.name} {job.when}" for job in self.jobs.values() if job.enabled]
        _log.info("scheduler started (%s): %s", zone, "; ".join(enabled) or "no jobs")
        scheduler = schedule.Scheduler()
        scheduler.every(poll_seconds).seconds.do(self._poll)
        scheduler.run_all()
        status = StatusFile(self._settings, self.jobs)
        while not self._stop.wait(_TICK_SECONDS):
            # `schedule` counts in local time. When that goes back (each autumn, or when
            # a wrong clock is corrected), it would sleep until the old time is reached again.
            if (scheduler.idle_seconds or 0.0) > poll_seconds:
                scheduler.run_all()
            scheduler.run_pending()
            self._reap()
            self._show(status)
        self._end_all()
        status.close(self._clock())
        _log.info("scheduler stopped")

    def run_now(self, name: str) -> Ending | None:
        """Run one job now, due or not, its output on standard error; None if it is running."""
        job = self.jobs[name]
        while not self._row_counts.is_fresh(job, self._clock()):
            if self._stop.wait(_POLL_SECONDS):
                self._end_all()
                return Ending.STOPPED
            self._reap()
        if not self._start(job, None, is_retry=False):
            return None
        while name in self._running:
            if self._stop.wait(_POLL_SECONDS):
                self._end_all()
            self._reap()
        return self.state(name).ending

    def step(self) -> None:
        """Record the runs that are over, and start the jobs that are due, as each poll does."""
        self._reap()
        self._poll()

    def is_busy(self) -> bool:
        """Return whether a job is running, or rows are being counted."""
        return bool(self._running) or self._row_counts.is_busy()

    def wait(self) -> None:
        """Wait until no job is running and no rows are counted, or stopping is requested."""
        while self.is_busy() and not self._stop.wait(_POLL_SECONDS):
            self._reap()

    def state(self, name: str) -> JobState:
        """Return the state of a job."""
        return self._states.get(name)

    def _poll(self) -> None:
        self._close_interrupted()
        self._notify()  # before a job that ended is started again, which would hide how it ended
        for job in self.jobs.values():
            if job.name in self._running:
                continue
            try:
                self._check(job)
            except Exception:  # a bug: the log needs its traceback
                _log.exception("%s could not be run; the scheduler continues", job.name)
                now = self._clock()
                state = self.state(job.name)
                began = state.begin(now, state.data_bytes, is_retry=True)
                self._states.record(job.name, began.end(now, Run(Ending.FAILED, None, 0.0)))

    def _close_interrupted(self) -> None:
        """Record runs whose end was not recorded; a repeatable job is due again."""
        for job in self.jobs.values():
            if job.name in self._running or not self.state(job.name).is_open:
                continue
            with locked_job(self.folder, job.name) as is_locked:
                state = self.state(job.name)
                if is_locked and state.is_open:
                    self._close(job, state)

    def _close(self, job: Job, state: JobState) -> None:
        end_leftovers(self.folder, job.name)
        fate = "runs again" if job.repeatable else "does not run again until it is due"
        _log.error("%s interrupted, its end was not recorded; it %s", job.name, fate)
        ended = state.end(self._clock(), Run(Ending.INTERRUPTED, None, 0.0))
        if not job.repeatable:
            ended = ended.give_up(self._clock(), job.retries)
        self._states.record_end(job.name, ended)

    def _notify(self) -> None:
        if self._notifier is None:
            return
        states = {name: self.state(name) for name, job in self.jobs.items() if job.enabled}
        try:
            now = self._clock()
            self._notifier.check(self.jobs, states, now, self._row_counts.conditions(now))
        except Exception:  # a bug must not stop the jobs
            _log.exception("cannot look for alarms; the scheduler continues")

    def _show(self, status: StatusFile) -> None:
        try:
            status.update(self._clock())
        except Exception:  # a bug must not stop the jobs
            _log.exception("cannot write what the jobs do; the scheduler continues")

    def _check(self, job: Job) -> None:
        if self._is_held(job):
            return
        is_requested = job.name == REFRESH and self._is_requested()
        is_due = job.enabled and self._is_due(job)
        if not (is_requested or is_due) or not self._row_counts.is_fresh(job, self._clock()):
            return
        log = log_file(self._settings.log_dir, job.name)
        if is_requested and self._take_request():
            self._start(job, log, is_retry=False)
        elif is_due:
            state = self.state(job.name)
            is_retry = is_after_failure(state, self._clock(), self._due_at(job))
            self._start(job, log, is_retry=is_retry and state.n_failures <= job.retries)

    def _is_held(self, job: Job) -> bool:
        """Return whether a job waits for others that go first."""
        now = self._clock()
        since = min(now, self._held_since.get(job.name, now))  # the clock may have gone back
        if any(self._goes_first(self.jobs[name], since) for name in job.after):
            self._held_since[job.name] = since
            return True
        self._held_since.pop(job.name, None)
        return False

    def _goes_first(self, job: Job, since: datetime) -> bool:
        """Return whether a job is running or due, without a success that began since a time."""
        began = self.state(job.name).last_success
        if began is not None and since <= began <= self._clock():
            return False
        is_running = self.state(job.name).is_open and not is_free(self.folder, job.name)
        return is_running or (job.enabled and self._is_due(job))

    def _is_due(self, job: Job) -> bool:
        now, at, state = self._clock(), self._due_at(job), self.state(job.name)
        if state.last_success is not None and state.last_success > now:
            _log.warning(
                "%s: the recorded last success is in the future (%s); ignored",
                job.name, state.last_success,
            )  # fmt: skip
        return is_due(job, state, now, at) or self._has_new_data(job, state, now)

    def _due_at(self, job: Job) -> datetime | None:
        """Return when a job was due: by the clock, or else by the last success of one before."""
        at = due_at(job, self._clock(), self._settings.zone)
        if at is not None or not job.after:
            return at
        successes = [self.state(name).last_success for name in job.after]
        return max((success for success in successes if success is not None), default=None)

    def _has_new_data(self, job: Job, state: JobState, now: datetime) -> bool:
        if not job.data or (is_after_failure(state, now, None) and now < retry_at(job, state)):
            return False
        n_rows = self._row_counts.since(state.began, job, now)
        if n_rows is not None and n_rows < state.data_rows:
            state = self._fewer_rows(job, n_rows)
        return has_grown(job, state, self._data_sizes.of(job, now), n_rows)

    def _fewer_rows(self, job: Job, n_rows: int) -> JobState:
        """Record that rows were deleted: what comes from here on is new."""
        with locked_job(self.folder, job.name) as is_locked:
            state = self.state(job.name)
            if is_locked and not state.is_open:
                state = replace(state, data_rows=n_rows)
                self._states.record(job.name, state)
        return state

    def _is_requested(self) -> bool:
        """Return whether a refresh is requested, and none is running.

        While one is running the request stays in the store, where it survives this process.
        """
        return is_refresh_requested(self._store) and is_free(self.folder, REFRESH)

    def _take_request(self) -> bool:
        """Remove the request that the server's `/admin/train` writes into the store, if any."""
        try:
            why = take_refresh_request(self._store)
        except StoreError as error:
            _log.error("cannot take the refresh request: %s", error)
            return False
        if why is not None:
            _log.info("refresh requested: %s", why)
        return why is not None

    def _start(self, job: Job, log: Path | None, *, is_retry: bool) -> bool:
        """Start a job, its begin on disk before; return False if it is running elsewhere."""
        with contextlib.ExitStack() as resources:
            if not resources.enter_context(locked_job(self.folder, job.name)):
                return False
            if self.state(job.name).is_open:
                end_leftovers(self.folder, job.name)
            output = resources.enter_context(opened(log))
            state = self.state(job.name)
            n_bytes, n_rows = size_of(job.files), self._row_counts.last(job)
            if n_rows is not None:
                new = n_rows - state.data_rows
                _log.info(
                    "%s: %d rows in its databases, %+d since the last run", job.name, n_rows, new
                )
            began = state.begin(self._clock(), n_bytes, n_rows, is_retry=is_retry)
            self._states.record(job.name, began)
            _log.info("%s started: %s", job.name, job.line)
            marked = mark(self.folder, job.name)
            child = Child(job.command, job.limits, output, environment=marked)
            self._running[job.name] = _Running(child, resources.pop_all())
        return True

    def _reap(self) -> None:
        self._row_counts.reap(self._clock())
        for name, running in [*self._running.items()]:
            run = running.child.poll()
            if run is not None:
                self._ended(self.jobs[name], run)
                del self._running[name]
                running.resources.close()

    def _ended(self, job: Job, run: Run) -> None:
        if run.ending in (Ending.TIMED_OUT, Ending.STOPPED):
            end_leftovers(self.folder, job.name)
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
        self._states.record_end(job.name, state)
        if run.ending is Ending.SUCCEEDED and self._notifier is not None:
            self._notifier.succeeded(job)

    def _end_all(self) -> None:
        self._row_counts.end(self._stop)
        for running in self._running.values():
            running.child.stop()
        for name, running in [*self._running.items()]:
            run = running.child.wait(self._stop)
            self._ended(self.jobs[name], run)
            del self._running[name]
            running.resources.close()
