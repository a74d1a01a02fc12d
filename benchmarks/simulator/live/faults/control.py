"""The HTTP API for faults during the run, for this machine alone.

POST /faults      adds the fault of the body, a specification
GET /faults       lists all kinds, and the faults that are waiting, active and done

$ curl -d 'now traffic factor=10 for=1m' http://127.0.0.1:PORT/faults
"""

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from benchmarks.simulator.live.errors import FaultError
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.specs import KINDS

_HOST: Final = "127.0.0.1"
_PATH: Final = "/faults"
_MAX_SPEC_BYTES: Final = 4096
_CONNECTION_TIMEOUT_SECONDS: Final = 10
_POLL_SECONDS: Final = 0.1  # between two checks whether to stop


class FaultControl:
    """HTTP server in a thread, until `close`.

    Args:
        faults: Schedule to which faults are added.
        port: Port to listen on, 0 for any free one.

    Attributes:
        host, port: Address of the server.

    Raises:
        FaultError: The port cannot be opened.
    """

    def __init__(self, faults: FaultSchedule, port: int = 0) -> None:
        class Handler(_Handler):
            schedule = faults

        self.host = _HOST
        try:
            self._server = ThreadingHTTPServer((_HOST, port), Handler)
        except OSError as error:
            problem = f"cannot be opened for faults: {error.strerror}"
            raise FaultError(f"port {port}", problem, "choose another port") from error
        self.port = self._server.server_port
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(_POLL_SECONDS,), daemon=True)
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
    schedule: FaultSchedule
    timeout = _CONNECTION_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        if self.path != _PATH:
            self._answer(HTTPStatus.NOT_FOUND, _message(f"not found: use {_PATH}"))
            return
        by_state: dict[str, list[dict[str, Any]]] = {"waiting": [], "active": [], "done": []}
        for fault in self.schedule.all():
            by_state[fault.state].append(_abridged(fault.as_json()))
        state = {"seconds": round(self.schedule.seconds, 3), "kinds": _kinds(), **by_state}
        self._answer(HTTPStatus.OK, state)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if self.path != _PATH:
            self._answer(HTTPStatus.NOT_FOUND, _message(f"not found: send faults to {_PATH}"))
        elif not length.isdecimal() or int(length) > _MAX_SPEC_BYTES:
            problem = f"a fault has at most {_MAX_SPEC_BYTES} bytes"
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _message(problem))
        else:
            self._add(self.rfile.read(int(length)).decode(errors="replace"))

    def log_message(self, form: str, *values: Any) -> None:
        """Log nothing: standard error is for the simulation."""

    def _add(self, text: str) -> None:
        try:
            fault = self.schedule.add(text)
        except FaultError as error:
            self._answer(HTTPStatus.BAD_REQUEST, _message(str(error)))
        else:
            self._answer(HTTPStatus.OK, _abridged(fault.as_json()))

    def _answer(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        body = json.dumps(content, indent=1).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _message(text: str) -> dict[str, Any]:
    return {"message": text}


def _abridged(fault: dict[str, Any]) -> dict[str, Any]:
    """Return a fault with the lengths of its lists; the fault log has the full lists."""
    return {key: len(one) if isinstance(one, list) else one for key, one in fault.items()}


def _kinds() -> dict[str, Any]:
    return {
        name: {"does": kind.description, **{key: one.description for key, one in kind.keys.items()}}
        for name, kind in KINDS.items()
    }
