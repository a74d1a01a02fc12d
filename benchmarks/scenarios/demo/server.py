"""The demo's server: `python -m serve`, and requests to show."""

import http.client
import re
import sys
from pathlib import Path
from typing import Final
from urllib.parse import quote

from benchmarks.harness.servers import MarqueeServer
from benchmarks.scenarios.demo.terminal import Picture

_OPENED: Final = re.compile(r"serves generation (\d+)")
_TIMEOUT_SECONDS: Final = 60.0
_MAX_SHOWN_CHARACTERS: Final = 100
_PAGES: Final = {"/": "lists, and why", "/status": "the service", "/generations": "snapshots"}


class DemoServer(MarqueeServer):
    """The running server; leaving the `with` stops it.

    Args:
        store: Store that it serves.
        folder: Directory of its log and its configuration.
        port: Port to listen at; 0: a free one.
        picture: Where its log is printed.

    Attributes:
        generation: Generation that a worker has opened last; 0: none yet.
    """

    def __init__(self, store: Path, folder: Path, port: int, picture: Picture) -> None:
        (folder / "marquee.toml").write_text('[serve]\npages = "open"\n')
        super().__init__(store, folder, port=port, on_log_line=self._on_line)
        self._picture = picture
        self.generation = 0

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

    def show_pages(self) -> None:
        """Print the addresses of the pages."""
        print("Pages, in a browser:")
        for path, about in _PAGES.items():
            print(f"  http://{self.address.host}:{self.address.port}{path}    {about}", flush=True)

    def wait_for_interrupt(self) -> None:
        """Return when the server ends, or at Ctrl-C."""
        try:
            self.wait()
        except KeyboardInterrupt:
            print()

    def _get(self, path: str) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(*self.address, timeout=_TIMEOUT_SECONDS)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode()

    def _on_line(self, line: str) -> None:
        self._picture.print(f"  server: {line}", sys.stderr)
        if found := _OPENED.search(line):
            self.generation = int(found[1])
