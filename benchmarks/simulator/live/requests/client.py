"""The client process: it sends requests when they are due, and times each from that moment.

    simulation ─── Window ──► RequestLoop ─► servers
               ◄─ Response ──

It does nothing else, so that no other work of the simulator looks like a slow
server. For the same reason it leads a session of its own, which has priority where
that is permitted. The loop is open: no request waits for the answer to another one.
"""

import contextlib
import gc
import multiprocessing
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import raise_priority
from benchmarks.resilience.answers import Answer
from benchmarks.simulator.live.requests.connections import Connections, Request
from benchmarks.simulator.live.requests.messages import (
    LIMIT_MS,
    TIMED_OUT,
    Address,
    Response,
    Window,
)

_ROOT: Final = Path(__file__).parents[4]
_LIMIT_SECONDS: Final = LIMIT_MS / 1000
_IDLE_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 10.0


class RequestClient:
    """Handle of the client process; leaving the `with` ends the process.

    Args:
        addresses: Addresses of the servers.
        keep_alive: Whether connections are kept for further requests.

    Attributes:
        processor_seconds: CPU time of the process; known after the `with`.
    """

    def __init__(self, addresses: Sequence[Address], *, keep_alive: bool = True) -> None:
        self.processor_seconds = 0.0
        self._pipe, far = multiprocessing.Pipe()
        command = [sys.executable, "-m", __name__, str(far.fileno())]
        self._process = subprocess.Popen(
            command, cwd=_ROOT, pass_fds=[far.fileno()], start_new_session=True
        )
        raise_priority(self._process.pid)
        far.close()
        self._pipe.send((list(addresses), keep_alive))
        self._pipe.recv()  # the process is ready
        # Both ends may send more than the pipe holds at once: a thread must always receive.
        self._received: queue.SimpleQueue[tuple[int, list[Response]] | None] = queue.SimpleQueue()
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()

    def __enter__(self) -> "RequestClient":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._pipe.send(None)
        self._receiver.join(_STOP_SECONDS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def send(self, window: Window) -> None:
        """Send the requests of a window to the process; each goes out when it is due."""
        self._pipe.send(window)

    def receive(self, seconds: float) -> tuple[int, list[Response]] | None:
        """Return the number and the responses of a complete window, or None after `seconds`.

        Raises:
            EOFError: The process has ended.
        """
        try:
            received = self._received.get(block=seconds > 0, timeout=seconds)
        except queue.Empty:
            return None
        if received is None:
            raise EOFError("the client process has ended")
        return received

    def _receive(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while not isinstance(received := self._pipe.recv(), float):
                self._received.put(received)
            self.processor_seconds = received
        self._received.put(None)


@dataclass(slots=True)
class _OpenWindow:
    responses: list[Response | None]
    n_open: int


class RequestLoop:
    """Event loop of the client process.

    Args:
        pipe: Connection that brings windows, or None at the end, and takes
            `(number, list[Response])`.
        addresses: Addresses of the servers.
        keep_alive: Whether connections are kept for further requests.
    """

    def __init__(self, pipe: Connection, addresses: Sequence[Address], *, keep_alive: bool) -> None:
        self._pipe = pipe
        self._poll = select.epoll()
        self._poll.register(pipe.fileno(), select.EPOLLIN)
        self._connections = Connections(
            self._poll, addresses, keep_alive=keep_alive, on_result=self._finish
        )
        self._due: deque[Request] = deque()
        self._sent: deque[Request] = deque()  # in the order in which they are due
        self._windows: dict[int, _OpenWindow] = {}
        self._is_ending = False

    def run(self) -> None:
        """Send requests until the simulator has sent None and all responses are known."""
        while not self._is_ending or self._windows:
            self._give_up()
            self._send_due()
            for fd, events in self._ready():
                if fd == self._pipe.fileno():
                    self._take_windows()
                else:
                    self._connections.serve(fd, events)
        self._connections.close()

    def _ready(self) -> list[tuple[int, int]]:
        """Return the ready descriptors, or nothing as soon as a request is due.

        epoll waits in milliseconds; select, on epoll's own descriptor, in microseconds.
        """
        until = time.monotonic() + _IDLE_SECONDS
        if self._due:
            until = min(until, self._due[0].due)
        if self._sent:
            until = min(until, self._sent[0].due + _LIMIT_SECONDS)
        pause = max(until - time.monotonic(), 0.0)
        if pause and not select.select([self._poll], [], [], pause)[0]:
            return []
        return self._poll.poll(0)

    def _take_windows(self) -> None:
        while not self._is_ending and self._pipe.poll():
            try:
                window: Window | None = self._pipe.recv()
            except (EOFError, OSError):  # the simulator has gone
                window = None
            if window is None:
                self._is_ending = True
                self._poll.unregister(self._pipe.fileno())
                return
            self._windows[window.number] = _OpenWindow([None] * len(window.due), len(window.due))
            requests = zip(window.due, window.servers, window.users, strict=True)
            for position, (due, server, user) in enumerate(requests):
                self._due.append(Request(window.number, position, due, server, user))
            self._send_complete(window.number)

    def _send_due(self) -> None:
        while self._due and self._due[0].due <= time.monotonic():
            self._sent.append(self._due[0])
            self._connections.send(self._due.popleft())

    def _give_up(self) -> None:
        """Remove finished requests, and give up those that are too late."""
        late = time.monotonic() - _LIMIT_SECONDS
        while self._sent and (self._sent[0].is_done or self._sent[0].due <= late):
            request = self._sent.popleft()
            if not request.is_done:
                self._finish(request, TIMED_OUT, None)
                self._connections.give_up(request)

    def _finish(self, request: Request, error: str, answer: Answer | None) -> None:
        if request.is_done:
            return
        request.is_done = True
        now = time.monotonic()
        milliseconds = 1000 * (now - request.due)
        if milliseconds > LIMIT_MS:
            error, answer = error or TIMED_OUT, None
        status, source, body = (
            (answer.status, answer.source, answer.body) if answer else (0, "", b"")
        )
        late_ms = 1000 * ((request.sent or now) - request.due)
        window = self._windows[request.window]
        response = Response(error, status, milliseconds, late_ms, source, body)
        window.responses[request.position] = response
        window.n_open -= 1
        self._send_complete(request.window)

    def _send_complete(self, number: int) -> None:
        if self._windows[number].n_open == 0:
            with contextlib.suppress(OSError):  # the simulator has gone
                self._pipe.send((number, self._windows[number].responses))
            del self._windows[number]


def main() -> int:
    """Run the client process; at the end it sends its CPU time."""
    pipe = Connection(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the simulator, which ends this
    addresses, keep_alive = pipe.recv()
    gc.freeze()
    pipe.send("ready")
    RequestLoop(pipe, addresses, keep_alive=keep_alive).run()
    with contextlib.suppress(OSError):
        pipe.send(time.process_time())
        pipe.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
