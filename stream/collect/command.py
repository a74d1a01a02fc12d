"""The commands `python -m stream collect`, `status` and `rebuild`."""

import argparse
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from batch.errors import BatchError
from batch.events.stream import StreamParser
from batch.settings import BatchSettings
from store.config import StoreSettings, load_section
from store.spool import spool_folder
from store.stop import StopRequest, stop_on_signals
from stream.collect.collector import Collector
from stream.collect.file_source import FileSource
from stream.collect.folder import CollectorFolder
from stream.collect.fresh_process import FreshProcess, fresh_command
from stream.collect.ledger import MAX_RECORDS_AT_START, Ledger
from stream.collect.quarantine import StreamQuarantine
from stream.collect.rebuild import rebuild, state_of_files
from stream.collect.recovery import recover
from stream.collect.spool_source import SpoolSource
from stream.collect.status import read_status
from stream.collect.upkeep import Upkeep
from stream.errors import StreamError
from stream.settings import StreamSettings

_EXAMPLE = """example, with this marquee.toml:
  [stream]
  topic = "movielog1"
  [stream.kafka]
  "bootstrap.servers" = "kafka:9092"

  python -m stream collect            run until SIGTERM
  python -m stream collect --fresh    with the speed layer
  python -m stream status --json      how far it is

Exit status: 0 stopped by a signal, 1 failed (what was flushed is complete), 2 wrong usage."""

_KIB = 1 << 10

log = logging.getLogger(__name__)


def add_verbs(verbs: Any) -> None:
    """Add the verbs to the parser of `python -m stream`."""
    collect = _add(verbs, "collect", _collect, "Collect events into day partitions, without loss.")
    collect.add_argument(
        "--accept-new-log",
        action="store_true",
        help="go on although the topic was made again, cut short, or lies on another cluster",
    )
    collect.add_argument(
        "--fresh", action="store_true", help="run the speed layer too, as a process of its own"
    )
    collect.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    status = _add(verbs, "status", _status, "Print how far collector and speed layer are.")
    status.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    _add(verbs, "rebuild", _rebuild, "Write a lost ledger anew from the partitions.")


def _add(
    verbs: Any, name: str, run: Callable[[argparse.Namespace], int], about: str
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.set_defaults(run=run)
    return verb


def _collect(options: argparse.Namespace) -> int:
    settings = load_section("stream", StreamSettings, options.config)
    batch = load_section("batch", BatchSettings, options.config)
    store = _store(options)
    if not (settings.topic or settings.files or spool_folder(store).exists()):
        problem = "names neither a topic nor files, and the server has no spool of posted events"
        remedy = "set topic, or files, in [stream] of marquee.toml, or start the server first"
        raise StreamError("[stream]", problem, remedy)
    stop = stop_on_signals()
    with contextlib.ExitStack() as stack:
        collector, upkeep = stack.enter_context(open_collector(settings, batch))
        _add_files(collector, settings, store)
        if settings.metrics_port:
            collector.metrics.serve(settings.metrics_host, settings.metrics_port)
        if settings.topic:
            _add_topic(collector, settings, stop, accept_new=options.accept_new_log)
        if options.fresh:
            command = fresh_command(store, Path(settings.events), options.config)
            stack.enter_context(FreshProcess(command))
        log.info("collecting into %s", settings.events)
        with upkeep:
            collector.run(stop)
    return 0


def _store(options: argparse.Namespace) -> Path:
    return options.store or Path(load_section("store", StoreSettings, options.config).path)


def _add_files(collector: Collector, settings: StreamSettings, store: Path) -> None:
    ledger, max_bytes = collector.ledger, int(settings.max_line_kib * _KIB)
    spool = SpoolSource(spool_folder(store), ledger, collector, max_bytes)
    files = [FileSource(Path(path), ledger, collector, max_bytes) for path in settings.files]
    collector.sources.extend([*files, spool])


def _add_topic(
    collector: Collector, settings: StreamSettings, stop: StopRequest, *, accept_new: bool
) -> None:
    try:
        from stream.collect.kafka_settings import consumer_settings
        from stream.collect.kafka_source import KafkaSource
    except ImportError as error:
        raise StreamError(
            f"topic {settings.topic}", "needs confluent-kafka", "install the extra `stream`"
        ) from error
    max_bytes = int(settings.max_line_kib * _KIB)
    source = KafkaSource(
        settings.topic, consumer_settings(settings.kafka), collector.ledger, collector, max_bytes
    )
    source.start(stop.wait, accept_new=accept_new)
    collector.sources.append(source)


@contextlib.contextmanager
def open_collector(
    settings: StreamSettings, batch: BatchSettings
) -> Iterator[tuple[Collector, Upkeep]]:
    """Open a directory of events for collecting: its last intents are carried out first.

    Args:
        settings: Settings of the stream.
        batch: Settings of the batch: patterns of ids, quarantine.

    Yields:
        A collector without sources, and its upkeep, which is not started.

    Raises:
        StreamError: Another collector is running, or the ledger is damaged.
    """
    events = Path(settings.events)
    try:
        folder = CollectorFolder.make(events)
        _rebuild_if_lost(folder)
        with contextlib.ExitStack() as stack:
            ledger = stack.enter_context(Ledger(folder.ledger))
            quarantine = StreamQuarantine(batch, ledger.state.generation + 1)
            stack.callback(quarantine.close)
            recover(folder, ledger.state, quarantine)
            ledger.compact(MAX_RECORDS_AT_START)
            ledger.begin({"at": time.time(), "host": socket.gethostname(), "pid": os.getpid()})
            parse = StreamParser(batch.user_pattern, batch.item_pattern)
            collector = Collector(folder, ledger, quarantine, parse, settings)
            yield collector, Upkeep(folder, ledger, settings, collector.metrics)
    except OSError as error:
        problem = f"events cannot be written: {error.strerror or error}"
        raise StreamError(events, problem, "make room there, or check its rights") from error


def _rebuild_if_lost(folder: CollectorFolder) -> None:
    """Write a missing or empty ledger anew if the partitions have positions."""
    is_lost = not folder.ledger.exists() or not folder.ledger.stat().st_size
    if is_lost and state_of_files(folder).ranges:
        log.warning("%s: lost; written anew from the partitions", folder.ledger)
        rebuild(folder)


def _status(options: argparse.Namespace) -> int:
    settings = load_section("stream", StreamSettings, options.config)
    status = read_status(Path(settings.events), _store(options))
    print(status.as_json() if options.json else status.as_text())  # noqa: T201
    return 0 if status.is_running else 1


def _rebuild(options: argparse.Namespace) -> int:
    settings = load_section("stream", StreamSettings, options.config)
    folder = CollectorFolder.make(Path(settings.events))
    try:
        state = rebuild(folder)
    except (BatchError, OSError) as error:
        raise StreamError(folder.ledger, f"cannot be rebuilt: {error}") from error
    for key, position in state.next.items():
        print(f"{key}: {position:,}")  # noqa: T201
    return 0
