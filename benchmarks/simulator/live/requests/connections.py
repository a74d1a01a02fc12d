"""Connections to the servers, each with at most one request at a time."""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from errno import EINPROGRESS
from typing import Final

from benchmarks.resilience.answers import Answer, MalformedError, read_answer
from benchmarks.simulator.live.requests.messages import CUT, REFUSED, Address

_MAX_CONNECTIONS: Final = 512  # to one server; further requests wait, and their time counts
_HEADERS: Final = b" HTTP/1.1\r\nHost: %s\r\nUser-Agent: AHC/2.1\r\nAccept: */*\r\n%s\r\n"


@dataclass(slots=True, eq=False)
class Request:
    """One request.

    Attributes:
        window, position: Number of its window, and its position there.
        due: Time at which it is due, by the monotonic clock.
        server: Number of the server.
        user: Escaped user id in the path, behind `/recommend/`.
        sent: Time at which it was sent, 0 before.
        is_done: Whether its answer or its failure is known.
        connection: Connection that it was sent on.
    """

    window: int
    position: int
    due: float
    server: int
    user: bytes
    sent: float = 0.0
    is_done: bool = False
    connection: "_Connection | None" = None


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    server: int
    request: Request | None
    received: bytes = b""
    is_open: bool = False
    is_used: bool = False  # it has delivered an answer


@dataclass(slots=True)
class _Server:
    address: Address
    head: bytes
    idle: list[_Connection] = field(default_factory=list)
    waiting: deque[Request] = field(default_factory=deque)
    n_connections: int = 0


class Connections:
    """All connections.

    Args:
        poll: Poll object where each connection is registered.
        addresses: Addresses of the servers.
        keep_alive: Whether connections are kept for further requests.
        on_result: Callback with a request and its error or its answer, once for each request.
    """

    def __init__(
        self, poll: select.epoll, addresses: Sequence[Address], *, keep_alive: bool,
        on_result: Callable[[Request, str, Answer | None], None],
    ) -> None:  # fmt: skip
        header = b"" if keep_alive else b"Connection: close\r\n"
        self._servers = [_Server(a, _HEADERS % (str(a).encode(), header)) for a in addresses]
        self._poll = poll
        self._keep_alive = keep_alive
        self._on_result = on_result
        self._connections: dict[int, _Connection] = {}

    def send(self, request: Request) -> None:
        """Send a request on an idle connection, or on a new one."""
        server = self._servers[request.server]
        if server.idle:
            self._send_on(server.idle.pop(), request)
        elif server.n_connections < _MAX_CONNECTIONS:
            self._connect(server, request)
        else:
            server.waiting.append(request)

    def serve(self, fd: int, events: int) -> None:
        """Continue with the connection that epoll has reported."""
        connection = self._connections.get(fd)
        if connection is None:
            return  # closed while others of the same round were served
        if connection.is_open:
            self._receive(connection)
        elif connection.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail(connection, REFUSED)
        elif events & select.EPOLLOUT and connection.request:
            connection.is_open = True
            self._poll.modify(fd, select.EPOLLIN)
            self._send_on(connection, connection.request)

    def give_up(self, request: Request) -> None:
        """Close the connection on which a request has been waiting for too long."""
        if request.connection:
            self._drop(request.connection)

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._connections.values()):
            self._drop(connection)

    def _connect(self, server: _Server, request: Request) -> None:
        connection = _Connection(socket.socket(), request.server, request)
        connection.socket.setblocking(False)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request.connection = connection
        server.n_connections += 1
        self._connections[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        if connection.socket.connect_ex(server.address) not in (0, EINPROGRESS):
            self._fail(connection, REFUSED)

    def _send_on(self, connection: _Connection, request: Request) -> None:
        connection.request, request.connection = request, connection
        request.sent = time.monotonic()
        try:
            head = self._servers[request.server].head
            connection.socket.send(b"GET /recommend/" + request.user + head)
        except OSError as error:
            self._fail(connection, f"{CUT}: {error.strerror}")

    def _receive(self, connection: _Connection) -> None:
        try:
            got = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(connection, f"{CUT}: {error.strerror}")
            return
        connection.received += got
        may_be_complete = connection.request and connection.received
        try:
            answer = read_answer(connection.received) if may_be_complete else None
        except MalformedError as error:
            self._fail(connection, f"{CUT}: {error}")
            return
        if answer is not None and (not got or not _ends_at_close(answer)):
            self._answered(connection, answer)
        elif not got or connection.request is None:
            self._fail(connection, f"{CUT}: closed after {len(connection.received)} bytes")

    def _answered(self, connection: _Connection, answer: Answer) -> None:
        request = connection.request
        connection.request, connection.received, connection.is_used = None, b"", True
        assert request is not None
        request.connection = None
        self._on_result(request, "", answer)
        if self._keep_alive and not answer.closes:
            self._servers[connection.server].idle.append(connection)
            self._next(connection.server)
        else:
            self._drop(connection)

    def _fail(self, connection: _Connection, error: str) -> None:
        """Close a connection; its request is repeated once if the connection was reused.

        Source:
            RFC 9112, section 9.3.1: a client may repeat a safe request where a
            kept connection is closed before any part of the answer has arrived.
        """
        request, may_repeat = connection.request, connection.is_used and not connection.received
        self._drop(connection)
        if request and may_repeat:
            self._connect(self._servers[request.server], request)
        elif request:
            self._on_result(request, error, None)

    def _drop(self, connection: _Connection) -> None:
        server, fd = self._servers[connection.server], connection.socket.fileno()
        if self._connections.pop(fd, None) is None:
            return
        self._poll.unregister(fd)
        connection.socket.close()
        server.n_connections -= 1
        if connection in server.idle:
            server.idle.remove(connection)
        if connection.request:
            connection.request.connection = None
        self._next(connection.server)

    def _next(self, number: int) -> None:
        """Send requests that have waited for a connection."""
        server = self._servers[number]
        while server.waiting and (server.idle or server.n_connections < _MAX_CONNECTIONS):
            request = server.waiting.popleft()
            if not request.is_done:
                self.send(request)


def _ends_at_close(answer: Answer) -> bool:
    """Return whether more of the body may arrive until the connection is closed."""
    return answer.closes and not answer.headers.keys() & {"content-length", "transfer-encoding"}
