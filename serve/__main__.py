"""The server's command: `python -m serve`."""

import argparse
import dataclasses
import logging
import os
import sys
from pathlib import Path
from typing import Any

from serve.errors import ServeError
from serve.processes import become_user
from serve.routes import Machine, routes
from serve.settings import ServeSettings
from serve.status_paths import StatusPaths
from serve.supervisor.handover import OPTION, Handover
from serve.supervisor.nginx import check_nginx
from serve.supervisor.supervisor import Supervisor
from store.config import StoreSettings, load_section
from store.errors import ConfigError, StoreError
from store.settings_table import add_config, print_config

SECTIONS = {"serve": ServeSettings}

_EXAMPLE = """example:
  python -m serve --port 8080 &
  curl http://127.0.0.1:8080/recommend/12345

Precedence: options, MARQUEE_SERVE_<KEY> in the environment, marquee.toml, defaults.
SIGTERM drains the connections and stops. SIGHUP loads new code and configuration
after a check, and replaces the workers one by one without losing a request.
Exit status: 0 stopped, 1 could not start, 2 wrong usage."""

_ROUTES_EXAMPLE = """example:
  python -m serve routes --shards 4 --machine 10.0.0.1:8080=0,1 --machine 10.0.0.2:8080=all"""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        if options.verb == "config":
            return print_config(options)
        if options.verb == "routes":
            return _print_routes(options)
        settings = _settings(options)
        configured = load_section("store", StoreSettings, options.config)
        if options.check:
            return _check(settings, bare=options.bare)
        store = options.store or Path(configured.path)
        previous = Handover.read(options.resume) if options.resume is not None else None
        paths = StatusPaths.configured(options.config)
        Supervisor(store, settings, paths, bare=options.bare, previous=previous).run()
    except (ServeError, StoreError) as error:
        print(f"cannot serve: {error}", file=sys.stderr)
        return 1
    return 0


def _settings(options: argparse.Namespace) -> ServeSettings:
    """Return the `[serve]` section, overridden by the options of the command line."""
    settings = load_section("serve", ServeSettings, options.config)
    overrides = {key: getattr(options, key) for key in ("host", "port", "workers")}
    overrides = {key: value for key, value in overrides.items() if value is not None}
    try:
        return dataclasses.replace(settings, **overrides)
    except ValueError as error:
        raise ConfigError("command line", str(error)) from error


def _check(settings: ServeSettings, *, bare: bool) -> int:
    os.umask(0o027)  # nginx makes the access log
    become_user(settings.user)
    settings.token()
    if not bare:
        check_nginx(settings)
    print("configuration: no problems found")
    return 0


def _print_routes(options: argparse.Namespace) -> int:
    machines = [Machine.parse(text, options.shards) for text in options.machine]
    sys.stdout.write(routes(machines, options.shards, options.listen))
    return 0


def _add_routes(verbs: Any) -> None:
    about = "Print the configuration of an nginx in front of machines that share the users' shards."
    verb = verbs.add_parser(
        "routes",
        help=about,
        description=about,
        epilog=_ROUTES_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument(
        "--shards", type=int, required=True, metavar="N", help="number of shards: [batch] shards"
    )
    verb.add_argument(
        "--machine",
        action="append",
        required=True,
        metavar="HOST:PORT=0,1",
        help="a server and its [serve] shards, or HOST:PORT=all; give each shard to two",
    )
    verb.add_argument(
        "--listen", default="80", metavar="[HOST:]PORT", help="address of the front (default: 80)"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serve",
        description="Answer recommendation requests from the current snapshot.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--store", type=Path, metavar="DIR", help="the store (default: [store] path, var/store)"
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="TCP port (default: 8080); 0 takes any free port")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="worker processes (default: one per processor)"
    )
    parser.add_argument(
        "--bare",
        action="store_true",
        help="serve without nginx, for benchmarks and trusted networks only",
    )
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    verbs = parser.add_subparsers(metavar="[config | routes]", dest="verb")
    add_config(verbs, SECTIONS)
    _add_routes(verbs)
    parser.add_argument(OPTION, type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration file (default: marquee.toml)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
