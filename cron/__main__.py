"""`python -m cron`: the clock that runs the refresh every night."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from cron.errors import CronError
from cron.lock import one_instance
from cron.scheduler import Scheduler
from cron.settings import CronSettings
from cron.stop import stop_on_signals
from store.config import StoreSettings, load_section
from store.errors import StoreError

_EPILOG = """\
example:
  python -m cron                 run until SIGTERM: every night at the hour of [cron] at
  python -m cron --once          run the refresh now, and exit 0 if it succeeded, else 1
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
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
            clock = Scheduler(settings, store, _refresh_command(options.config), stop)
            if options.once:
                return 0 if clock.refresh() else 1
            clock.run()
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
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="the settings (default: marquee.toml)"
    )
    return parser


def _refresh_command(config: Path | None) -> list[str]:
    chosen = ["--config", str(config)] if config else []
    return [sys.executable, "-m", "batch", "refresh", *chosen]


if __name__ == "__main__":
    sys.exit(main())
