"""The configuration of the rehearsal: `marquee.toml`, for all processes of the service.

history/    events, catalogue and profiles before the rehearsal
api/        copies of the APIs' answers, by the job `fetch`
collected/  day partitions of the collector
store/  cron/  online/  log/
"""

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.harness.config import CONFIG, Sections, write_config

STORE: Final = Path("store")
HISTORY: Final = Path("history")
EVENTS: Final = HISTORY / "events"
STATES: Final = Path("cron")
LOGS: Final = Path("log")
LIVE: Final = Path("live", "events.log")
JOBS: Final = ("fetch", "refresh", "online", "verify", "prune")
ARM_JOB: Final = "arm"

_FLUSH_SECONDS: Final = 1
_APIS_PER_SECOND: Final = 150.0
_RETRY_MINUTES: Final = 0.05  # doubles with each retry
_RETRIES: Final = 20
_MIN_MINUTES: Final = 1.0  # between two runs of an hourly job, in accelerated time


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of what is outside of the service.

    Attributes:
        bootstrap: Address of the Kafka broker; empty: events come by a growing file.
        topic: Topic of the events.
        apis: URL of the user and movie APIs; empty: none.
    """

    bootstrap: str = ""
    topic: str = ""
    apis: str = ""


def write_settings(folder: Path, outside: Addresses, speed: float) -> Path:
    """Write the configuration, and return its path.

    Args:
        folder: Folder of the rehearsal.
        outside: Broker and APIs.
        speed: Simulated seconds in a real second; hourly jobs run by the simulated clock.
    """
    api = Path("api")
    known = (
        (api / "movies.parquet", api / "users.parquet")
        if outside.apis
        else (HISTORY / "catalogue.jsonl", HISTORY / "profiles.jsonl")
    )
    sections: dict[str, dict[str, object]] = {
        "store": {"path": str(STORE)},
        "batch": {
            "events": [str(EVENTS)],
            "catalogue": [str(known[0])],
            "profiles": [str(known[1])],
            "fold_in": "on",  # for the speed layer
        },
        "stream": {
            "events": str(EVENTS),
            "flush_seconds": _FLUSH_SECONDS,
            "metrics_port": 0,
            **({"topic": outside.topic} if outside.topic else {"files": [str(LIVE)]}),
        },
        "fresh": {"metrics_port": 0},
        "online": {"path": "online", "metrics_port": 0},
    }
    if outside.bootstrap:
        sections["stream.kafka"] = {"bootstrap.servers": outside.bootstrap}
    if outside.apis:
        sections["fetch"] = {
            "user_url": f"{outside.apis}/user", "movie_url": f"{outside.apis}/movie",
            "path": str(api), "rate": _APIS_PER_SECOND, "retries": 1, "max_age_days": 0.0,
        }  # fmt: skip
    return write_config(folder, {**sections, **_jobs(folder, speed)})


def _jobs(folder: Path, speed: float) -> Sections:
    """Return the sections of the scheduler: refreshes on request, the others by the clock."""
    hour_minutes = max(60.0 / speed, _MIN_MINUTES)
    far_away = datetime.now() + timedelta(hours=12)  # noqa: DTZ005 - `at` is the machine's time
    after_refresh = {"enabled": True, "at": "", "after": ["refresh"]}
    hourly = {"enabled": True, "at": "", "every_minutes": hour_minutes}
    retried = {"retries": _RETRIES, "retry_minutes": _RETRY_MINUTES}
    arm = ["batch", "refresh", "--arm", "treatment", "--set", "batch.half_life_days=7"]
    return {
        "cron": {"path": str(STATES), "log_dir": str(LOGS), "at": f"{far_away:%H:%M}"},
        "cron.jobs.fetch": {**hourly, **retried},
        "cron.jobs.online": hourly,
        "cron.jobs.verify": after_refresh,
        "cron.jobs.prune": after_refresh,
        f"cron.jobs.{ARM_JOB}": {  # on request
            "command": [sys.executable, "-m", *arm, "--config", str(folder / CONFIG)],
        },
    }
