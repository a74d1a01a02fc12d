"""Clients that send requests at a fixed rate and check every answer, in a separate process.

    with Load(address, n_users, folder) as load:
        ...                          faults
    load.seen                        counts and times of the answers meanwhile

Most clients keep their connection, some open a new one for each request. A request
is timed from the moment when it was due: waiting for an earlier answer counts.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.harness.arguments import positive_int
from benchmarks.harness.errors import LoadError
from benchmarks.harness.processes import PATIENCE_SECONDS, ROOT
from benchmarks.harness.servers import Address
from benchmarks.resilience.answers import MalformedError, read_answer, what_is_wrong

LATE_MS: Final = 600.0
_N_EXAMPLES: Final = 5
_HUNG_SECONDS: Final = 5.0
_RECONNECTING_EVERY: Final = 4  # one client in so many opens a connection for each request
_WITHOUT_LIST_EVERY: Final = 10  # one request in so many is for a user without a list
_MAX_LOG_CHARACTERS: Final = 400
_READY: Final = "sending"
_PRIORITY: Final = -10  # allowed to root
_HEADERS: Final = (
    b"Host: marquee.example\r\nUser-Agent: python-requests/2.32.3\r\n"
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\n"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Counts and times of all requests.

    Attributes:
        n_answers: Answers of any kind.
        n_failed: Requests without the right answer within 5 s.
        n_refused: Connections refused.
        n_mixed: Answers whose list and header are of different generations; also failed.
        n_late: Answers after more than 600 ms.
        p50_ms: Median time to the answer.
        p99_ms: 99th percentile of the time.
        max_ms: Longest time.
        sources: Number of answers by source.
        examples: Most frequent failures, in words.
    """

    n_answers: int
    n_failed: int
    n_refused: int
    n_mixed: int
    n_late: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    sources: dict[str, int]
    examples: list[str]


class Load:
    """A process that sends requests; leaving the `with` ends it.

    Args:
        address: Address of the server.
        n_users: Number of users with a list.
        folder: Folder of the process's log.
        rate: Requests per second of all clients together.
        n_clients: Number of simultaneous connections.
        client: Address that the clients connect from; empty for the system's choice.

    Attributes:
        seen: Counts and times; set when the `with` ends.
    """

    seen: Seen

    def __init__(
        self,
        address: Address | tuple[str, int],
        n_users: int,
        folder: Path,
        *,
        rate: int = 500,
        n_clients: int = 16,
        client: str = "",
    ) -> None:
        numbers = [address[1], n_users, rate, n_clients]
        command = [sys.executable, "-m", __name__, address[0], *map(str, numbers), client]
        self._errors = folder / "load.log"
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != f"{_READY}\n":
            self.__exit__(None, None, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            written, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            self._process.kill()
        if self._process.returncode:
            log = self._errors.read_text()[-_MAX_LOG_CHARACTERS:]
            raise LoadError("load", f"ended early: {log}", f"see {self._errors}")
        self.seen = Seen(**json.loads(written))


@dataclass(slots=True)
class _Record:
    """Times, sources and failures so far."""

    elapsed_ms: list[float] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)
    wrongs: Counter[str] = field(default_factory=Counter)

    def seen(self) -> Seen:
        steady = sorted(self.elapsed_ms) or [0.0]
        return Seen(
            n_answers=len(self.elapsed_ms),
            n_failed=self.wrongs.total(),
            n_refused=self.wrongs["refused"],
            n_mixed=self.wrongs["mixed"],
            n_late=sum(ms > LATE_MS for ms in steady),
            p50_ms=round(steady[len(steady) // 2], 3),
            p99_ms=round(steady[len(steady) * 99 // 100], 3),
            max_ms=round(steady[-1], 3),
            sources=dict(self.sources),
            examples=[f"{n} × {wrong}" for wrong, n in self.wrongs.most_common(_N_EXAMPLES)],
        )


class _Client:
    """One connection at a time, one request at a time."""

    def __init__(
        self, address: Address, record: _Record, *, keeps: bool, due: float, source: str
    ) -> None:
        self.is_waiting = False
        self._source = (source, 0) if source else None
        self.due = due
        self.socket: socket.socket | None = None
        self._address = address
        self._record = record
        self._keeps = keeps
        self._received = b""
        self._user, self._has_list = 0, True

    def send(self, user: int, *, has_list: bool) -> None:
        self._user, self._has_list, self._received = user, has_list, b""
        line = b"GET /recommend/%d HTTP/1.1\r\n%s" % (user, _HEADERS)
        try:
            if self.socket is None:
                self.socket = socket.create_connection(self._address, _HUNG_SECONDS, self._source)
            self.socket.sendall(line + (b"\r\n" if self._keeps else b"Connection: close\r\n\r\n"))
        except OSError as error:
            is_refused = self.socket is None
            self._end("refused" if is_refused else f"cut: {type(error).__name__}")
            return
        self.is_waiting = True

    def receive(self) -> None:
        assert self.socket is not None
        try:
            got = self.socket.recv(65536)
            self._received += got
            answer = read_answer(self._received) if got else None
        except (OSError, MalformedError) as error:
            self._end(f"cut: {type(error).__name__}: {error}")
            return
        if not got:
            self._end(f"closed after {len(self._received)} bytes")
        elif answer:
            self._record.elapsed_ms.append(1000 * (time.monotonic() - self.due))
            self._record.sources[answer.source] += 1
            wrong = what_is_wrong(answer, self._user, has_list=self._has_list)
            if answer.n_bytes < len(self._received):
                wrong = "more than one answer"
            self._end(wrong, keep=self._keeps and not answer.closes and not wrong)

    def give_up(self, now: float) -> None:
        if self.is_waiting and now - self.due > _HUNG_SECONDS:
            self._end("no answer in 5 s")

    def _end(self, wrong: str, *, keep: bool = False) -> None:
        self.is_waiting = False
        if wrong:
            self._record.wrongs[wrong] += 1
        if self.socket and not keep:
            self.socket.close()
            self.socket = None


def _send_all(address: Address, n_users: int, rate: int, n_clients: int, own_address: str) -> Seen:
    """Send requests until standard input ends."""
    rng, record, gap = random.Random(rate), _Record(), n_clients / rate
    began = time.monotonic()
    clients = [
        _Client(
            *(address, record),
            keeps=n % _RECONNECTING_EVERY > 0,
            due=began + gap * n / n_clients,
            source=own_address,
        )
        for n in range(n_clients)
    ]
    is_sending = True
    while is_sending or any(client.is_waiting for client in clients):
        now = time.monotonic()
        for client in clients:
            client.give_up(now)
            if is_sending and not client.is_waiting and client.due + gap <= now:
                client.due += gap
                user, has_list = rng.randrange(n_users), rng.randrange(_WITHOUT_LIST_EVERY) > 0
                client.send(user if has_list else n_users + user, has_list=has_list)
        waiting = {c.socket: c for c in clients if c.is_waiting and c.socket}
        pause = min((c.due + gap for c in clients if not c.is_waiting), default=now + 1.0) - now
        standard_input = [sys.stdin] if is_sending else []
        ready, _, _ = select.select([*waiting, *standard_input], [], [], max(min(pause, 0.1), 0))
        for source in ready:
            if isinstance(source, socket.socket):
                waiting[source].receive()
            else:
                is_sending = False
    return record.seen()


def main(arguments: Sequence[str] | None = None) -> int:
    """Send requests until standard input ends, then print counts and times as JSON."""
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument("host")
    for name in ("port", "users", "rate", "clients"):
        parser.add_argument(name, type=positive_int)
    parser.add_argument("client", nargs="?", default="")
    args = parser.parse_args(arguments)
    with contextlib.suppress(PermissionError):  # it measures the server, not its own waiting
        os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
    print(_READY, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        address = Address(args.host, args.port)
        seen = _send_all(address, args.users, args.rate, args.clients, args.client)
        print(json.dumps(dataclasses.asdict(seen)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
