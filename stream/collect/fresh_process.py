"""The speed layer beside the collector: `python -m stream fresh` as a child process.

    collector ── starts, and starts again ──► speed layer
        └── ends, or is killed ─────────────► ends too: it looks at its parent

A process of its own: its memory is not the collector's, and no crash of it stops collecting.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final, Self

_LOOK_SECONDS: Final = 0.2
_STOP_SECONDS: Final = 20.0
_MIN_PAUSE_SECONDS: Final = 1.0
_MAX_PAUSE_SECONDS: Final = 60.0
_SOUND_SECONDS: Final = 60.0  # a process that lived so long is restarted after the shortest pause

log = logging.getLogger(__name__)


def fresh_command(store: Path, events: Path, config: Path | None) -> list[str]:
    """Return the command line of a speed layer that ends with this process.

    Args:
        store: Directory of the store.
        events: Directory of the day partitions.
        config: Configuration file; None for the default.
    """
    configured = ["--config", str(config)] if config else []
    return [
        *(sys.executable, "-m", "stream", "fresh", "--store", str(store)),
        *("--events", str(events), "--parent", str(os.getpid()), *configured),
    ]


class FreshProcess:
    """A child process that is restarted whenever it ends. A context manager.

    Args:
        command: Command line.
        min_pause_seconds: Pause before a restart, which doubles while it ends early.
    """

    def __init__(
        self, command: list[str], *, min_pause_seconds: float = _MIN_PAUSE_SECONDS
    ) -> None:
        self._command = command
        self._min_pause_seconds = min_pause_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fresh", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._min_pause_seconds
        while not self._ended.is_set():
            began = time.monotonic()
            why = self._run_once()
            if self._ended.is_set():
                return
            if time.monotonic() - began > _SOUND_SECONDS:
                pause = self._min_pause_seconds
            log.error("speed layer: %s; restarting in %g s, collecting continues", why, pause)
            self._ended.wait(pause)
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)

    def _run_once(self) -> str:
        """Run the process until it ends or is to end; return why it ended."""
        try:
            process = subprocess.Popen(self._command)
        except OSError as error:
            return f"cannot be started: {error}"
        while process.poll() is None:
            if self._ended.wait(_LOOK_SECONDS):
                process.terminate()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        return f"ended with status {process.returncode}"
