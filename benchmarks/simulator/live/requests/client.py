"""The process that asks: requests go out when they are due, each timed from that moment.

    simulator ─ Window ─► Asking ─► servers
              ◄─ Came ───

It does nothing else, so that no other work of the simulator is mistaken for a
slow server. An open loop: nobody waits for an answer before the next one asks.
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

from benchmarks.resilience.answers import Answer
from benchmarks.simulator.live.requests.connections import Links, Request
from benchmarks.simulator.live.requests.messages import LIMIT_MS, TIMED_OUT, Address, Came, Window

_ROOT: Final = Path(__file__).parents[4]
_LIMIT_SECONDS: Final = LIMIT_MS / 1000
_IDLE_SECONDS: Final = 1.0
_PATIENCE_SECONDS: Final = 10.0


class Asker:
    """The simulator's end of the process that asks; leaving the `with` ends it.

    Args:
        addresses: Of the servers.
        keeps: Whether connections are kept for further requests.

    Attributes:
        processor_seconds: That the process has taken; known after the `with`.
    """

    def __init__(self, addresses: Sequence[Address], *, keeps: bool = True) -> None:
        self.processor_seconds = 0.0
        self._pipe, far = multiprocessing.Pipe()
        command = [sys.executable, "-m", __name__, str(far.fileno())]
        self._process = subprocess.Popen(command, cwd=_ROOT, pass_fds=[far.fileno()])
        far.close()
        self._pipe.send((list(addresses), keeps))
        self._pipe.recv()  # it is there
        # Both ends may have much to say at once: one must always listen, or both wait for ever.
        self._heard: queue.SimpleQueue[tuple[int, list[Came]] | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._pipe.send(None)
        self._listener.join(_PATIENCE_SECONDS)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_SECONDS)
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def ask(self, window: Window) -> None:
        """Have these requests asked when they are due."""
        self._pipe.send(window)

    def came(self, seconds: float) -> tuple[int, list[Came]] | None:
        """Return the number of a window that is complete, and what came; None after some time.

        Raises:
            EOFError: The process has ended.
        """
        try:
            heard = self._heard.get(block=seconds > 0, timeout=seconds)
        except queue.Empty:
            return None
        if heard is None:
            raise EOFError("the process that asks has ended")
        return heard

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while not isinstance(heard := self._pipe.recv(), float):
                self._heard.put(heard)
            self.processor_seconds = heard
        self._heard.put(None)


@dataclass(slots=True)
class _Incomplete:
    came: list[Came | None]
    n_left: int


class Asking:
    """Asks and listens until told to end.

    Args:
        pipe: Windows come in, `(number, list[Came])` goes out; None ends it.
        addresses: Of the servers.
        keeps: Whether connections are kept for further requests.
    """

    def __init__(self, pipe: Connection, addresses: Sequence[Address], *, keeps: bool) -> None:
        self._pipe = pipe
        self._poll = select.epoll()
        self._poll.register(pipe.fileno(), select.EPOLLIN)
        self._links = Links(self._poll, addresses, keeps=keeps, note=self._note)
        self._due: deque[Request] = deque()
        self._asked: deque[Request] = deque()  # the first to be too late is the first
        self._windows: dict[int, _Incomplete] = {}
        self._is_ending = False

    def run(self) -> None:
        """Ask until the simulator has said that it was all, and all of it has come."""
        while not self._is_ending or self._windows:
            self._give_up()
            self._ask_due()
            for fd, what in self._ready():
                if fd == self._pipe.fileno():
                    self._take_windows()
                else:
                    self._links.serve(fd, what)
        self._links.close()

    def _ready(self) -> list[tuple[int, int]]:
        """Return what is ready, or nothing as soon as a request is due.

        epoll counts in milliseconds; select, on epoll's own descriptor, in microseconds.
        """
        until = time.monotonic() + _IDLE_SECONDS
        if self._due:
            until = min(until, self._due[0].due)
        if self._asked:
            until = min(until, self._asked[0].due + _LIMIT_SECONDS)
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
            self._windows[window.number] = _Incomplete([None] * len(window.due), len(window.due))
            asked = zip(window.due, window.servers, window.users, strict=True)
            for place, (due, server, user) in enumerate(asked):
                self._due.append(Request(window.number, place, due, server, user))
            self._send_complete(window.number)

    def _ask_due(self) -> None:
        while self._due and self._due[0].due <= time.monotonic():
            self._asked.append(self._due[0])
            self._links.ask(self._due.popleft())

    def _give_up(self) -> None:
        """Let go of what has come, and of what is too late."""
        late = time.monotonic() - _LIMIT_SECONDS
        while self._asked and (self._asked[0].has_come or self._asked[0].due <= late):
            request = self._asked.popleft()
            if not request.has_come:
                self._note(request, TIMED_OUT, None)
                self._links.give_up(request)

    def _note(self, request: Request, error: str, answer: Answer | None) -> None:
        if request.has_come:
            return
        request.has_come = True
        now = time.monotonic()
        milliseconds = 1000 * (now - request.due)
        if milliseconds > LIMIT_MS:
            error, answer = error or TIMED_OUT, None
        status, source, body = (
            (answer.status, answer.source, answer.body) if answer else (0, "", b"")
        )
        late_ms = 1000 * ((request.sent or now) - request.due)
        window = self._windows[request.window]
        window.came[request.place] = Came(error, status, milliseconds, late_ms, source, body)
        window.n_left -= 1
        self._send_complete(request.window)

    def _send_complete(self, number: int) -> None:
        if self._windows[number].n_left == 0:
            with contextlib.suppress(OSError):  # the simulator has gone
                self._pipe.send((number, self._windows[number].came))
            del self._windows[number]


def main() -> int:
    """Be the process that asks, and tell at last what it has cost."""
    pipe = Connection(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the simulator, which ends this
    addresses, keeps = pipe.recv()
    gc.freeze()
    pipe.send("ready")
    Asking(pipe, addresses, keeps=keeps).run()
    with contextlib.suppress(OSError):
        pipe.send(time.process_time())
        pipe.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
