"""Collector and speed layer beside the server: lists that have seen the live views.

live/events.log ─► collect ─► events/ ─► fresh ─► store/fresh.mdb
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import clean_environment
from benchmarks.harness.servers import Command, Servers

_FLUSH_SECONDS: Final = 1


@contextlib.contextmanager
def speed_layer(folder: Path, log: Path) -> Iterator[Servers]:
    """Follow a growing file of events as long as the `with` lasts; yield both processes.

    Args:
        folder: Folder of the rehearsal, with `store/`.
        log: Growing file, which need not exist yet.
    """
    config = folder / "stream.toml"
    store, events = json.dumps(str(folder / "store")), json.dumps(str(folder / "collected"))
    config.write_text(
        f"[store]\npath = {store}\n[stream]\nfiles = [{json.dumps(str(log))}]\nevents = {events}\n"
        f"flush_seconds = {_FLUSH_SECONDS}\nmetrics_port = 0\n[fresh]\nmetrics_port = 0\n"
    )
    commands = [
        Command([sys.executable, "-m", "stream", verb, "--config", str(config)])
        for verb in ("collect", "fresh")
    ]
    environment = clean_environment()
    with Servers("stream", commands, folder=folder, environment=environment) as processes:
        yield processes
