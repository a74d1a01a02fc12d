"""What is done to a running server while clients ask, and what they may notice of it.

Each fault is a function of a `Bench` that returns its `Outcome`; where nothing
else is said, the goal is that no client notices anything.
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

from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load, Seen
from benchmarks.resilience.server import Server, wait_until
from store.prune import prune
from store.publish import publish, rollback, writing

SEED: Final = 7
N_WORKERS: Final = 2
_BETWEEN_KILLS_SECONDS: Final = 0.25
_UNDISTURBED_SECONDS: Final = 20
_P99_MS: Final = 5.0
_KEPT: Final = 3  # snapshots of a million users are not small
_FEW_CONNECTIONS: Final = 64
_FEW_PER_SECOND: Final = 25  # so that no request waits for another on its own client
_NOBODY_NOTICES: Final = {"failed": 0.0, "refused": 0.0, "late": 0.0}


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how much.

    Attributes:
        folder: Of the stores and the logs.
        n_users: That have a list.
        rate: Requests a second of the load.
        scale: How often each fault happens, as a share of the full run.
    """

    folder: Path
    n_users: int
    rate: int
    scale: float = 1.0

    def times(self, n: int) -> range:
        """Return so many times, fewer in a quick run."""
        return range(max(round(n * self.scale), 2))

    @contextlib.contextmanager
    def serving(self, name: str, *options: str, configured: str = "") -> Iterator[Server]:
        """A server of the newest snapshot, in a folder for this fault alone."""
        folder = self.folder / name
        folder.mkdir()
        text = "[serve]\nconcurrent_requests_per_client = 8192\n" + configured
        (folder / "marquee.toml").write_text(text)
        with Server(self.store, folder, "--workers", str(N_WORKERS), *options) as server:
            with Load(server.address, self.n_users, folder, rate=50):  # until all is warm
                time.sleep(0.5)
            yield server

    def load(self, server: Server, *, rate: int = 0) -> Load:
        """Clients that ask this server."""
        return Load(server.address, self.n_users, server.log.parent, rate=rate or self.rate)

    @property
    def store(self) -> Path:
        """The store, with at least one snapshot."""
        return self.folder / "store"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one fault came to.

    Attributes:
        what: Was done, and how often.
        seen: By the clients meanwhile.
        figures: More that was measured, by name.
        goals: The most that a figure may be, by the figure's name.
    """

    what: str
    seen: Seen
    figures: dict[str, float] = field(default_factory=dict)
    goals: dict[str, float] = field(default_factory=lambda: dict(_NOBODY_NOTICES))

    def measured(self) -> dict[str, float]:
        """Return all figures by name; times are in milliseconds where nothing else is said."""
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
        return [f"{n} {measured[n]:g} > {most:g}" for n, most in self.goals.items()
                if measured[n] > most]  # fmt: skip


def undisturbed(bench: Bench) -> Outcome:
    """Nothing is done: what the machine itself costs."""
    with bench.serving("undisturbed") as server, bench.load(server) as load:
        time.sleep(len(bench.times(_UNDISTURBED_SECONDS)))
    return Outcome("nothing, for comparison", load.seen)


def sigkills(bench: Bench) -> Outcome:
    """100 random workers are killed."""
    return _killed(bench, "sigkills", signal.SIGKILL)


def sigterms(bench: Bench) -> Outcome:
    """100 random workers are told to end."""
    return _killed(bench, "sigterms", signal.SIGTERM)


def all_killed(bench: Bench) -> Outcome:
    """20 times all workers are killed at once."""
    with bench.serving("all_killed") as server, bench.load(server) as load:
        for _ in bench.times(20):
            killed = server.wait_for_workers()
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            server.wait_for_workers(gone=killed)
            time.sleep(2 * _BETWEEN_KILLS_SECONDS)
    what = f"{len(bench.times(20))} × SIGKILL of all workers"
    return Outcome(what, load.seen, goals={**_NOBODY_NOTICES, "p99_ms": _P99_MS})


def reloads(bench: Bench) -> Outcome:
    """20 SIGHUPs: a new program, and every worker another."""
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
                prune(bench.store, _KEPT)
    n = len(bench.times(30))
    return Outcome(
        f"{n} snapshots of {bench.n_users:,} users published and rolled back",
        load.seen,
        {"slowest_swap_s": round(slowest, 2)},
        {**_NOBODY_NOTICES, "mixed": 0},
    )


def hangs(bench: Bench) -> Outcome:
    """Workers are stopped, one after the other; each is noticed and replaced."""
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
    """All workers stand still: the front answers from its file until they are replaced."""
    with bench.serving("all_stopped") as server, bench.load(server, rate=_FEW_PER_SECOND) as load:
        for _ in bench.times(3):
            stopped = server.wait_for_workers()
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            server.wait_for_workers(gone=stopped)
            time.sleep(2 * _BETWEEN_KILLS_SECONDS)
    return Outcome(f"{len(bench.times(3))} × SIGSTOP of all workers", load.seen)


def front_killed(bench: Bench) -> Outcome:
    """The front's master and its workers are killed; whoever asked them is cut off, once."""
    with bench.serving("front_killed") as server, bench.load(server) as load:
        for _ in bench.times(5):
            for victims in (server.front_workers, server.front):
                wait_until(lambda: len(server.front_workers()) == N_WORKERS)
                os.kill(random.choice(victims()), signal.SIGKILL)
                time.sleep(2 * _BETWEEN_KILLS_SECONDS)
        wait_until(lambda: len(server.front_workers()) == N_WORKERS)
        with bench.load(server) as afterwards:
            time.sleep(1)
    n = len(bench.times(5))
    what = f"{n} × SIGKILL of an nginx worker, {n} × of its master"
    figures = {"failed_afterwards": float(afterwards.seen.n_failed)}
    return Outcome(what, load.seen, figures, {"refused": 0, "late": 0, "failed_afterwards": 0})


def no_descriptors(bench: Bench) -> Outcome:
    """The workers can accept nothing, the front is full of idle clients; then all is well again."""
    configured = f"connections = {_FEW_CONNECTIONS}\n"
    with bench.serving("no_descriptors", configured=configured) as server:
        with bench.load(server) as load:
            for _ in bench.times(3):
                with _no_more_descriptors(server.workers()), contextlib.ExitStack() as crowd:
                    for _ in range(N_WORKERS * _FEW_CONNECTIONS):
                        crowd.enter_context(socket.create_connection(server.address, timeout=5))
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
    return Outcome(what, load.seen, goals={**_NOBODY_NOTICES, "p99_ms": _P99_MS})


def _publish(bench: Bench, generation: int) -> None:
    with writing(bench.store):
        publish(bench.store, generation, "benchmark")


def _flipped(server: Server, flip: Callable[[], Any]) -> float:
    """Flip, and return the seconds until every worker has followed, verification included."""
    pattern = r"worker \d+ serves generation"
    n_before = server.said(pattern)
    flip()
    flipped = time.monotonic()
    wait_until(lambda: server.said(pattern) >= n_before + N_WORKERS)
    return time.monotonic() - flipped


@contextlib.contextmanager
def _no_more_descriptors(pids: Sequence[int]) -> Iterator[None]:
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid, (_, most) in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, most))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
