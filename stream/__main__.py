"""The commands of the stream: `python -m stream collect|fresh|status|rebuild|experiment|config`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from batch.errors import BatchError
from store.durable import keep_from_others
from store.errors import StoreError
from store.settings_table import add_config, print_config
from stream.collect.command import add_verbs
from stream.errors import StreamError
from stream.experiments.command import add_changes
from stream.fresh.command import add_verb
from stream.fresh.settings import FreshSettings
from stream.settings import StreamSettings

SECTIONS = {"stream": StreamSettings, "fresh": FreshSettings}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stream",
        description="Collect events, keep lists fresh, and compare versions of them.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    add_verbs(verbs)
    add_verb(verbs)
    about = "Compare two versions of the lists on users."
    experiment = verbs.add_parser("experiment", help=about, description=about)
    add_changes(experiment.add_subparsers(required=True, metavar="VERB"))
    add_config(verbs, SECTIONS)
    return parser


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
