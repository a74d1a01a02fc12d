"""The `[cron]` section of marquee.toml: when the refresh runs, and tables of further jobs."""

import re
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_CLOCK: Final = re.compile("([01][0-9]|2[0-3]):[0-5][0-9]")
_SECRET: Final = re.compile("://.*(:.*@|[?#])")  # a password may hold a `/`
_DAY_MINUTES: Final = 1440.0
_MAX_PORT: Final = 65_535
MAX_NICE: Final = 19


@dataclass(frozen=True, slots=True)
class CronSettings:
    """The `[cron]` section.

    Attributes:
        path: Directory of the scheduler's state and lock.
        at: Local time of the daily refresh, HH:MM.
        timezone: IANA name of the time zone of `at`; empty means the machine's.
        timeout_minutes: Time after which a refresh is ended.
        retry_minutes: Pause between a failed refresh and the next try.
        nice: Niceness of the refresh, 0 to 19: the server has priority.
        log_dir: Directory of the logs of all jobs; empty: standard error.
        metrics_host: Address of the gauges.
        metrics_port: Port of the gauges; 0: none.
        push_url: Directory or URL to which the job `push` copies the store after each refresh,
            without a password or query; empty: none.
        jobs: Jobs, each in a table of its own, `[cron.jobs.NAME]`, which the environment does
            not override.
    """

    path: str = "var/cron"
    at: str = "03:30"
    timezone: str = ""
    timeout_minutes: float = 240.0
    retry_minutes: float = 30.0
    nice: int = 10
    log_dir: str = "var/log/cron"
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    push_url: str = ""
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_time_of_day("at", self.at)
        if not _is_zone(self.timezone):
            raise ValueError(
                f"timezone must be an IANA name such as Europe/Berlin, or empty for the "
                f"machine's own, not {self.timezone!r}"
            )
        for key in ("timeout_minutes", "retry_minutes"):
            value = getattr(self, key)
            if not 0 < value <= _DAY_MINUTES:  # False for nan as well
                raise ValueError(
                    f"{key} must be more than 0 and at most {_DAY_MINUTES:.0f}, not {value!r}"
                )
        if not 0 <= self.nice <= MAX_NICE:
            raise ValueError(f"nice must lie between 0 and {MAX_NICE}, not {self.nice}")
        if not 0 <= self.metrics_port <= _MAX_PORT:
            raise ValueError(f"metrics_port must lie between 0 and {_MAX_PORT}")
        if _SECRET.search(self.push_url):  # jobs are listed and logged with their arguments
            raise ValueError(
                "push_url must not hold a password or query; give these to the environment, as "
                "AWS_SECRET_ACCESS_KEY for instance"
            )

    @property
    def zone(self) -> tzinfo | None:
        """Time zone of `timezone`; None means the machine's."""
        return ZoneInfo(self.timezone) if self.timezone else None


def check_time_of_day(key: str, text: str) -> None:
    """Raise a ValueError unless `text`, the value of a key, is a time of day as HH:MM."""
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{key} must be a time of day as HH:MM, not {text!r}")


def _is_zone(name: str) -> bool:
    try:
        return not name or bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a directory
        return False
