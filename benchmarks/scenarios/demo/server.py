"""The demo's server: `python -m serve` in a process of its own."""

import http.client
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from benchmarks.scenarios.demo.terminal import Picture

_SERVING: Final = re.compile(r"serving on http://([^:]+):(\d+)")
_OPENED: Final = re.compile(r"serves generation (\d+)")
_START_SECONDS: Final = 60.0
_MAX_SHOWN_CHARACTERS: Final = 100


class Server:
    """The running server; leaving the `with` stops it.

    Args:
        store: Store that it serves.
        port: Port to listen at; 0: a free one.
        picture: Where its log is printed.

    Attributes:
        host, port: Address that it listens at.
        generation: Generation that a worker has opened last; 0: none yet.
        status: Exit status, once it has ended.
    """

    def __init__(self, store: Path, port: int, picture: Picture) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "serve", "--store", str(store), "--port", str(port)],
            stderr=subprocess.PIPE,
            text=True,
        )
        self._picture = picture
        self._has_started = threading.Event()
        self.host, self.port, self.generation, self.status = "", 0, 0, 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._read_log, daemon=True).start()
        if not self._has_started.wait(_START_SECONDS) or not self.generation:
            self.__exit__()
            raise SystemExit("the server did not start; see its log above")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self.status = self._process.wait()

    def show_list(self, user_id: str, who: str, query: str = "") -> None:
        """Request one user's list and print the request and its response."""
        target = f"/recommend/{quote(user_id)}{query}"
        status, headers, body = self._get(target)
        source = headers.get("X-Marquee-Source", "-")
        is_long = len(body) > _MAX_SHOWN_CHARACTERS
        shown = body[:_MAX_SHOWN_CHARACTERS] + "…" if is_long else body
        print(
            f"GET {target}    ({who})\n  {status}  source {source}  {shown.strip()}\n", flush=True
        )

    def show_health(self) -> None:
        """Request `/healthz` and print its response."""
        status, _, body = self._get("/healthz")
        print(f"GET /healthz\n  {status}  {body}\n", flush=True)

    def wait(self) -> None:
        """Return when the server ends, or at Ctrl-C."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            print()

    def _get(self, path: str) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_START_SECONDS)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._picture.print(f"  server: {line.rstrip()}", sys.stderr)
            if found := _SERVING.search(line):
                self.host, self.port = found[1], int(found[2])
            if found := _OPENED.search(line):
                self.generation = int(found[1])
                self._has_started.set()
        self._has_started.set()
