"""The script of operations: each at its share of the time, while workers are killed.

    10 %    publish     by a refresh of the history and the new events
    22 %    Kafka       an outage of the broker
    35 %    APIs        an outage, in which a fetch fails
    45 %    rollback    to the generation before
    50 %    takedown    of the most popular item
    55 %    publish     of what was rolled back
    60 %    publish     by one more refresh, without the item
    75 %    experiment  of a refresh with another setting, by half of the users
    90 %    promotion   of its arm

After each that changes the generation it waits until a worker serves the new one. A light
rehearsal has no outages and no experiment, and runs its refreshes without the scheduler.
"""

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.harness.processes import wait_until
from benchmarks.harness.servers import MarqueeServer
from benchmarks.scenarios.rehearsal.events import n_collected
from benchmarks.scenarios.rehearsal.jobs import now, wait_for_job, wait_for_refresh
from benchmarks.scenarios.rehearsal.outside import Outage
from benchmarks.scenarios.rehearsal.processes import run_command, run_job
from benchmarks.scenarios.rehearsal.settings import ARM_JOB, STORE
from store.layout import generations
from store.pointer import current
from store.publish import publish, rollback, writing
from store.refresh_request import request_refresh
from store.takedown import take_down

_WHY: Final = "rehearsal"
_N_KILLS: Final = 30
_OUTAGE_SHARE: Final = 0.08  # of the time
_MAX_OUTAGE_SECONDS: Final = 10.0  # in which the lines of all users wait
_PATIENCE_SECONDS: Final = 120.0  # of the collector, on a busy machine
_ARM: Final = "treatment"


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """What the script works on.

    Attributes:
        folder: Folder of the rehearsal, with `marquee.toml`, `store/` and `history/`.
        seconds: Duration of the script.
        seed: Random seed of the kills.
        taken_down: Id of the item that is taken down.
        on_takedown: Called after the takedown.
        n_failed: Returns the number of requests that have failed so far.
        kafka, apis: Outages of what is outside; None: a light rehearsal.
    """

    folder: Path
    seconds: float
    seed: int
    taken_down: str
    on_takedown: Callable[[], None]
    n_failed: Callable[[], int]
    kafka: Outage | None = None
    apis: Outage | None = None

    @property
    def store(self) -> Path:
        """Store that the server serves."""
        return self.folder / STORE

    @property
    def outage_seconds(self) -> float:
        """Minimum duration of an outage."""
        return min(self.seconds * _OUTAGE_SHARE, _MAX_OUTAGE_SECONDS)


class Operation(NamedTuple):
    """An operation that was done.

    Attributes:
        name: Name in reports.
        seconds: Duration, until a worker served the new generation.
        n_failed: Number of requests that failed meanwhile.
    """

    name: str
    seconds: float
    n_failed: int


@dataclass(slots=True)
class ScriptResult:
    """What the script has done so far.

    Attributes:
        done: Operations, in the order of their ends.
        n_kills: Number of workers killed.
        problems: Operations that went wrong, with the reason.
    """

    done: list[Operation] = field(default_factory=list)
    n_kills: int = 0
    problems: list[str] = field(default_factory=list)

    def by_name(self) -> dict[str, list[Operation]]:
        """Return the operations of each name, in the order of their first ends."""
        found: dict[str, list[Operation]] = {}
        for one in self.done:
            found.setdefault(one.name, []).append(one)
        return found


class _Step(NamedTuple):
    """One operation.

    Attributes:
        share: Share of the time after which it starts.
        name: Name in reports.
        run: Function that does it.
        generation: Generation that must be current afterwards.
    """

    share: float
    name: str
    run: Callable[[], object]
    generation: int


def run_script(options: ScriptOptions, server: MarqueeServer, result: ScriptResult) -> None:
    """Run all operations, then wait for the end of the time.

    Args:
        options: What to work on.
        server: Running server, whose workers are killed.
        result: Filled in as the script goes on.
    """
    began = time.monotonic()
    with _kills(result, server, options.seconds / _N_KILLS, options.seed):
        for step in sorted(_steps(options, server), key=lambda step: step.share):
            time.sleep(max(0.0, began + step.share * options.seconds - time.monotonic()))
            _run_step(options, server, result, step)
        time.sleep(max(0.0, began + options.seconds - time.monotonic()))


@contextlib.contextmanager
def in_thread(run: Callable[[], None]) -> Iterator[None]:
    """Run a function in a thread beside the body of the `with`, and wait for its end.

    After an exception in the body, such as Ctrl-C, it is left to end with this process.
    """
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join()


def report_progress(text: str) -> None:
    """Print one line of progress."""
    print(f"rehearsal: {text}", file=sys.stderr, flush=True)


def _steps(options: ScriptOptions, server: MarqueeServer) -> Iterator[_Step]:
    """Yield the operations, in any order."""
    store, first = options.store, current(options.store)
    second, third = first + 1, first + 2

    def refresh() -> None:
        if options.kafka is None:
            run_job(options.folder, "refresh")
            return
        since = now()
        request_refresh(store, _WHY)  # as `/admin/train` does
        wait_for_refresh(options.folder, since)

    def take_item_down() -> None:
        take_down(store, [options.taken_down], _WHY)
        options.on_takedown()

    def publish_again() -> None:
        with writing(store):
            publish(store, second, _WHY)

    yield _Step(0.1, "a publish by a refresh of new events", refresh, second)
    yield _Step(0.45, "a rollback", lambda: rollback(store, _WHY), first)
    yield _Step(0.5, "a takedown", take_item_down, first)
    yield _Step(0.55, "a publish of what was rolled back", publish_again, second)
    yield _Step(0.6, "a publish by one more refresh", refresh, third)
    if options.kafka and options.apis:
        yield _Step(0.22, "a Kafka outage", lambda: _kafka_outage(options), second)
        yield _Step(0.35, "an API outage", lambda: _api_outage(options), second)
        yield _Step(0.75, "an experiment", lambda: _start_experiment(options, server), third)
        yield _Step(0.9, "a promotion", lambda: _promote(options), third + 1)


def _kafka_outage(options: ScriptOptions) -> None:
    """Have no broker for a while; then the collector goes on."""
    assert options.kafka
    options.kafka.begin()
    time.sleep(options.outage_seconds)
    before = n_collected(options.folder)
    options.kafka.end()
    wait_until(lambda: n_collected(options.folder) > before, _PATIENCE_SECONDS)


def _api_outage(options: ScriptOptions) -> None:
    """Have no APIs for a while, until a fetch has failed; then one succeeds again."""
    assert options.apis
    since = now()
    options.apis.begin()
    time.sleep(options.outage_seconds)
    wait_for_job(options.folder, "fetch", lambda s: s.last_failure and s.last_failure >= since)
    since = now()
    options.apis.end()
    wait_for_job(options.folder, "fetch", lambda s: s.last_success and s.last_success >= since)


def _start_experiment(options: ScriptOptions, server: MarqueeServer) -> None:
    """Build a snapshot with another setting, and serve it to half of the users."""
    run_job(options.folder, ARM_JOB)
    generation = max(generations(options.store))
    name = f"{_WHY}-{generation}"
    arms = ("--name", name, "--arm", f"{_ARM}={generation}", "--why", _WHY)
    run_command(options.folder, "stream", "experiment", "start", *arms)
    wait_until(lambda: server.count_in_log(rf"worker \d+ serves .* {name}: ") > 0)


def _promote(options: ScriptOptions) -> None:
    run_command(options.folder, "stream", "experiment", "promote", _ARM, "--why", _WHY)


def _run_step(
    options: ScriptOptions, server: MarqueeServer, result: ScriptResult, step: _Step
) -> None:
    """Run one operation, and wait until a worker serves the expected generation."""
    pattern, store = rf"worker \d+ serves generation {step.generation}\b", options.store
    is_flip, began = current(store) != step.generation, time.monotonic()
    n_before, n_failed = server.count_in_log(pattern), options.n_failed()
    try:
        step.run()
        if current(store) != step.generation:
            problem = f"{current(store)} is current, not {step.generation}"
            result.problems.append(f"{step.name}: {problem}")
        elif is_flip:
            wait_until(lambda: server.count_in_log(pattern) > n_before)
        seconds = time.monotonic() - began
        result.done.append(Operation(step.name, seconds, options.n_failed() - n_failed))
    except Exception as error:
        result.problems.append(f"{step.name}: {' '.join(str(error).split())}")
    report_progress(
        f"{step.name}, in {time.monotonic() - began:.1f} s; "
        f"{options.n_failed():,} requests have failed so far"
    )


@contextlib.contextmanager
def _kills(
    result: ScriptResult, server: MarqueeServer, interval_seconds: float, seed: int
) -> Iterator[None]:
    """Kill a random worker at each interval until the `with` is left."""
    rng, is_over = random.Random(seed), threading.Event()

    def kill() -> None:
        while not is_over.wait(interval_seconds):
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                os.kill(rng.choice(server.wait_for_workers()), signal.SIGKILL)
                result.n_kills += 1

    with in_thread(kill):
        try:
            yield
        finally:
            is_over.set()
