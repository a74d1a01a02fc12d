"""`python -m cron`: the scheduler that runs the refresh every night."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from cron.errors import CronError
from cron.lock import one_instance
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from store.config import StoreSettings, load_section
from store.durable import keep_from_others
from store.errors import StoreError
from store.settings_table import add_config, print_config
from store.stop import stop_on_signals

SECTIONS = {"cron": CronSettings}

_EPILOG = """\
example:
  python -m cron                 run until SIGTERM, and refresh daily at the time of [cron] at
  python -m cron --once          run the refresh now; exit 0 if it succeeded, else 1
  python -m cron config --toml   print all settings with their defaults

Exit status: 0 stopped or succeeded, 1 could not start or the refresh failed, 2 wrong usage.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    if options.verb == "config":
        return print_config(options)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S%z",
        level=logging.INFO,
    )
    stop = stop_on_signals()
    try:
        settings = load_section("cron", CronSettings, options.config)
        store = Path(load_section("store", StoreSettings, options.config).path)
        with one_instance(Path(settings.path)):
            scheduler = Scheduler(settings, store, _refresh_command(options.config), stop)
            if options.once:
                return 0 if scheduler.refresh() else 1
            scheduler.run()
    except (CronError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cron",
        description="Run the refresh every night, one instance at a time.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="run the refresh now and exit")
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    add_config(parser.add_subparsers(metavar="[config]", dest="verb"), SECTIONS)
    return parser


def _refresh_command(config: Path | None) -> list[str]:
    chosen = ["--config", str(config)] if config else []
    return [sys.executable, "-m", "batch", "refresh", *chosen]


if __name__ == "__main__":
    keep_from_others()
    sys.exit(main())
