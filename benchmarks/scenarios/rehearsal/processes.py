"""The processes of the service beside its server, and the commands that are run once.

broker or live/events.log ─► collect ─► history/ ─► fresh ─► store/fresh.mdb
APIs ─► cron: fetch ─► api/ ─► refresh ─► store/ ─► verify, prune; online every hour
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.harness.config import CONFIG
from benchmarks.harness.processes import clean_environment
from benchmarks.harness.servers import Command, Servers

_MAX_ERROR_CHARACTERS: Final = 600


def layers(folder: Path) -> Servers:
    """Return collector and speed layer, as processes to be started.

    Args:
        folder: Folder of the rehearsal, with `marquee.toml`.
    """
    return _processes("stream", folder, ("stream", "collect"), ("stream", "fresh"))


def scheduler(folder: Path) -> Servers:
    """Return the scheduler, as a process to be started."""
    return _processes("cron", folder, ("cron",))


def run_job(folder: Path, job: str) -> None:
    """Run a job once, as the scheduler does, at its low priority, and wait for it.

    Args:
        folder: Folder of the rehearsal, with `marquee.toml`.
        job: Name of the job.

    Raises:
        RuntimeError: It failed; the message holds the end of its log.
    """
    run_command(folder, "cron", "run", job)


def run_command(folder: Path, *arguments: str) -> None:
    """Run `python -m ARGUMENTS --config FILE`, and wait for it.

    Raises:
        RuntimeError: It failed; the message holds the end of its log.
    """
    done = subprocess.run(
        [sys.executable, "-m", *arguments, "--config", str(folder / CONFIG)], cwd=folder,
        env=clean_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        error = done.stderr[-_MAX_ERROR_CHARACTERS:]
        raise RuntimeError(f"{' '.join(arguments)} failed: {error}")


def _processes(name: str, folder: Path, *commands: tuple[str, ...]) -> Servers:
    config = ("--config", str(folder / CONFIG))
    started = [Command([sys.executable, "-m", *command, *config]) for command in commands]
    return Servers(name, started, folder=folder, environment=clean_environment())
