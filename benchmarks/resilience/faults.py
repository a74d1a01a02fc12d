"""Faults in a running server under load, each with its goals.

Each fault is a function of a `Bench` that returns its `Outcome`. Unless the fault has
goals of its own, no request may fail, be refused or be late.
"""

import contextlib
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.processes import wait_until
from benchmarks.harness.servers import MarqueeServer
from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load, Seen
from store.prune import prune
from store.publish import publish, rollback, writing

SEED: Final = 7
N_WORKERS: Final = 2
_BETWEEN_KILLS_SECONDS: Final = 0.25
_UNDISTURBED_SECONDS: Final = 20
_P99_MS: Final = 5.0
_N_SNAPSHOTS: Final = 3  # that pruning leaves: those of a million users are large
_MAX_CONNECTIONS: Final = 64
_LOW_RATE: Final = 25  # per second, so that no request waits for another of its client
_NO_FAILURES: Final = {"failed": 0.0, "refused": 0.0, "late": 0.0}


@dataclass(frozen=True, slots=True)
class Bench:
    """Place and size of a run.

    Attributes:
        folder: Folder of the stores and the logs.
        n_users: Number of users with a list.
        rate: Requests per second of the load.
        scale: Number of repetitions of a fault, as a share of the full run.
    """

    folder: Path
    n_users: int
    rate: int
    scale: float = 1.0

    def times(self, n: int) -> range:
        """Return the repetitions of a fault: n, fewer in a quick run, at least 2."""
        return range(max(round(n * self.scale), 2))

    @contextlib.contextmanager
    def serving(
        self, name: str, *options: str, configured: str = "", per_client: int = 8192
    ) -> Iterator[MarqueeServer]:
        """Run a server of the newest snapshot, in a folder for this fault alone.

        Args:
            name: Name of the folder.
            options: Further options of the command line.
            configured: Further lines of the `[serve]` section.
            per_client: Maximum number of simultaneous requests of one address.
        """
        folder = self.folder / name
        folder.mkdir()
        text = f"[serve]\nconcurrent_requests_per_client = {per_client}\n{configured}"
        (folder / "marquee.toml").write_text(text)
        with MarqueeServer(self.store, folder, "--workers", str(N_WORKERS), *options) as server:
            with Load(server.address, self.n_users, folder, rate=50):  # warms the server
                time.sleep(0.5)
            yield server

    def load(self, server: MarqueeServer, *, rate: int = 0, client: str = "") -> Load:
        """Return the clients of this server, `client` being their address."""
        return Load(
            *(server.address, self.n_users, server.log.parent),
            rate=rate or self.rate,
            client=client,
        )

    @property
    def store(self) -> Path:
        """Store with at least one snapshot."""
        return self.folder / "store"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one fault.

    Attributes:
        action: Fault and number of repetitions, in words.
        seen: Answers to the clients during the fault.
        figures: Further figures by name.
        goals: Upper limits by name of the figure.
    """

    action: str
    seen: Seen
    figures: dict[str, float] = field(default_factory=dict)
    goals: dict[str, float] = field(default_factory=lambda: dict(_NO_FAILURES))

    def measured(self) -> dict[str, float]:
        """Return all figures by name; the unit is the end of the name."""
        seen = self.seen
        return {
            "answers": seen.n_answers,
            "failed": seen.n_failed,
            "refused": seen.n_refused,
            "mixed": seen.n_mixed,
            "late": seen.n_late,
            "static": seen.sources.get("static", 0),
            "p50_ms": seen.p50_ms,
            "p99_ms": seen.p99_ms,
            "max_ms": seen.max_ms,
            **self.figures,
        }

    def missed(self) -> list[str]:
        """Return the goals that were missed, in words."""
        measured = self.measured()
        return [f"{name} {measured[name]:g} > {limit:g}" for name, limit in self.goals.items()
                if measured[name] > limit]  # fmt: skip


def undisturbed(bench: Bench) -> Outcome:
    """No fault, for comparison."""
    with bench.serving("undisturbed") as server, bench.load(server) as load:
        time.sleep(len(bench.times(_UNDISTURBED_SECONDS)))
    return Outcome("nothing, for comparison", load.seen)


def sigkills(bench: Bench) -> Outcome:
    """100 random workers are killed."""
    return _killed(bench, "sigkills", signal.SIGKILL)


def sigterms(bench: Bench) -> Outcome:
    """100 random workers get SIGTERM."""
    return _killed(bench, "sigterms", signal.SIGTERM)


def all_killed(bench: Bench) -> Outcome:
    """All workers are killed at once, 20 times."""
    with bench.serving("all_killed") as server, bench.load(server) as load:
        for _ in bench.times(20):
            killed = server.wait_for_workers()
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            server.wait_for_workers(gone=killed)
            time.sleep(2 * _BETWEEN_KILLS_SECONDS)
    what = f"{len(bench.times(20))} × SIGKILL of all workers"
    return Outcome(what, load.seen, goals={**_NO_FAILURES, "p99_ms": _P99_MS})


def reloads(bench: Bench) -> Outcome:
    """20 SIGHUPs: the program is loaded again, and every worker replaced."""
    with bench.serving("reloads") as server, bench.load(server) as load:
        for _ in bench.times(20):
            server.reload()
    return Outcome(f"{len(bench.times(20))} × SIGHUP", load.seen)


def swaps(bench: Bench) -> Outcome:
    """30 snapshots are published and rolled back."""
    slowest = 0.0
    with bench.serving("swaps") as server, bench.load(server) as load:
        for _ in bench.times(30):
            generation = write_snapshot(bench.store, bench.n_users, flip=False)
            slowest = max(slowest, _flipped(server, partial(_publish, bench, generation)))
            slowest = max(slowest, _flipped(server, partial(rollback, bench.store, "benchmark")))
            with writing(bench.store):
                prune(bench.store, _N_SNAPSHOTS)
    n = len(bench.times(30))
    return Outcome(
        f"{n} snapshots of {bench.n_users:,} users published and rolled back",
        load.seen,
        {"slowest_swap_s": round(slowest, 2)},
        {**_NO_FAILURES, "mixed": 0},
    )


def hangs(bench: Bench) -> Outcome:
    """Workers are stopped, one after the other; each is detected and replaced."""
    slowest = 0.0
    with bench.serving("hangs") as server, bench.load(server) as load:
        for _ in bench.times(5):
            stopped = server.wait_for_workers()[0]
            began = time.monotonic()
            os.kill(stopped, signal.SIGSTOP)
            server.wait_for_workers(gone=[stopped])
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(_BETWEEN_KILLS_SECONDS)
    what = f"{len(bench.times(5))} × SIGSTOP of a worker"
    return Outcome(what, load.seen, {"slowest_replacement_s": round(slowest, 2)})


def all_stopped(bench: Bench) -> Outcome:
    """All workers are stopped: nginx answers from its file until they are replaced."""
    with bench.serving("all_stopped") as server, bench.load(server, rate=_LOW_RATE) as load:
        for _ in bench.times(3):
            stopped = server.wait_for_workers()
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            server.wait_for_workers(gone=stopped)
            time.sleep(2 * _BETWEEN_KILLS_SECONDS)
    return Outcome(f"{len(bench.times(3))} × SIGSTOP of all workers", load.seen)


def nginx_killed(bench: Bench) -> Outcome:
    """Nginx's master and its workers are killed; requests in progress may fail, once."""
    with bench.serving("nginx_killed") as server, bench.load(server) as load:
        for _ in bench.times(5):
            for pids in (server.nginx_workers, server.nginx_masters):
                wait_until(lambda: len(server.nginx_workers()) == N_WORKERS)
                os.kill(random.choice(pids()), signal.SIGKILL)
                time.sleep(2 * _BETWEEN_KILLS_SECONDS)
        wait_until(lambda: len(server.nginx_workers()) == N_WORKERS)
        with bench.load(server) as afterwards:
            time.sleep(1)
    n = len(bench.times(5))
    what = f"{n} × SIGKILL of an nginx worker, {n} × of its master"
    figures = {"failed_afterwards": float(afterwards.seen.n_failed)}
    return Outcome(what, load.seen, figures, {"refused": 0, "late": 0, "failed_afterwards": 0})


def no_descriptors(bench: Bench) -> Outcome:
    """Workers cannot accept, nginx is full of idle clients; afterwards no request fails."""
    configured = f"connections = {_MAX_CONNECTIONS}\n"
    with bench.serving("no_descriptors", configured=configured) as server:
        with bench.load(server) as load:
            for _ in bench.times(3):
                with _no_more_descriptors(server.workers()), contextlib.ExitStack() as clients:
                    for _ in range(N_WORKERS * _MAX_CONNECTIONS):
                        clients.enter_context(socket.create_connection(server.address, timeout=5))
                    time.sleep(1)
                time.sleep(1)
        with bench.load(server) as afterwards:
            time.sleep(2)
    return Outcome(
        f"{len(bench.times(3))} × a second without a descriptor",
        load.seen,
        {"failed_afterwards": float(afterwards.seen.n_failed)},
        {"failed_afterwards": 0},
    )


def _killed(bench: Bench, name: str, number: signal.Signals) -> Outcome:
    rng = random.Random(SEED)
    with bench.serving(name) as server, bench.load(server) as load:
        for _ in bench.times(100):
            os.kill(rng.choice(wait_until(server.workers)), number)
            time.sleep(_BETWEEN_KILLS_SECONDS)
        server.wait_for_workers()
    what = f"{len(bench.times(100))} × {number.name} of a random worker"
    return Outcome(what, load.seen, goals={**_NO_FAILURES, "p99_ms": _P99_MS})


def _publish(bench: Bench, generation: int) -> None:
    with writing(bench.store):
        publish(bench.store, generation, "benchmark")


def _flipped(server: MarqueeServer, flip: Callable[[], Any]) -> float:
    """Flip, and return the seconds until every worker serves it, verification included."""
    pattern = r"worker \d+ serves generation"
    n_before = server.count_in_log(pattern)
    flip()
    flipped = time.monotonic()
    wait_until(lambda: server.count_in_log(pattern) >= n_before + server.n_workers)
    return time.monotonic() - flipped


@contextlib.contextmanager
def _no_more_descriptors(pids: Sequence[int]) -> Iterator[None]:
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, hard_limit) in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, hard_limit))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
