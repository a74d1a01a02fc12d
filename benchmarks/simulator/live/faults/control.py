"""The address for trouble while it runs, on this machine alone.

POST /trouble      the text of an order
GET /trouble       the kinds there are, and what is waiting, active and done

$ curl -d 'now traffic factor=10 for=1m' http://127.0.0.1:PORT/trouble
"""

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from benchmarks.simulator.live.errors import TroubleError
from benchmarks.simulator.live.faults.active import Trouble
from benchmarks.simulator.live.faults.specs import KINDS

_HOST: Final = "127.0.0.1"
_PATH: Final = "/trouble"
_LONGEST_ORDER: Final = 4096  # bytes
_HUNG_SECONDS: Final = 10
_LOOK_SECONDS: Final = 0.1  # between two looks whether it is over


class TroubleControl:
    """Listens in a thread until `close`; it sleeps while nobody asks.

    Args:
        trouble: That orders are for.
        port: 0 for any free one.

    Attributes:
        host, port: Where it listens.

    Raises:
        TroubleError: The port cannot be had.
    """

    def __init__(self, trouble: Trouble, port: int = 0) -> None:
        class Handler(_Handler):
            orders = trouble

        self.host = _HOST
        try:
            self._server = ThreadingHTTPServer((_HOST, port), Handler)
        except OSError as error:
            what = f"cannot be had for trouble: {error.strerror}"
            raise TroubleError(f"port {port}", what, "choose another") from error
        self.port = self._server.server_port
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(_LOOK_SECONDS,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    orders: Trouble
    timeout = _HUNG_SECONDS

    def do_GET(self) -> None:
        if self.path != _PATH:
            self._answer(HTTPStatus.NOT_FOUND, _message(f"ask for {_PATH}"))
            return
        shown = {"waiting": [], "active": [], "done": []}  # type: dict[str, list[dict[str, Any]]]
        for happening in self.orders.all():
            shown[happening.state].append(_abridged(happening.shown()))
        state = {"seconds": round(self.orders.seconds, 3), "kinds": _kinds(), **shown}
        self._answer(HTTPStatus.OK, state)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if self.path != _PATH:
            self._answer(HTTPStatus.NOT_FOUND, _message(f"send orders to {_PATH}"))
        elif not length.isdecimal() or int(length) > _LONGEST_ORDER:
            what = f"an order has at most {_LONGEST_ORDER} bytes"
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _message(what))
        else:
            self._order(self.rfile.read(int(length)).decode(errors="replace"))

    def log_message(self, form: str, *values: Any) -> None:
        """Say nothing: standard error belongs to the live loop."""

    def _order(self, text: str) -> None:
        try:
            happening = self.orders.order(text)
        except TroubleError as error:
            self._answer(HTTPStatus.BAD_REQUEST, _message(str(error)))
        else:
            self._answer(HTTPStatus.OK, _abridged(happening.shown()))

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content, indent=1).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _message(text: str) -> dict[str, Any]:
    return {"message": text}


def _abridged(shown: dict[str, Any]) -> dict[str, Any]:
    """Return what goes on with the lengths of lists in their place; the file has them whole."""
    return {key: len(one) if isinstance(one, list) else one for key, one in shown.items()}


def _kinds() -> dict[str, Any]:
    return {
        name: {"does": kind.says, **{key: one.says for key, one in kind.keys.items()}}
        for name, kind in KINDS.items()
    }
