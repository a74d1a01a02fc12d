"""Jobs: what the scheduler runs, when, after which others, and with which limits.

    [cron.jobs.online]                 a built-in job, switched on
    enabled = true

    [cron.jobs.backup]                 one of the user's own
    command = ["rsync", "-a", "var/store/", "backup:/srv/marquee/"]
    after = ["refresh"]
    at = "04:30"

Keys that a table does not set are those of the built-in job of that name, or the defaults.
"""

import functools
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import time, timedelta
from pathlib import Path
from typing import Any, Final

from cron.child import Limits
from cron.settings import MAX_NICE, CronSettings, check_time_of_day
from store.config import DEFAULT_FILE, filled
from store.errors import ConfigError

REFRESH: Final = "refresh"
_PUSH: Final = "push"  # built in where `[cron] push_url` has a value
_NAME: Final = re.compile("[a-z][a-z0-9-]{0,30}")
_URL: Final = "://"
_PASSWORD: Final = re.compile("://.*(:.*@|[?&](ssl)?passw(or)?d=)", re.IGNORECASE)
_MAX_MINUTES: Final = 7 * 1440.0
_MAX_BACKOFF: Final = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The table `[cron.jobs.NAME]`: a job.

    Attributes:
        command: Program and arguments; empty for a built-in job.
        enabled: Whether it runs.
        at: Local time of a daily run, HH:MM; empty: none.
        every_minutes: Minutes between runs, counted from midnight UTC; 0: none.
        after: Jobs that go first where both are due; without `at` and `every_minutes` it runs
            after each success of one of these.
        timeout_minutes: Time after which a run is ended.
        memory_mib: Private memory of each process of a run in MiB; 0: any.
        nice: Niceness, 0 to 19: the server has priority.
        retries: Number of retries after a failure, until it is due again.
        retry_minutes: Pause before the first retry; it doubles each time, up to 6 hours.
        repeatable: Whether it runs again after the scheduler died in the middle of a run.
        data: Files, directories and URLs of databases whose growth starts a run.
        data_mib: Growth of the files in MiB since the last run that starts one; 0: none.
        data_rows: Number of new rows in the databases since the last run that starts one; 0: none.
        data_share: Growth as a share of the size, or of the rows, that starts one; 0: none.
        data_minutes: Minutes between two counts of the rows; a count that takes longer is ended.
        heartbeat_url: URL that is called after each success, a dead man's switch elsewhere.
    """

    command: tuple[str, ...] = ()
    enabled: bool = True
    at: str = ""
    every_minutes: float = 0.0
    after: tuple[str, ...] = ()
    timeout_minutes: float = 240.0
    memory_mib: float = 0.0
    nice: int = 10
    retries: int = 5
    retry_minutes: float = 30.0
    repeatable: bool = False
    data: tuple[str, ...] = ()
    data_mib: float = 0.0
    data_rows: int = 0
    data_share: float = 0.0
    data_minutes: float = 5.0
    heartbeat_url: str = ""

    def __post_init__(self) -> None:
        if self.at:
            check_time_of_day("at", self.at)
        if self.at and self.every_minutes:
            raise ValueError("at and every_minutes exclude each other; set one of them")
        for key in ("timeout_minutes", "retry_minutes", "data_minutes"):
            if not 0 < getattr(self, key) <= _MAX_MINUTES:  # False for nan as well
                raise ValueError(f"{key} must be more than 0 and at most {_MAX_MINUTES:.0f}")
        for key in (
            "every_minutes", "memory_mib", "data_mib", "data_rows", "data_share", "retries",
        ):  # fmt: skip
            if not 0 <= getattr(self, key) < float("inf"):
                raise ValueError(f"{key} must be 0 or more, and finite")
        if not 0 <= self.nice <= MAX_NICE:
            raise ValueError(f"nice must lie between 0 and {MAX_NICE}, not {self.nice}")
        self._check_data()
        if self.heartbeat_url and not self.heartbeat_url.startswith(("http://", "https://")):
            raise ValueError("heartbeat_url must begin with http:// or https://")

    @property
    def files(self) -> list[str]:
        """Files and directories in `data`."""
        return [one for one in self.data if _URL not in one]

    @property
    def databases(self) -> list[str]:
        """URLs of databases in `data`."""
        return [one for one in self.data if _URL in one]

    def _check_data(self) -> None:
        if any(_PASSWORD.search(url) for url in self.databases):  # other users see arguments
            raise ValueError(
                "data must not hold a password; set MARQUEE_BATCH_DATABASE_PASSWORD or [batch] "
                "database_password_file (and write an @ in a query as %40)"
            )
        if self.data_share and not self.data:
            raise ValueError("data_share needs data, the paths or databases to look at")
        if self.data_mib and not self.files:
            raise ValueError("data_mib needs a path in data; rows of databases have data_rows")
        if self.data_rows and not self.databases:
            raise ValueError("data_rows needs the URL of a database in data; files have data_mib")
        if self.databases and not (self.data_rows or self.data_share):
            raise ValueError("a database in data needs data_rows or data_share")


@dataclass(frozen=True, slots=True)
class Job(JobSettings):
    """A job with its name.

    Attributes:
        name: Name of the job.
        count_command: Program and arguments that print the number of rows of its databases; empty
            without databases.
    """

    name: str = ""
    count_command: tuple[str, ...] = ()

    @property
    def at_time(self) -> time | None:
        """The wall-clock time of `at`, without a zone."""
        return time.fromisoformat(self.at) if self.at else None

    @property
    def limits(self) -> Limits:
        """Limits of a run."""
        return Limits(self.timeout_minutes * 60, self.memory_mib, self.nice)

    def pause(self, n_failures: int) -> timedelta:
        """Return the pause after a number of failures in a row, 1 or more."""
        pause = timedelta(minutes=self.retry_minutes)
        longest = max(_MAX_BACKOFF, pause)
        for _ in range(n_failures - 1):
            if pause >= longest:
                break
            pause *= 2
        return min(pause, longest)

    @property
    def when(self) -> str:
        """When it runs, in words."""
        parts = [f"daily at {self.at}"] if self.at else []
        if self.every_minutes:
            parts.append(f"every {self.every_minutes:g} min")
        if self.after:
            parts.append(f"after {', '.join(self.after)}")
        if self.data_mib:
            parts.append(f"when {self.data_mib:g} MiB of data have come")
        if self.data_rows:
            parts.append(f"when {self.data_rows:,} rows have come")
        if self.data_share:
            parts.append(f"when data have grown by {self.data_share:.0%}")
        return "; ".join(parts) if parts else "on request"

    @property
    def line(self) -> str:
        """The command as a line of a shell, for people."""
        program = "python" if self.command[0] == sys.executable else self.command[0]
        return shlex.join((program, *self.command[1:]))


def _ours(package: str, verb: str, config: Path | None) -> tuple[str, ...]:
    option = ("--config", str(config)) if config else ()
    arguments = (*option, verb) if package == "store" else (verb, *option)
    return (sys.executable, "-m", package, *arguments)


def read_jobs(settings: CronSettings, config: Path | None) -> dict[str, Job]:
    """Return the jobs by name, those that are not enabled too.

    Args:
        settings: Section `[cron]`.
        config: Configuration file that the built-in jobs are given; None for `marquee.toml`.

    Raises:
        ConfigError: A table has an unknown key or a bad value, a job has no command, or jobs
            wait for each other.
    """
    file = config or DEFAULT_FILE
    jobs = _built_in(settings, config)
    for name, table in settings.jobs.items():
        what = f"[cron.jobs.{name}]"
        if not _NAME.fullmatch(name):
            raise ConfigError(file, f"{what}: a name is of a–z, 0–9 and -, at most 31 characters")
        defaults = _keys(jobs[name]) if name in jobs else {}
        if unknown := [key for key in table if key not in _KEYS]:
            raise ConfigError(
                file, f"{what} has no key {unknown[0]!r}; its keys: {', '.join(_KEYS)}"
            )
        if name == _PUSH and settings.push_url and "command" in table:
            problem = f"{what} has a command, and [cron] push_url names another backup"
            remedy = "remove push_url or the command; give a second backup a name of its own"
            raise ConfigError(file, problem, remedy)
        jobs[name] = filled(Job, table, file, what, {**defaults, "name": name})
        if not jobs[name].command:
            own = 'set command = ["program", "…"]'
            remedy = "set push_url in [cron]" if name == _PUSH else own
            raise ConfigError(file, f"{what} has no command", remedy)
        if urls := jobs[name].databases:
            seconds = max(round(jobs[name].data_minutes * 60), 1)
            count = (*_ours("batch", "rows", config), "--timeout", str(seconds), *urls)
            jobs[name] = replace(jobs[name], count_command=count)
    _check_order(jobs, file)
    return jobs


def _built_in(settings: CronSettings, config: Path | None) -> dict[str, Job]:
    """Return the jobs that are there without a table, by name."""
    ours = functools.partial(_ours, config=config)
    jobs = (
        Job(ours("batch", "fetch"), enabled=False, at="02:30", retries=3, repeatable=True,
            name="fetch"),
        Job(ours("batch", "refresh"), at=settings.at, after=("fetch",), nice=settings.nice,
            timeout_minutes=settings.timeout_minutes, retry_minutes=settings.retry_minutes,
            repeatable=True, name=REFRESH),
        Job(ours("stream", "online"), enabled=False, every_minutes=60.0, timeout_minutes=50.0,
            retries=0, repeatable=True, name="online"),
        Job(ours("stream", "watch"), enabled=False, every_minutes=60.0, after=("online",),
            timeout_minutes=50.0, retries=0, repeatable=True, name="watch"),
        Job(ours("store", "verify"), enabled=False, at="06:00", after=(REFRESH,), retries=1,
            repeatable=True, name="verify"),
        Job(ours("store", "prune"), enabled=False, at="06:30", after=(REFRESH,), retries=1,
            repeatable=True, name="prune"),
        Job(ours("batch", "track"), enabled=False, every_minutes=10.0, timeout_minutes=9.0,
            retries=0, repeatable=True, name="track"),
    )  # fmt: skip
    named = {job.name: job for job in jobs}
    if url := settings.push_url:
        push = (*ours("store", "push"), url)
        named[_PUSH] = Job(push, after=(REFRESH,), repeatable=True, name=_PUSH)
    return named


def _keys(job: Job) -> dict[str, Any]:
    return {key: value for key, value in asdict(job).items() if key in _KEYS}


_KEYS: Final = [one.name for one in fields(JobSettings)]


def _check_order(jobs: Mapping[str, Job], file: Path) -> None:
    for job in jobs.values():
        for first in job.after:
            if first not in jobs:
                known = ", ".join(jobs)
                problem = f"[cron.jobs.{job.name}] after: {first!r} is not a job"
                raise ConfigError(file, problem, f"the jobs: {known}")
    for name in jobs:
        waiting, seen = [*jobs[name].after], set[str]()
        while waiting:
            first = waiting.pop()
            if first == name:
                problem = f"[cron.jobs.{name}] after: {name} would wait for itself"
                raise ConfigError(file, problem, "remove one job from `after`")
            if first not in seen:
                seen.add(first)
                waiting += jobs[first].after
