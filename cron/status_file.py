"""The file of what the scheduler does, for programs that may not import it: the server's pages.

    var/cron/STATUS     {"at": "2026-03-01T02:31:00+00:00", "is_running": true, "jobs": {…}}

`jobs` is what `python -m cron status --json` prints. The file is replaced when that changes, else
once a minute, and at the end. Nothing depends on it.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cron.jobs import Job
from cron.settings import CronSettings
from cron.show import states

_FILE: Final = "STATUS"
_PAUSE: Final = timedelta(minutes=1)  # between two writes of equal states

_log = logging.getLogger(__name__)


class StatusFile:
    """The file that holds the last and the next run of each job.

    Args:
        settings: Section `[cron]`.
        jobs: Jobs by name.
    """

    def __init__(self, settings: CronSettings, jobs: Mapping[str, Job]) -> None:
        self._settings, self._jobs = settings, jobs
        self._path = Path(settings.path) / _FILE
        self._written: dict[str, dict[str, Any]] = {}
        self._written_at: datetime | None = None

    def update(self, now: datetime) -> None:
        """Replace the file if it is time; the log has a failure to do so, once a minute."""
        found = states(self._settings, self._jobs)
        is_old = self._written_at is None or not self._written_at <= now < self._written_at + _PAUSE
        if found != self._written or is_old:
            self._written, self._written_at = found, now
            self._replace(now, is_running=True)

    def close(self, now: datetime) -> None:
        """Record that the scheduler has ended."""
        self._written = states(self._settings, self._jobs)
        self._replace(now, is_running=False)

    def _replace(self, now: datetime, *, is_running: bool) -> None:
        pending = self._path.with_name(f"{_FILE}.pending")
        at = now.isoformat(timespec="seconds")
        document = {"at": at, "is_running": is_running, "jobs": self._written}
        try:
            pending.write_text(json.dumps(document) + "\n")
            pending.replace(self._path)
        except OSError as error:
            _log.warning("%s: cannot be written: %s", self._path, error)
