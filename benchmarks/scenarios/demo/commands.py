"""The commands that the demo runs; a user would type the same."""

import subprocess
import sys
from pathlib import Path
from typing import IO, Final

FOLDER: Final = Path("var/demo")
STORE: Final = FOLDER / "store"
LIVE: Final = FOLDER / "live"
STREAM: Final = LIVE / "events.log"
_HISTORY: Final = FOLDER / "history"
_WORLD: Final = ("--views-per-user", "6")  # the same for the history and the live traffic
_REQUESTS_PER_SECOND: Final = "100"
_MAX_TRAFFIC_SECONDS: Final = "600"


def history() -> list[str]:
    """Return the command that makes the history."""
    return ["benchmarks.simulator", "history", "--out", str(_HISTORY), "--noise", "0.0005", *_WORLD]


def refresh(*streams: Path) -> list[str]:
    """Return the command that learns from the history and publishes a snapshot.

    Args:
        streams: Files of newer events.
    """
    return [
        *("batch", "refresh", "--events", str(_HISTORY / "events"), *map(str, streams)),
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


def start(command: list[str], output: IO[str] | None = None) -> subprocess.Popen[bytes]:
    """Start one of these commands.

    Args:
        command: Module and arguments.
        output: File for all that it prints; None: the demo's own output.
    """
    errors = subprocess.STDOUT if output else None
    return subprocess.Popen([sys.executable, "-m", *command], stdout=output, stderr=errors)
