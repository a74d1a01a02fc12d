"""Outside of the service: a client that sends requests all the time, and a receiver of messages."""

import http.client
import http.server
import threading
from types import TracebackType
from typing import Final, Self

from benchmarks.harness.background import Background
from benchmarks.harness.servers import Address

_PAUSE_SECONDS: Final = 0.05
_LIMIT_SECONDS: Final = 5.0  # the machine may be busy; latency is measured elsewhere


class Clients(Background):
    """A client that requests lists until it is closed.

    Attributes:
        n_requests: Number of requests.
        n_failed: Number of those that were not answered with a list.
    """

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address
        self.n_requests = self.n_failed = 0

    def _run(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            self.n_requests += 1
            connection = http.client.HTTPConnection(*self._address, timeout=_LIMIT_SECONDS)
            try:
                connection.request("GET", f"/recommend/{self.n_requests % 500}")
                response = connection.getresponse()
                self.n_failed += response.status != http.HTTPStatus.OK or not response.read()
            except OSError:
                self.n_failed += 1
            finally:
                connection.close()


class Inbox:
    """A web server that gets the messages.

    Attributes:
        address: URL that messages are posted to.
        texts: Texts of the messages, in their order.
    """

    def __init__(self) -> None:
        self.texts = texts = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                texts.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(http.HTTPStatus.OK)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
