"""Connections to the servers that are asked, each with at most one request on it."""

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

_MOST_LINKS: Final = 512  # to one server; more requests wait, and are as late as that makes them
_HEADERS: Final = b" HTTP/1.1\r\nHost: %s\r\nUser-Agent: AHC/2.1\r\nAccept: */*\r\n%s\r\n"


@dataclass(slots=True, eq=False)
class Request:
    """One request on its way.

    Attributes:
        window, place: Where it belongs.
        due: By the monotonic clock.
        server: Which one it goes to.
        user: What stands behind `/recommend/`.
        sent: When it was sent, 0 before.
        has_come: Whether its answer or its failure is known.
        link: The connection that it is on.
    """

    window: int
    place: int
    due: float
    server: int
    user: bytes
    sent: float = 0.0
    has_come: bool = False
    link: "_Link | None" = None


@dataclass(slots=True, eq=False)
class _Link:
    socket: socket.socket
    server: int
    request: Request | None
    received: bytes = b""
    is_open: bool = False
    is_used: bool = False  # it has brought an answer before


@dataclass(slots=True)
class _Server:
    address: Address
    head: bytes
    idle: list[_Link] = field(default_factory=list)
    waiting: deque[Request] = field(default_factory=deque)
    n_links: int = 0


class Links:
    """All connections.

    Args:
        poll: Tells what is ready; each connection is registered there.
        addresses: Of the servers.
        keeps: Whether connections are kept for further requests.
        note: Takes a request with its error or its answer; once for each request.
    """

    def __init__(
        self, poll: select.epoll, addresses: Sequence[Address], *, keeps: bool,
        note: Callable[[Request, str, Answer | None], None],
    ) -> None:  # fmt: skip
        last = b"" if keeps else b"Connection: close\r\n"
        self._servers = [_Server(a, _HEADERS % (str(a).encode(), last)) for a in addresses]
        self._poll = poll
        self._keeps = keeps
        self._note = note
        self._links: dict[int, _Link] = {}

    def ask(self, request: Request) -> None:
        """Send a request on a connection that is free, or on a new one."""
        server = self._servers[request.server]
        if server.idle:
            self._send(server.idle.pop(), request)
        elif server.n_links < _MOST_LINKS:
            self._connect(server, request)
        else:
            server.waiting.append(request)

    def serve(self, fd: int, what: int) -> None:
        """Go on with the connection that epoll has named."""
        link = self._links.get(fd)
        if link is None:
            return  # closed while others of the same round were served
        if link.is_open:
            self._receive(link)
        elif link.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._fail(link, REFUSED)
        elif what & select.EPOLLOUT and link.request:
            link.is_open = True
            self._poll.modify(fd, select.EPOLLIN)
            self._send(link, link.request)

    def give_up(self, request: Request) -> None:
        """Close the connection on which a request has been waiting for too long."""
        if request.link:
            self._drop(request.link)

    def close(self) -> None:
        """Close all connections."""
        for link in list(self._links.values()):
            self._drop(link)

    def _connect(self, server: _Server, request: Request) -> None:
        link = _Link(socket.socket(), request.server, request)
        link.socket.setblocking(False)
        link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request.link = link
        server.n_links += 1
        self._links[link.socket.fileno()] = link
        self._poll.register(link.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        if link.socket.connect_ex(server.address) not in (0, EINPROGRESS):
            self._fail(link, REFUSED)

    def _send(self, link: _Link, request: Request) -> None:
        link.request, request.link = request, link
        request.sent = time.monotonic()
        try:
            head = self._servers[request.server].head
            link.socket.send(b"GET /recommend/" + request.user + head)
        except OSError as error:
            self._fail(link, f"{CUT}: {error.strerror}")

    def _receive(self, link: _Link) -> None:
        try:
            got = link.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(link, f"{CUT}: {error.strerror}")
            return
        link.received += got
        try:
            answer = read_answer(link.received) if link.request and link.received else None
        except MalformedError as error:
            self._fail(link, f"{CUT}: {error}")
            return
        if answer is not None and (not got or not _ends_with_the_connection(answer)):
            self._answered(link, answer)
        elif not got or link.request is None:
            self._fail(link, f"{CUT}: closed after {len(link.received)} bytes")

    def _answered(self, link: _Link, answer: Answer) -> None:
        request, link.request, link.received, link.is_used = link.request, None, b"", True
        assert request is not None
        request.link = None
        self._note(request, "", answer)
        if self._keeps and not answer.closes:
            self._servers[link.server].idle.append(link)
            self._next(link.server)
        else:
            self._drop(link)

    def _fail(self, link: _Link, error: str) -> None:
        """Close a connection; a request that a kept one takes with it is asked once more.

        Source:
            RFC 9112, section 9.3.1: a client may repeat what is safe where a
            kept connection is closed before any of the answer has come.
        """
        request, may_repeat = link.request, link.is_used and not link.received
        self._drop(link)
        if request and may_repeat:
            self._connect(self._servers[request.server], request)
        elif request:
            self._note(request, error, None)

    def _drop(self, link: _Link) -> None:
        server, fd = self._servers[link.server], link.socket.fileno()
        if self._links.pop(fd, None) is None:
            return
        self._poll.unregister(fd)
        link.socket.close()
        server.n_links -= 1
        if link in server.idle:
            server.idle.remove(link)
        if link.request:
            link.request.link = None
        self._next(link.server)

    def _next(self, number: int) -> None:
        """Ask what has waited for a connection."""
        server = self._servers[number]
        while server.waiting and (server.idle or server.n_links < _MOST_LINKS):
            request = server.waiting.popleft()
            if not request.has_come:
                self.ask(request)


def _ends_with_the_connection(answer: Answer) -> bool:
    """Tell whether more of the body may come until the connection is closed."""
    return answer.closes and not answer.headers.keys() & {"content-length", "transfer-encoding"}
