"""The state of a job between two starts of the scheduler, and the history of all runs.

    var/cron/refresh.json     {"last_success": "2026-03-01T02:30:04+00:00", "began": …, …}
    var/cron/history.jsonl    {"job": "refresh", "began": …, "ending": "succeeded", …}

`began` is on disk before the command starts, and `ending` after it has ended. A run that has
begun and not ended, though nobody holds the lock of its job, was interrupted.
"""

import json
import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cron.child import Ending, Run
from store.durable import append_durable, replace_durable

_MAX_BYTES: Final = 4 << 20  # of the history; half of it is kept as well
_HISTORY: Final = "history.jsonl"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobState:
    """The last runs of a job; times are aware datetimes.

    Attributes:
        last_success: Start of the last run that ran to its end: a refresh covers the events up
            to then. One that the gate refused counts, for the same events would be refused again.
            None if there was none.
        last_failure: End of the last failed run; None if there was none.
        n_failures: Number of failures in a row since the job was due.
        began: Start of the last run; None if there was none.
        ending: Ending of the last run; None while it is running.
        status: Exit status of the last run.
        seconds: Duration of the last run.
        data_bytes: Size of the job's files of data when the last run began.
        data_rows: Number of rows of its databases when the last run began, or the fewest since.
    """

    last_success: datetime | None = None
    last_failure: datetime | None = None
    n_failures: int = 0
    began: datetime | None = None
    ending: Ending | None = None
    status: int | None = None
    seconds: float = 0.0
    data_bytes: int = 0
    data_rows: int = 0

    @property
    def is_open(self) -> bool:
        """Whether a run has begun and not ended."""
        return self.began is not None and self.ending is None

    def begin(
        self, now: datetime, data_bytes: int, data_rows: int | None = None, *, is_retry: bool
    ) -> "JobState":
        """Return the state while a run is running; without a number of rows that stays."""
        return JobState(
            self.last_success,
            self.last_failure,
            self.n_failures if is_retry else 0,
            began=now,
            data_bytes=data_bytes,
            data_rows=self.data_rows if data_rows is None else data_rows,
        )

    def end(self, now: datetime, run: Run) -> "JobState":
        """Return the state after a run; one that was stopped neither succeeded nor failed."""
        ended = replace(self, ending=run.ending, status=run.status, seconds=run.seconds)
        if run.ending in (Ending.SUCCEEDED, Ending.REFUSED):
            return replace(ended, last_success=self.began, n_failures=0)
        if run.ending in (Ending.FAILED, Ending.TIMED_OUT):
            return replace(ended, last_failure=now, n_failures=self.n_failures + 1)
        return ended

    def give_up(self, now: datetime, n_retries: int) -> "JobState":
        """Return the state of a job that is not tried again until it is due."""
        return replace(self, last_failure=now, n_failures=n_retries + 1)


class States:
    """The states of all jobs.

    On a full disk a job must not run at every poll: what cannot be written is kept in memory.

    Args:
        folder: Directory of the states and of the history.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._unwritten: dict[str, JobState] = {}

    def get(self, job: str) -> JobState:
        """Return the state of a job."""
        return self._unwritten.get(job) or read_state(state_file(self._folder, job))

    def record(self, job: str, state: JobState) -> None:
        """Write the state of a job; the log has a failure to do so."""
        self._unwritten[job] = state
        file = state_file(self._folder, job)
        try:
            write_state(file, state)
        except OSError as error:
            _log.error("%s: cannot be written, the next start will not have it: %s", file, error)
        else:
            del self._unwritten[job]

    def record_end(self, job: str, state: JobState) -> None:
        """Write the state of a job after a run, and add that run to the history."""
        self.record(job, state)
        try:
            add_to_history(self._folder, job, state)
        except OSError as error:
            _log.error("%s: the history cannot be written: %s", self._folder, error)


def state_file(folder: Path, job: str) -> Path:
    """Return the file of a job's state."""
    return folder / f"{job}.json"


def read_state(file: Path) -> JobState:
    """Return the state in `file`; an empty state if the file is missing or damaged.

    An extra run costs less than a scheduler that does not start, so a damaged
    file is logged and is not an error.
    """
    try:
        return _parse(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError) as error:
        _log.warning("%s: unreadable, starting as if no run had been: %s", file, error)
    return JobState()


def write_state(file: Path, state: JobState) -> None:
    """Replace `file`, durably.

    Raises:
        OSError: It cannot be written; the old state is kept.
    """
    replace_durable(file, json.dumps(as_json(state)) + "\n")


def as_json(state: JobState) -> dict[str, Any]:
    """Return a state as values of JSON."""
    return {
        key: value.isoformat(timespec="seconds") if isinstance(value, datetime) else value
        for key, value in asdict(state).items()
    }


def add_to_history(folder: Path, job: str, state: JobState) -> None:
    """Append the last run of a job.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / _HISTORY
    shown = {key: as_json(state)[key] for key in ("began", "ending", "status", "seconds")}
    append_durable(path, json.dumps({"job": job, **shown}) + "\n")
    if path.stat().st_size > _MAX_BYTES:
        path.replace(path.with_suffix(".old.jsonl"))


def read_history(folder: Path, n_runs: int) -> list[dict[str, Any]]:
    """Return the last runs of all jobs, oldest first; torn lines are left out."""
    return list(deque(_history(folder), n_runs))


def _history(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / _HISTORY
    for file in (path.with_suffix(".old.jsonl"), path):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            try:
                run = json.loads(line)
            except ValueError:
                continue
            if isinstance(run, dict):
                yield run


def _parse(document: Any) -> JobState:
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of broken file
    times = {key: _instant(document.get(key)) for key in ("last_success", "last_failure", "began")}
    ending, status = document.get("ending"), document.get("status")
    return JobState(
        **times,
        n_failures=int(document.get("n_failures", 0)),
        ending=None if ending is None else Ending(ending),
        status=None if status is None else int(status),
        seconds=float(document.get("seconds", 0.0)),
        data_bytes=int(document.get("data_bytes", 0)),
        data_rows=int(document.get("data_rows", 0)),
    )


def _instant(text: Any) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at
