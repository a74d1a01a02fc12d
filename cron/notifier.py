"""The notifier: conditions ─► alarms ─► a child process that sends, one at a time."""

import contextlib
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cron.alarms import Alarms, Condition, Message
from cron.certificates import CertificateWatcher
from cron.child import Child, Ending, Limits
from cron.conditions import conditions, names
from cron.jobs import Job
from cron.notify import NotifySettings, encoded
from cron.output import log_file, opened
from cron.process_conditions import ProcessWatcher
from cron.row_counts import condition_name
from cron.settings import CronSettings
from cron.state import JobState
from cron.store_conditions import NAMES, store_conditions
from store.errors import StoreError
from store.pointer import current_or_none

_FILE: Final = "ALARMS"
_LIMITS: Final = Limits(timeout_seconds=120.0)
_LOOK: Final = timedelta(minutes=1)  # between two looks at the store and other processes
_PAUSE: Final = timedelta(minutes=1)  # after messages that could not be sent

_log = logging.getLogger(__name__)


class Notifier:
    """Sends messages about alarms, and calls the dead man's switch after successes.

    Args:
        cron: Section `[cron]`.
        notify: Section `[notify]`.
        store: Directory of the store.
        config: Configuration file that the sending process is given; None for `marquee.toml`.

    Attributes:
        alarms: Conditions that are, or were, wrong.
    """

    def __init__(
        self, cron: CronSettings, notify: NotifySettings, store: Path, config: Path | None
    ) -> None:
        self._cron, self._notify, self._store = cron, notify, store
        self._given = ["--config", str(config)] if config else []
        self._folder = Path(cron.path)
        self.alarms = Alarms(self._folder / _FILE)
        self._sending: tuple[Child, list[Message]] | None = None
        self._heartbeats: list[Child] = []
        self._processes = ProcessWatcher(
            notify.metrics_urls, notify.max_lag_minutes, notify.max_behind_minutes
        )
        self._certificates = CertificateWatcher(notify.certificates, notify.min_certificate_days)
        self._names = self._processes.names | self._certificates.names | NAMES
        self._checked_at = self._looked_at = self._pause_until = datetime.min.replace(tzinfo=UTC)

    def check(
        self,
        jobs: Mapping[str, Job],
        states: Mapping[str, JobState],
        now: datetime,
        of_rows: Iterable[Condition] = (),
    ) -> None:
        """Look at all conditions, those of the rows beside them, and send what is due."""
        self._checked_at = now
        self._reap()
        found = [*conditions(jobs, states, (self._cron, self._notify), self._store, now), *of_rows]
        if not self._looked_at <= now < self._looked_at + _LOOK:
            self._looked_at = now
            found += self._look(now)
        rows = {condition_name(name) for name in states if jobs[name].databases}
        self.alarms.update(found, now, names(states) | self._names | rows)
        if not self._notify.is_on or self._sending is not None or now < self._pause_until:
            return
        local = now.astimezone(self._cron.zone).time()
        messages = self.alarms.messages(is_quiet=self._notify.is_quiet(local))
        if messages:
            self._sending = self._child(["notify"], encoded(messages)), messages

    def _look(self, now: datetime) -> Iterator[Condition]:
        """Look at the store, at other processes and at certificates."""
        current = None
        with contextlib.suppress(StoreError):  # the condition `store` is of that
            current = current_or_none(self._store)
        yield from self._processes.conditions(now, current)
        yield from self._certificates.conditions(now)
        yield from store_conditions(self._store, now)

    def succeeded(self, job: Job) -> None:
        """Call the dead man's switch of a job that has succeeded."""
        if job.heartbeat_url:
            self._heartbeats.append(self._child(["heartbeat", job.name]))

    def is_busy(self) -> bool:
        """Return whether something is being sent."""
        self._reap()
        return self._sending is not None or bool(self._heartbeats)

    def _reap(self) -> None:
        self._heartbeats = [child for child in self._heartbeats if child.poll() is None]
        if self._sending is None:
            return
        child, messages = self._sending
        run = child.poll()
        if run is None:
            return
        self._sending = None
        if run.ending is Ending.SUCCEEDED:
            self.alarms.sent(messages)
        else:
            self._pause_until = self._checked_at + _PAUSE
            _log.error("no message was sent, exit status %s; will retry", run.status)

    def _child(self, arguments: Sequence[str], given: bytes = b"") -> Child:
        command = [sys.executable, "-m", "cron", *arguments, *self._given]
        with opened(log_file(self._cron.log_dir, "notify")) as output:
            return Child(command, _LIMITS, output, given)
