"""The commands of the stream: `python -m stream collect|fresh|online|watch|experiment|…`."""

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
from stream.experiments.estimate_command import add_estimate
from stream.experiments.look_command import add_looks
from stream.experiments.plan_command import add_plan
from stream.explain import add_explain
from stream.fresh.command import add_fresh
from stream.fresh.settings import FreshSettings
from stream.online.command import add_online
from stream.online.settings import OnlineSettings
from stream.settings import StreamSettings
from stream.watch.command import add_watch
from stream.watch.settings import WatchSettings

SECTIONS = {
    "stream": StreamSettings,
    "fresh": FreshSettings,
    "online": OnlineSettings,
    "watch": WatchSettings,
}


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
        description="Collect events, keep lists fresh, and measure what they are worth.",
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB", dest="verb")
    add_verbs(verbs)
    add_fresh(verbs)
    add_online(verbs)
    add_watch(verbs)
    add_explain(verbs)
    add_estimate(verbs)
    about = "Compare two versions of the lists on users."
    experiment = verbs.add_parser("experiment", help=about, description=about)
    of_experiment = experiment.add_subparsers(required=True, metavar="VERB")
    add_plan(of_experiment)
    add_changes(of_experiment)
    add_looks(of_experiment)
    add_config(verbs, SECTIONS)
    return parser


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
