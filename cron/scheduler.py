"""The loop: every few seconds, run the refresh if it is due or was requested.

`schedule` only triggers the check. It keeps no state over a restart, does not
catch up and has a bug around daylight saving (#648), so `cron.due` decides what
is due. A job that raises would end its loop or run again at every poll: this one
never raises, and an exception counts as a failed refresh, with its retry pause.
"""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import schedule

from cron.due import is_due, last_due
from cron.job import Ending, run_child
from cron.settings import CronSettings
from cron.state import State, read_state, write_state
from store.errors import StoreError
from store.gate_result import EXIT_REFUSED
from store.refresh_request import take_refresh_request
from store.stop import StopRequest

_STATE: Final = "refresh.json"
_TICK_SECONDS: Final = 1.0

_log = logging.getLogger(__name__)


class Scheduler:
    """Runs one command each day; the caller holds `one_instance`."""

    def __init__(
        self, settings: CronSettings, store: Path, command: Sequence[str], stop: StopRequest
    ) -> None:
        self._settings = settings
        self._store = store
        self._command = command
        self._stop = stop
        self._file = Path(settings.path) / _STATE
        self._state = read_state(self._file)

    def run(self, poll_seconds: int = 5) -> None:
        """Poll at once and then every `poll_seconds`, until stopping is requested."""
        settings = self._settings
        zone = settings.timezone or "the machine's time zone"
        _log.info("scheduler started, daily refresh at %s (%s)", settings.at, zone)
        scheduler = schedule.Scheduler()
        scheduler.every(poll_seconds).seconds.do(self._poll)
        scheduler.run_all()
        while not self._stop.wait(_TICK_SECONDS):
            # `schedule` counts in local time. When that goes back (each autumn, or when
            # a wrong clock is corrected), it would sleep until the old time is reached again.
            if (scheduler.idle_seconds or 0.0) > poll_seconds:
                scheduler.run_all()
            scheduler.run_pending()
        _log.info("scheduler stopped")

    def refresh(self) -> bool:
        """Run the refresh now, due or not; log and record its result."""
        began = datetime.now(UTC)
        _log.info("refresh started: %s", shlex.join(self._command))
        run = run_child(
            self._command,
            self._stop,
            self._settings.timeout_seconds,
            nice=self._settings.nice,
        )
        refused = run.status == EXIT_REFUSED
        # A refresh that was stopped has not failed.
        failed = not refused and run.ending in (Ending.FAILED, Ending.TIMED_OUT)
        _log.log(
            logging.ERROR if failed or refused else logging.INFO,
            "refresh %s after %.1f s, exit status %s",
            "refused by the gate" if refused else run.ending,
            run.seconds,
            run.status,
        )
        if run.ok or refused:
            self._record(replace(self._state, last_success=began))
        elif failed:
            self._record_failure()
        return run.ok

    def _poll(self) -> None:
        try:
            if self._is_requested() or self._is_due():
                self.refresh()
        except Exception:  # a bug: the log needs its traceback
            _log.exception("the refresh could not be run; the scheduler continues")
            self._record_failure()

    def _is_requested(self) -> bool:
        """Remove the request that the server's `/admin/train` writes into the store."""
        try:
            why = take_refresh_request(self._store)
        except StoreError as error:
            _log.error("cannot take the refresh request: %s", error)
            return False
        if why is not None:
            _log.info("refresh requested: %s", why)
        return why is not None

    def _is_due(self) -> bool:
        now, settings = datetime.now(UTC), self._settings
        due_at = last_due(now, settings.at_time, settings.zone)
        due = is_due(self._state, now, due_at, settings.retry_pause)
        success = self._state.last_success
        if due and success is not None and success > now:
            _log.warning("the recorded last success is in the future (%s); ignored", success)
        return due

    def _record_failure(self) -> None:
        self._record(replace(self._state, last_failure=datetime.now(UTC)))

    def _record(self, state: State) -> None:
        self._state = state  # first: on a full disk the refresh must not run at every poll
        try:
            write_state(self._file, state)
        except OSError as error:
            _log.error(
                "%s: cannot be written, the next start will not have it: %s", self._file, error
            )
