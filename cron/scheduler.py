"""The loop: look every few seconds, run the refresh when it is due or asked for.

`schedule` only beats the time here. It has no memory, no catch-up and a bug
around daylight saving (#648), so what is due is `cron.due`'s to say. A job that
raises would end its loop, or come again at every beat: ours never raises, and
what went wrong counts as a failed refresh and so waits for the retry pause.
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
from cron.stop import StopRequest
from store.errors import StoreError
from store.gate_result import EXIT_REFUSED
from store.refresh_request import take_refresh_request

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
        _log.info("the clock runs: at %s, %s", settings.at, settings.timezone or "machine's zone")
        scheduler = schedule.Scheduler()
        scheduler.every(poll_seconds).seconds.do(self._poll)
        scheduler.run_all()
        while not self._stop.wait(_TICK_SECONDS):
            # schedule counts in local time. Where that goes back (each autumn, or
            # a clock set right), it would sleep until the old time comes again.
            if (scheduler.idle_seconds or 0.0) > poll_seconds:
                scheduler.run_all()
            scheduler.run_pending()
        _log.info("the clock stops")

    def refresh(self) -> bool:
        """Run the refresh now, whatever is due; log and record how it went."""
        began = datetime.now(UTC)
        _log.info("the refresh starts: %s", shlex.join(self._command))
        run = run_child(
            self._command,
            self._stop,
            self._settings.timeout_seconds,
            nice=self._settings.nice,
        )
        refused = run.status == EXIT_REFUSED
        # One that is stopped has not failed.
        failed = not refused and run.ending in (Ending.FAILED, Ending.TIMED_OUT)
        _log.log(
            logging.ERROR if failed or refused else logging.INFO,
            "the refresh %s after %.1f s, exit status %s",
            "was refused by the gate" if refused else run.ending,
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
            if self._is_asked_for() or self._is_due():
                self.refresh()
        except Exception:  # a bug: its trace is worth more lines than one
            _log.exception("the refresh could not be run; the clock goes on")
            self._record_failure()

    def _is_asked_for(self) -> bool:
        """Take away the request that the server's `/admin/train` leaves in the store."""
        try:
            why = take_refresh_request(self._store)
        except StoreError as error:
            _log.error("a request to train cannot be followed: %s", error)
            return False
        if why is not None:
            _log.info("a refresh was asked for: %s", why)
        return why is not None

    def _is_due(self) -> bool:
        now, settings = datetime.now(UTC), self._settings
        due_at = last_due(now, settings.at_time, settings.zone)
        due = is_due(self._state, now, due_at, settings.retry_pause)
        success = self._state.last_success
        if due and success is not None and success > now:
            _log.warning("the last success lies in the future (%s) and does not count", success)
        return due

    def _record_failure(self) -> None:
        self._record(replace(self._state, last_failure=datetime.now(UTC)))

    def _record(self, state: State) -> None:
        self._state = state  # first: on a full disk we must not run at every poll
        try:
            write_state(self._file, state)
        except OSError as error:
            _log.error("%s: not written, lost at the next start: %s", self._file, error)
