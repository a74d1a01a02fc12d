"""The whole of Marquee in one run: make data, refresh, serve, ask, let users live with it, stop.

    python -m benchmarks.demo             shows it and ends
    python -m benchmarks.demo --serve     goes on serving

Everything happens in `var/demo`, with the commands that you would use yourself.
"""

import argparse
import http.client
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from store.layout import snapshot_folder
from store.pointer import current
from store.snapshot import open_snapshot

_FOLDER = Path("var/demo")
_HISTORY = _FOLDER / "history"
_WORLD = ("--views-per-user", "6")
_SECONDS, _CI_SECONDS, _MOST_SECONDS = 60.0, 10.0, 600.0  # of live traffic
_FOLLOWED = re.compile(r"serves generation (\d+)")
_SERVING = re.compile(r"serving on http://([^:]+):(\d+)")
_START_SECONDS = 20
_STRANGER = "no-such-user"
_MALFORMED = "no such user"
_SHOWN_CHARACTERS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--serve", action="store_true", help="go on serving until Ctrl-C")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    given = parser.parse_args(arguments)
    store = _FOLDER / "store"
    if not (given.serve and (store / "CURRENT").exists()):
        _build(store)
    with _Server(store, given.port) as server:
        _say("3. The server, and what it answers")
        for user_id in _some_users(store):
            server.ask(user_id, "a user with views")
        watched = ",".join(_some_items(store))
        server.ask(_STRANGER, "a user whom nobody has seen")
        server.ask(_STRANGER, "the same, with two films just watched", f"?history={watched}")
        server.ask(_MALFORMED, "a malformed id")
        server.ask_health()
        if not given.serve:
            _live(store, server)
        else:
            _say(f"Serving on http://{server.host}:{server.port} until Ctrl-C")
            server.wait()
    if server.status:
        print(f"the server ended with {server.status}", file=sys.stderr)
        return 1
    _say(f"The snapshot lies in {snapshot_folder(store, current(store))}; look at it with:")
    print(f"  .venv/bin/python -m store --store {store} ls")
    return 0


def _build(store: Path) -> None:
    _say("1. A small simulated streaming service: users, films, a week of events")
    _run("benchmarks.simulator", "history", "--out", str(_HISTORY), "--noise", "0.0005", *_WORLD)
    _say("2. The refresh: from events to a published snapshot")
    _refresh(store, _HISTORY / "events")


def _live(store: Path, server: "_Server") -> None:
    """Let users ask, watch and rate; publish what comes of it meanwhile."""
    half = (_CI_SECONDS if os.environ.get("CI") else _SECONDS) / 2
    log = _FOLDER / "live" / "events.log"
    log.unlink(missing_ok=True)
    _say("4. Live: users ask, watch what they are shown, and make new events")
    url = f"http://{server.host}:{server.port}"
    live = _start(
        *("benchmarks.simulator", "live", "--server", url, "--rate", "100"),
        *("--seconds", str(_MOST_SECONDS), *_WORLD, "--stream", str(log)),
        *("--json", str(_FOLDER / "live" / "report.json")),
    )
    try:
        time.sleep(half)
        _say("5. Meanwhile, the next refresh: the history and the new events")
        before = current(store)
        _refresh(store, _HISTORY / "events", log)
        if current(store) == before or not server.serves(current(store)):
            raise SystemExit("the new snapshot is not served")
        time.sleep(half)
    finally:
        live.send_signal(signal.SIGINT)  # it ends with its report
        _say("6. What came of it")
        status = live.wait()
    if status:
        raise SystemExit("not every request was answered as it should")


def _refresh(store: Path, *events: Path) -> None:
    _run(
        *("batch", "refresh", "--events", *map(str, events)),
        *("--catalogue", str(_HISTORY / "catalogue.jsonl")),
        *("--profiles", str(_HISTORY / "profiles.jsonl"), "--store", str(store)),
    )


class _Server:
    """`python -m serve` in a process of its own, stopped at the end whatever happens."""

    def __init__(self, store: Path, port: int) -> None:
        command = [sys.executable, "-m", "serve", "--store", str(store)]
        self._process = subprocess.Popen(
            [*command, "--port", str(port)], stderr=subprocess.PIPE, text=True
        )
        self._is_serving = threading.Event()
        self.host, self.port, self.status = "", 0, 0
        self._generation = 0

    def __enter__(self) -> "_Server":
        threading.Thread(target=self._read_log, daemon=True).start()
        if not self._is_serving.wait(_START_SECONDS):
            self.__exit__()
            raise SystemExit("the server did not start; its log stands above")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self.status = self._process.wait()

    def ask(self, user_id: str, who: str, query: str = "") -> None:
        """Ask for one user and print the whole exchange."""
        target = f"/recommend/{quote(user_id)}{query}"
        status, headers, body = self._get(target)
        print(f"GET {target}    ({who})")
        source = headers.get("X-Marquee-Source", "-")
        shown = body if len(body) <= _SHOWN_CHARACTERS else body[:_SHOWN_CHARACTERS] + "…"
        print(f"  {status}  source {source}  {shown.strip()}\n")

    def ask_health(self) -> None:
        """Print what `/healthz` says."""
        status, _, body = self._get("/healthz")
        print(f"GET /healthz\n  {status}  {body}\n")

    def serves(self, generation: int) -> bool:
        """Wait for a while until a generation is served, and tell whether it is."""
        deadline = time.monotonic() + _START_SECONDS
        while self._generation != generation and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._generation == generation

    def wait(self) -> None:
        """Return when the server ends, or at Ctrl-C."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            print()

    def _get(self, path: str) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            print(f"  server: {line.rstrip()}", file=sys.stderr, flush=True)
            if found := _SERVING.search(line):
                self.host, self.port = found[1], int(found[2])
            if found := _FOLLOWED.search(line):
                self._generation = int(found[1])
                self._is_serving.set()
        self._is_serving.set()


def _run(*arguments: str) -> None:
    if _start(*arguments).wait():
        raise SystemExit(1)


def _start(*arguments: str) -> subprocess.Popen[bytes]:
    print(f"$ python -m {' '.join(arguments)}", flush=True)
    return subprocess.Popen([sys.executable, "-m", *arguments])


def _some_users(store: Path) -> list[str]:
    with open_snapshot(store, current(store)) as snapshot:
        return [user.decode() for user, _ in itertools.islice(snapshot.users, 2)]


def _some_items(store: Path) -> list[str]:
    with open_snapshot(store, current(store)) as snapshot:
        return [name.decode() for name, _ in itertools.islice(snapshot.similar, 2)]


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
