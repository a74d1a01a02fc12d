"""The commands of the stream: `python -m stream collect|fresh|online|watch|experiment|…`."""

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Final

from batch.errors import BatchError
from store.durable import keep_from_others
from store.errors import StoreError
from store.settings_table import add_config, print_config
from stream.errors import StreamError
from stream.fresh.settings import FreshSettings
from stream.online.settings import OnlineSettings
from stream.settings import StreamSettings
from stream.watch.settings import WatchSettings

SECTIONS = {
    "stream": StreamSettings,
    "fresh": FreshSettings,
    "online": OnlineSettings,
    "watch": WatchSettings,
}


# Verbs, and the function of a module that adds their parsers. Only what runs is imported: the
# collector does without the 70 MiB that the statistics of the others take.
_VERBS: Final = (
    (("collect", "status", "rebuild"), "stream.collect.command", "add_verbs"),
    (("fresh",), "stream.fresh.command", "add_fresh"),
    (("online",), "stream.online.command", "add_online"),
    (("watch",), "stream.watch.command", "add_watch"),
    (("experiment",), "stream.experiments.verbs", "add_experiment"),
    (("estimate",), "stream.experiments.estimate_command", "add_estimate"),
    (("explain",), "stream.explain", "add_explain"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser(given).parse_args(given)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        level=logging.INFO,
    )
    try:
        if options.verb == "config":
            return print_config(options)
        status: int = options.run(options)
    except (BatchError, StoreError, StreamError) as error:
        print(f"{options.verb} failed: {error}", file=sys.stderr)
        return 1
    return status


def _parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of the verb that is asked for, or of all, which are slow to import."""
    parser = argparse.ArgumentParser(
        prog="python -m stream",
        description="Collect events, keep lists fresh, and measure what they are worth.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    for names, module, function in _VERBS:
        if verb in names or not any(verb in others for others, _, _ in _VERBS):
            getattr(importlib.import_module(module), function)(verbs)
    add_config(verbs, SECTIONS)
    return parser


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
