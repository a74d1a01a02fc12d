"""The server's command: `python -m serve`."""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

from serve.errors import ServeError
from serve.settings import ServeSettings
from serve.supervisor.handover import OPTION, Handover
from serve.supervisor.nginx import check_front
from serve.supervisor.supervisor import Supervisor
from store.config import StoreSettings, load_section
from store.errors import ConfigError, StoreError
from store.settings_table import add_config, print_config

SECTIONS = {"serve": ServeSettings}

_EXAMPLE = """example:
  python -m serve --port 8080 &
  curl http://127.0.0.1:8080/recommend/12345

What is not given comes from marquee.toml, else from the defaults in README.md.
SIGTERM stops it cleanly; SIGHUP takes on new code and configuration, if they start, without
losing a request. Exit status: 0 stopped, 1 could not start, 2 wrong usage."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop, and return the exit status."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        if given.verb == "config":
            return print_config(given)
        settings = load_section("serve", ServeSettings, given.config)
        store = load_section("store", StoreSettings, given.config)
        named = {key: getattr(given, key) for key in ("host", "port", "workers")}
        named = {key: value for key, value in named.items() if value is not None}
        try:
            settings = dataclasses.replace(settings, **named)
        except ValueError as error:
            raise ConfigError("command line", str(error)) from error
        if given.check:
            return _check(settings, bare=given.bare)
        last = Handover.read(given.resume) if given.resume is not None else None
        Supervisor(given.store or Path(store.path), settings, bare=given.bare, last=last).run()
    except (ServeError, StoreError) as error:
        print(f"cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


def _check(settings: ServeSettings, *, bare: bool) -> int:
    settings.token()
    if not bare:
        check_front(settings)
    print("the configuration is in order")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serve",
        description="Answer recommendation requests out of the current snapshot.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="default: [store] path, var/store"
    )
    parser.add_argument("--host", help="default: 127.0.0.1")
    parser.add_argument("--port", type=int, help="default: 8080; 0 takes a free one")
    parser.add_argument("--workers", type=int, metavar="N", help="default: one for each processor")
    parser.add_argument(
        "--bare", action="store_true", help="without nginx: for benchmarks and trusted networks"
    )
    parser.add_argument(
        "--check", action="store_true", help="check the configuration, start nothing"
    )
    add_config(parser.add_subparsers(metavar="[config]", dest="verb"), SECTIONS)
    parser.add_argument(OPTION, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    return parser


if __name__ == "__main__":
    sys.exit(main())
