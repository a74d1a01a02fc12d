"""The commands that the demo runs; a user would type the same."""

import subprocess
import sys
from pathlib import Path
from typing import IO, Final

FOLDER: Final = Path("var/demo")
STORE: Final = FOLDER / "store"
LIVE: Final = FOLDER / "live"
STREAM: Final = LIVE / "events.log"
EVENTS: Final = LIVE / "events"
CONFIG: Final = LIVE / "marquee.toml"
SETTINGS: Final = f"""[stream]
files = ["{STREAM}"]
events = "{EVENTS}"
flush_seconds = 0.5
metrics_port = 0
[fresh]
metrics_port = 0
[batch]
quarantine = "{LIVE}/quarantine"
"""  # of collector and speed layer
_HISTORY: Final = FOLDER / "history"
_WORLD: Final = ("--views-per-user", "6")  # the same for the history and the live traffic
_REQUESTS_PER_SECOND: Final = "100"
_MAX_TRAFFIC_SECONDS: Final = "600"


def history() -> list[str]:
    """Return the command that makes the history."""
    return ["benchmarks.simulator", "history", "--out", str(_HISTORY), "--noise", "0.0005", *_WORLD]


def refresh(*newer: Path) -> list[str]:
    """Return the command that learns from the history and publishes a snapshot.

    Args:
        newer: Directories of newer events.
    """
    return [
        *("batch", "refresh", "--events", str(_HISTORY / "events"), *map(str, newer)),
        *("--catalogue", str(_HISTORY / "catalogue.jsonl")),
        *("--profiles", str(_HISTORY / "profiles.jsonl"), "--store", str(STORE)),
    ]


def traffic(url: str) -> list[str]:
    """Return the command that sends requests until it is interrupted.

    Args:
        url: Address of the server.
    """
    return [
        *("benchmarks.simulator", "live", "--server", url, "--rate", _REQUESTS_PER_SECOND),
        *("--seconds", _MAX_TRAFFIC_SECONDS, *_WORLD, "--stream", str(STREAM)),
        *("--json", str(LIVE / "report.json")),
    ]


def collect() -> list[str]:
    """Return the command that collects the events and keeps the lists fresh."""
    return ["stream", "collect", "--fresh", "--config", str(CONFIG), "--store", str(STORE)]


def start(command: list[str], output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start one of these commands.

    Args:
        command: Module and arguments.
        output: File for all that it prints; None: the demo's own output.
    """
    errors = subprocess.STDOUT if output else None
    return subprocess.Popen([sys.executable, "-m", *command], stdout=output, stderr=errors)
