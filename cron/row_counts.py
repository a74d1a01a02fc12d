"""The rows of a job's databases, counted in a child process: a hanging database delays no poll.

    data = ["postgresql://reader@db/shop?table=views"]
                 │ every `data_minutes`, and before a run begins
                 ▼
    python -m batch rows URL … ──► 120000 ──► compared with the count when the last run began
                               └─► an error: logged once, an alarm after an hour

A count that takes longer than `data_minutes` is ended, by the server or else here.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cron.alarms import Condition
from cron.child import GRACE_SECONDS, Child, Ending, Limits, Run
from cron.jobs import Job
from store.stop import StopRequest

_FRESH: Final = timedelta(seconds=30)  # age of a count up to which a run may begin with it
_SILENT: Final = timedelta(hours=1)  # without a count, until it is an alarm

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Count:
    """The last count of a job's rows.

    Attributes:
        at: Time when it ended.
        n_rows: Number of rows; None if they could not be counted.
    """

    at: datetime
    n_rows: int | None


@dataclass(frozen=True, slots=True)
class _Failure:
    """The first of several counts in a row that failed.

    Attributes:
        since: Time when it ended.
        why: What was wrong, and what to do.
    """

    since: datetime
    why: str


@dataclass(frozen=True, slots=True)
class _Counting:
    """A count that is running; `output` is the descriptor of what it prints."""

    job: Job
    child: Child
    output: int


class RowCounts:
    """The numbers of rows of jobs' databases. Nothing here waits for a database."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._running: dict[str, _Counting] = {}
        self._failures: dict[str, _Failure] = {}

    def last(self, job: Job) -> int | None:
        """Return the number of the last count; None without one, or if it failed."""
        count = self._counts.get(job.name)
        return count.n_rows if count else None

    def since(self, began: datetime | None, job: Job, now: datetime) -> int | None:
        """Return the number of the last count, if that was after the last run began.

        Another count begins when it is time.

        Args:
            began: Time when the last run began, perhaps in another process; None without one.
            job: Job.
            now: Current time.
        """
        if job.databases:
            self._is_younger(job, now, timedelta(minutes=job.data_minutes))
        count = self._counts.get(job.name)
        is_older = count is not None and began is not None and count.at < began <= now
        return None if count is None or is_older else count.n_rows

    def is_fresh(self, job: Job, now: datetime) -> bool:
        """Return whether a job's rows were counted just now, or could not be; else begin that.

        It is true of a job without databases.
        """
        return not job.databases or self._is_younger(job, now, _FRESH)

    def is_busy(self) -> bool:
        """Return whether rows are being counted."""
        return bool(self._running)

    def reap(self, now: datetime) -> None:
        """Take the numbers of the counts that are over."""
        for name, counting in [*self._running.items()]:
            run = counting.child.poll()
            if run is not None:
                del self._running[name]
                self._counts[name] = _Count(now, self._number(counting, run, now))
                os.close(counting.output)

    def conditions(self, now: datetime) -> Iterator[Condition]:
        """Yield the condition of each job's rows that were counted, or could not be."""
        for name in self._counts:
            if failure := self._failures.get(name):
                since = f"{failure.since:%Y-%m-%d %H:%M} UTC"
                text = f"not counted since {since}, so new ones start no run: {failure.why}"
                yield Condition(condition_name(name), int(now - failure.since >= _SILENT), text)
            else:
                yield Condition(condition_name(name), 0)

    def end(self, stop: StopRequest) -> None:
        """End the counts that are running."""
        for counting in self._running.values():
            counting.child.stop()
            counting.child.wait(stop)
            os.close(counting.output)
        self._running.clear()

    def _is_younger(self, job: Job, now: datetime, age: timedelta) -> bool:
        """Return whether the last count is younger than `age`; if not, begin another one."""
        if job.name in self._running:
            return False
        count = self._counts.get(job.name)
        if count is not None and count.at <= now < count.at + age:
            return True
        output = os.memfd_create("rows")
        limits = Limits(job.data_minutes * 60 + GRACE_SECONDS)  # the server's own limit is first
        self._running[job.name] = _Counting(job, Child(job.count_command, limits, output), output)
        return False

    def _number(self, counting: _Counting, run: Run, now: datetime) -> int | None:
        """Return what a count printed; None, and a line in the log, if it failed."""
        name = counting.job.name
        printed = os.pread(counting.output, os.fstat(counting.output).st_size, 0)
        lines = printed.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        if run.ending is Ending.SUCCEEDED and last.isdecimal():
            if self._failures.pop(name, None):
                _log.info("%s: the rows of its databases can be counted again", name)
            return int(last)
        if name not in self._failures:
            slow = f"no answer within {counting.job.data_minutes:g} min; set a longer data_minutes"
            why = slow if run.ending is Ending.TIMED_OUT else last.removeprefix("rows failed: ")
            self._failures[name] = _Failure(now, why or f"exit status {run.status}")
            _log.error(
                "%s: the rows of its databases cannot be counted, so new ones start no run: %s",
                name, self._failures[name].why,
            )  # fmt: skip
        return None


def condition_name(job: str) -> str:
    """Return the name of the condition of a job's rows."""
    return f"rows of {job}"
