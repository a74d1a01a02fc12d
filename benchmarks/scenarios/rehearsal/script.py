"""The script of operations: each at its share of the time, while workers are killed.

    20 %    publish     by a refresh of the history and the new events
    50 %    rollback    to the generation before
    60 %    takedown    of the most popular item
    70 %    publish     of what was rolled back
    80 %    publish     by one more refresh, without the item

After each that changes the generation it waits until a worker serves the new one.
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
from benchmarks.scenarios.rehearsal.refresh import link_stream, run_refresh
from store.pointer import current
from store.publish import publish, rollback, writing
from store.takedown import take_down

_WHY: Final = "rehearsal"
_N_KILLS: Final = 30


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """What the script works on.

    Attributes:
        folder: Folder of the rehearsal, with `history/`, `store/` and `live/`, the stream.
        seconds: Duration of the script.
        seed: Random seed of the kills.
        taken_down: Id of the item that is taken down.
        on_takedown: Called after the takedown.
    """

    folder: Path
    seconds: float
    seed: int
    taken_down: str
    on_takedown: Callable[[], None]

    @property
    def store(self) -> Path:
        """Store that the server serves."""
        return self.folder / "store"


@dataclass(slots=True)
class ScriptResult:
    """What the script has done so far.

    Attributes:
        done: Operations, in words.
        n_kills: Number of workers killed.
        problems: Operations that went wrong, with the reason.
    """

    done: list[str] = field(default_factory=list)
    n_kills: int = 0
    problems: list[str] = field(default_factory=list)


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
        for step in _steps(options):
            time.sleep(max(0.0, began + step.share * options.seconds - time.monotonic()))
            _run_step(result, server, options.store, step)
        time.sleep(max(0.0, began + options.seconds - time.monotonic()))


@contextlib.contextmanager
def in_thread(run: Callable[[], None]) -> Iterator[None]:
    """Run a function in a thread beside the body of the `with`, and wait for its end."""
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def report_progress(text: str) -> None:
    """Print one line of progress."""
    print(f"rehearsal: {text}", file=sys.stderr, flush=True)


def _steps(options: ScriptOptions) -> tuple[_Step, ...]:
    folder, store = options.folder, options.store
    history = folder / "history" / "events"

    def refresh_new_events() -> None:
        run_refresh(folder, [history, link_stream(folder / "live", folder / "new")])

    def refresh_again() -> None:  # with the same events: fewer users would be refused
        run_refresh(folder, [history, folder / "new"])

    def take_item_down() -> None:
        take_down(store, [options.taken_down], _WHY)
        options.on_takedown()

    def publish_again() -> None:
        with writing(store):
            publish(store, 2, _WHY)

    return (
        _Step(0.2, "a publish by a refresh of new events", refresh_new_events, 2),
        _Step(0.5, "a rollback", lambda: rollback(store, _WHY), 1),
        _Step(0.6, "a takedown", take_item_down, 1),
        _Step(0.7, "a publish of what was rolled back", publish_again, 2),
        _Step(0.8, "a publish by one more refresh", refresh_again, 3),
    )


def _run_step(result: ScriptResult, server: MarqueeServer, store: Path, step: _Step) -> None:
    """Run one operation, and wait until a worker serves the expected generation."""
    pattern = rf"worker \d+ serves generation {step.generation}\b"
    is_flip, began = current(store) != step.generation, time.monotonic()
    n_before = server.count_in_log(pattern)
    try:
        step.run()
        if current(store) != step.generation:
            problem = f"{current(store)} is current, not {step.generation}"
            result.problems.append(f"{step.name}: {problem}")
        elif is_flip:
            wait_until(lambda: server.count_in_log(pattern) > n_before)
        result.done.append(step.name)
    except Exception as error:
        result.problems.append(f"{step.name}: {' '.join(str(error).split())}")
    report_progress(f"{step.name}, in {time.monotonic() - began:.1f} s")


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
