"""All of Marquee in one run: data, refresh, server, traffic, fresh lists, a publish half-way, stop.

    python -m benchmarks.scenarios.demo             30 seconds of traffic, then the report
    python -m benchmarks.scenarios.demo --serve     serve until Ctrl-C

Everything happens in `var/demo`, by the commands that a user would type.
"""

import argparse
import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.harness.arguments import port as port_number
from benchmarks.harness.arguments import positive_float
from benchmarks.scenarios.demo.commands import FOLDER, STORE, history, refresh, start
from benchmarks.scenarios.demo.live import run_live
from benchmarks.scenarios.demo.server import DemoServer
from benchmarks.scenarios.demo.terminal import Picture
from store.layout import REPORT_HTML, snapshot_folder
from store.pointer import current
from store.snapshot import open_snapshot

_SECONDS: Final = 30.0
_CI_SECONDS: Final = 10.0
_UNKNOWN_USER: Final = "no-such-user"
_MALFORMED: Final = "no such user"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    began = time.monotonic()
    options = _parser().parse_args(arguments)
    if not (options.serve and (STORE / "CURRENT").exists()):
        _build()
    picture = Picture()
    with DemoServer(STORE.absolute(), FOLDER.absolute(), options.port, picture) as server:
        _show_responses(server, began)
        if options.serve:
            print(
                f"\n== Serving on http://{server.address.host}:{server.address.port} until Ctrl-C",
                flush=True,
            )
            server.show_pages()
            server.wait_for_interrupt()
        else:
            run_live(options.seconds, server, picture)
    if status := server.process.returncode:
        print(f"the server ended with status {status}", file=sys.stderr)
        return 1
    print(f"\n== The demo took {time.monotonic() - began:.0f} s")
    print("`make run` serves its pages: /, /status and /generations on http://127.0.0.1:8080")
    print(f"The snapshot is in {snapshot_folder(STORE, current(STORE))}; look at it with:")
    print(f"  .venv/bin/python -m store --store {STORE} ls")
    print(f"Its report, a page for the browser: {_report()}")
    return 0


def _report() -> Path:
    return snapshot_folder(STORE, current(STORE)) / REPORT_HTML


def _build() -> None:
    with _stage("1. A small simulated streaming service: users, films, a week of events"):
        _run(history())
    with _stage("2. The refresh: from events to a published snapshot"):
        _run(refresh())


def _show_responses(server: DemoServer, began: float) -> None:
    """Print one request of each kind; the first as soon as the server runs."""
    print("\n== 3. The server, and one request of each kind", flush=True)
    with open_snapshot(STORE, current(STORE)) as snapshot:
        users = [user.decode() for user, _ in itertools.islice(snapshot.users, 2)]
        items = [item.decode() for item, _ in itertools.islice(snapshot.similar, 2)]
    for number, user_id in enumerate(users):
        server.show_list(user_id, "a user with views")
        if number == 0:
            print(f"  first answer {time.monotonic() - began:.1f} s after the start\n", flush=True)
    server.show_list(_UNKNOWN_USER, "an unknown user")
    server.show_list(
        _UNKNOWN_USER, "the same user, with two films just watched", f"?history={','.join(items)}"
    )
    server.show_list(_MALFORMED, "a malformed id")
    server.show_health()


@contextlib.contextmanager
def _stage(title: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"\n== {title}", flush=True)
    yield
    print(f"   done in {time.monotonic() - began:.1f} s", flush=True)


def _run(command: list[str]) -> None:
    print(f"$ python -m {' '.join(command)}", flush=True)
    if start(command).wait():
        raise SystemExit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scenarios.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--serve", action="store_true", help="serve until Ctrl-C, without traffic")
    parser.add_argument(
        "--port", type=port_number, default=0, help="port of the server; default: a free one"
    )
    parser.add_argument(
        "--seconds", type=positive_float, metavar="N",
        default=_CI_SECONDS if os.environ.get("CI") else _SECONDS,
        help=f"duration of the traffic; default: {_SECONDS:.0f}, with CI=1 {_CI_SECONDS:.0f}",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
