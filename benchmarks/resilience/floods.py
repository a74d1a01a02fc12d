"""Floods: the most expensive requests of every route, and thousands of open connections."""

import contextlib
import resource
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.harness.background import Background
from benchmarks.harness.errors import LoadError
from benchmarks.harness.servers import Address
from benchmarks.resilience.answers import MalformedError, read_answer
from benchmarks.resilience.faults import Bench, Outcome
from benchmarks.resilience.lists import item_ids
from benchmarks.resilience.load import Seen
from store.pointer import current

OTHER_CLIENT: Final = "127.0.0.2"  # an address besides the attacker's
_N_CONNECTIONS: Final = 32
_FLOOD_SECONDS: Final = 5
_P99_MS: Final = 50.0
_STATIC_SHARE: Final = 0.001
_N_IDLE: Final = 10_000
_N_HALF_SENT: Final = 2_000
_HELD_SECONDS: Final = 10.0
_REFRESH_SECONDS: Final = 0.5
_N_OWN_DESCRIPTORS: Final = 500  # of this process, besides the attacker's connections
_MAX_QUERY: Final = 8_000  # characters; nginx accepts a request line of 8 KiB
_MAX_BODY: Final = 16_384
_MAX_LIST_BODY: Final = 1_024  # of `/recommendations`
_HALF_HEADER: Final = b"GET /recommend/1 HTTP/1.1\r\nHost: a\r\nX-Half: "
_HALF_BODY: Final = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"


def worst_requests(generation: int) -> Mapping[str, bytes]:
    """Return the most expensive request of every route, by name."""
    ids = item_ids(generation)
    history = ",".join(ids)[:_MAX_QUERY]
    gets = {
        "list": "/recommend/1",
        "unknown": "/recommend/nobody",
        "json": "/recommend/1?format=json",
        "history": f"/recommend/nobody?history={history}",
        "short-ids": f"/recommend/nobody?history={','.join(map(str, range(1_600)))}",
        "repeated-id": f"/recommend/nobody?history={'a,' * (_MAX_QUERY // 2)}",
        "own-history": f"/recommend/1?format=json&history={history}",
        "parameters": f"/recommend/nobody?{'%61=%62&' * (_MAX_QUERY // 8)}",
        "similar": f"/similar/{ids[0]}?format=json",
        **{name: f"/{name}" for name in ("metrics", "healthz", "readyz", "openapi.json")},
        "status": "/model/status",
        "page": "/try",
        "nowhere": "/nowhere",
    }
    floats = b'{"user_id":"1","movie_id":"%s","x":[1.5' % ids[0].encode()
    floats += b",1.5" * ((_MAX_BODY - len(floats) - 2) // 4) + b"]}"
    posts = {"recommendations": floats[:_MAX_LIST_BODY].rpartition(b",")[0] + b"]}"}
    posts["predict"] = floats
    return {
        **{name: b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % at.encode() for name, at in gets.items()},
        **{name: _post(name.encode(), body) for name, body in posts.items()},
    }


class Flood(Background):
    """Connections that send one request again and again; leaving the `with` ends them.

    One thread for all of them: it takes little of the processors that the server needs.

    Args:
        address: Address of the server.
        request: The request, whole.
        n_connections: Number of simultaneous connections.

    Attributes:
        statuses: Number of answers by status; 0 is a connection that broke.
    """

    def __init__(
        self, address: Address | tuple[str, int], request: bytes, n_connections: int
    ) -> None:
        super().__init__()
        self.statuses = Counter[int]()
        self._address = address
        self._request = request
        self._n_connections = n_connections

    @property
    def n_answers(self) -> int:
        """Number of answers so far."""
        return sum(n for status, n in [*self.statuses.items()] if status)

    def _run(self) -> None:
        received = dict[socket.socket, bytes]()
        with selectors.DefaultSelector() as selector:
            while not self._is_over.is_set():
                while len(received) < self._n_connections:
                    peer = socket.create_connection(self._address, timeout=5)
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    peer.sendall(self._request)
                    selector.register(peer, selectors.EVENT_READ)
                    received[peer] = b""
                for key, _ in selector.select(_REFRESH_SECONDS):
                    assert isinstance(key.fileobj, socket.socket)
                    if not self._continue(key.fileobj, received):
                        self.statuses[0] += 1
                        selector.unregister(key.fileobj)
                        received.pop(key.fileobj)
                        key.fileobj.close()
        for peer in received:
            peer.close()

    def _continue(self, peer: socket.socket, received: dict[socket.socket, bytes]) -> bool:
        """Read, and send the request again after a whole answer; False if the connection broke."""
        try:
            got = peer.recv(65536)
            received[peer] += got
            if answer := read_answer(received[peer]) if got else None:
                self.statuses[answer.status] += 1
                received[peer] = b""
                peer.sendall(self._request)
        except (OSError, MalformedError):
            return False
        return bool(got)


def floods(bench: Bench) -> Outcome:
    """The worst request of every route on 32 connections, one after the other, unlimited."""
    return _flooded(bench, "floods", "expensive_rate_limit = 0\n")


def limited_floods(bench: Bench) -> Outcome:
    """The same with the limit of expensive requests that is the default."""
    return _flooded(bench, "limited_floods", "")


def many_connections(bench: Bench) -> Outcome:
    """10,000 idle and 2,000 half-sent connections of one address; others send requests."""
    n_idle, n_half = len(bench.times(_N_IDLE)), len(bench.times(_N_HALF_SENT))
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if n_idle + n_half + _N_OWN_DESCRIPTORS > descriptors:
        raise LoadError("many-connections", f"only {descriptors} open files", "ulimit -n 20000")
    with bench.serving("many_connections", per_client=1024) as server:
        connections = _Connections(server.address)
        with connections.held(n_idle, n_half), bench.load(server, client=OTHER_CLIENT) as load:
            time.sleep(len(bench.times(int(_HELD_SECONDS))))
        n_errors = server.count_in_log(r"\(24: |not enough")
    figures = {"reconnected": float(connections.n_reconnected), "nginx_errors": float(n_errors)}
    goals = {"failed": 0.0, "refused": 0.0, "late": 0.0, "static": 0.0, "nginx_errors": 0.0}
    return Outcome(f"{n_idle:,} idle, {n_half:,} half-sent", load.seen, figures, goals)


@dataclass(slots=True)
class _Connections:
    """An attacker's connections, opened again when the server closes them."""

    address: Address
    n_reconnected: int = 0
    _is_over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def held(self, n_idle: int, n_half: int) -> Iterator[None]:
        """Open them all, and keep their number inside the `with`."""
        starts = [b""] * n_idle + [_HALF_HEADER, _HALF_BODY] * (n_half // 2)
        peers = [self._open(start) for start in starts]
        keeper = threading.Thread(target=self._keep, args=(peers, starts))
        keeper.start()
        try:
            yield
        finally:
            self._is_over.set()
            keeper.join()
            for peer in peers:
                peer.close()

    def _open(self, start: bytes) -> socket.socket:
        peer = socket.create_connection(self.address, timeout=5)
        peer.sendall(start)
        peer.setblocking(False)
        return peer

    def _keep(self, peers: list[socket.socket], starts: list[bytes]) -> None:
        while not self._is_over.wait(_REFRESH_SECONDS):
            for n, start in enumerate(starts):
                if _is_open(peers[n]):
                    continue
                peers[n].close()
                with contextlib.suppress(OSError):
                    peers[n] = self._open(start)
                    self.n_reconnected += 1


def _is_open(peer: socket.socket) -> bool:
    try:
        return peer.recv(4096) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def _flooded(bench: Bench, name: str, configured: str) -> Outcome:
    seen, statuses = dict[str, Seen](), Counter[int]()
    with bench.serving(name, configured=configured, per_client=1024) as server:
        generation = current(bench.store)
        for route, request in worst_requests(generation).items():
            with (
                Flood(server.address, request, _N_CONNECTIONS) as flood,
                bench.load(server, client=OTHER_CLIENT) as load,
            ):
                time.sleep(len(bench.times(_FLOOD_SECONDS)))
            seen[route] = load.seen
            statuses.update(flood.statuses)
            print(
                f"{name}, {route}: {dict(flood.statuses)}, p99 {load.seen.p99_ms} ms, "
                f"{_static_share(load.seen):.2%} static",
                file=sys.stderr,
            )
    worst = max(seen.values(), key=lambda one: (one.n_failed, one.p99_ms))
    figures = {
        "flood_answers": float(statuses.total()),
        "flood_refused": float(statuses[429]),
        "worst_static_share": max(map(_static_share, seen.values())),
        "failed_of_all": float(sum(one.n_failed for one in seen.values())),
        "late_of_all": float(sum(one.n_late for one in seen.values())),
    }
    goals = {"worst_static_share": _STATIC_SHARE, "failed_of_all": 0.0, "late_of_all": 0.0}
    what = f"the worst requests of {len(seen)} routes on {_N_CONNECTIONS} connections"
    return Outcome(what, worst, figures, {**goals, "p99_ms": _P99_MS})


def _static_share(seen: Seen) -> float:
    return seen.sources.get("static", 0) / max(seen.n_answers, 1)


def _post(route: bytes, body: bytes) -> bytes:
    head = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" % route
    return b"%sContent-Length: %d\r\n\r\n%s" % (head, len(body), body)
