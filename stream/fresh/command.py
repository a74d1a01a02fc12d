"""The command `python -m stream fresh`."""

import argparse
import logging
import os
from functools import partial
from pathlib import Path
from typing import Any

from store.config import StoreSettings, load_section
from store.fresh import FreshWriter, fresh_lock
from store.locks import locked, make_store
from store.stop import StopRequest, stop_on_signals
from stream.errors import StreamError
from stream.fresh.layer import SpeedLayer, run
from stream.fresh.metrics import FreshMetrics
from stream.fresh.settings import FreshSettings
from stream.settings import StreamSettings

_EXAMPLE = """example:
  python -m stream fresh              run until SIGTERM
  python -m stream fresh --once       make the lists of all new events, and end

Exit status: 0 done or stopped by a signal, 1 failed, 2 wrong usage."""

log = logging.getLogger(__name__)


def add_fresh(verbs: Any) -> None:
    """Add the verb to the parser of `python -m stream`."""
    about = "Make lists of users with new events, seconds after these."
    verb = verbs.add_parser(
        "fresh",
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--events", type=Path, metavar="DIR", help="default: [stream] events")
    verb.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)  # ends with it
    verb.add_argument("--once", action="store_true", help="end when all new events are in lists")
    verb.set_defaults(run=_fresh)


def _fresh(options: argparse.Namespace) -> int:
    settings = load_section("fresh", FreshSettings, options.config)
    store = options.store or Path(load_section("store", StoreSettings, options.config).path)
    events = options.events or Path(load_section("stream", StreamSettings, options.config).events)
    stop = stop_on_signals()
    metrics = FreshMetrics()
    try:
        make_store(store)
    except OSError as error:
        remedy = "make room there, or check its rights"
        raise StreamError(store, f"cannot be written: {error.strerror}", remedy) from error
    with (
        locked(fresh_lock(store)),
        FreshWriter(store) as writer,
        SpeedLayer(store, events, settings, writer, metrics) as layer,
    ):
        if options.once:
            while layer.step() and not stop.wait(0):
                pass
            log.info("%d users have a fresh list", writer.n_lists)
            return 0
        if settings.metrics_port:
            metrics.serve(settings.metrics_host, settings.metrics_port)
        log.info("following %s and %s", events, store)
        run(layer, partial(_pause, stop, options.parent), settings.poll_seconds)
    return 0


def _pause(stop: StopRequest, parent: int, seconds: float) -> bool:
    """Wait; return whether to stop: on request, or when the process that started this is gone."""
    return stop.wait(seconds) or (parent > 0 and os.getppid() != parent)
