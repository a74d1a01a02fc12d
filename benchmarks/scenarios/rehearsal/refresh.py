"""A refresh as it runs at night: started by cron, at its low priority, on the same cores."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import ROOT

_MAX_ERROR_CHARACTERS: Final = 600


def run_refresh(folder: Path, events: Sequence[Path]) -> None:
    """Run the refresh job once and wait for it.

    Args:
        folder: Folder of the rehearsal, with `history/` and `store/`.
        events: Files or folders of events.

    Raises:
        RuntimeError: The refresh failed; the message holds the end of its log.
    """
    history, config = folder / "history", folder / "refresh.toml"
    config.write_text(
        f"[store]\npath = {_quoted(folder / 'store')}\n"
        f"[batch]\nevents = [{', '.join(map(_quoted, events))}]\n"
        f"catalogue = [{_quoted(history / 'catalogue.jsonl')}]\n"
        f"profiles = [{_quoted(history / 'profiles.jsonl')}]\n"
        'fold_in = "on"\n'  # for the speed layer
    )
    environment = {key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")}
    done = subprocess.run(
        [sys.executable, "-m", "cron", "run", "refresh", "--config", str(config)], cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the refresh failed: {done.stderr[-_MAX_ERROR_CHARACTERS:]}")


def link_stream(stream: Path, folder: Path) -> Path:
    """Link the stream's files into a folder of their own, and return it.

    The oldest may be removed from the stream while the refresh reads them.
    """
    folder.mkdir()
    for file in stream.iterdir():
        with contextlib.suppress(FileNotFoundError):
            os.link(file, folder / file.name)
    return folder


def _quoted(path: Path) -> str:
    return json.dumps(str(path))  # a string of TOML, too
