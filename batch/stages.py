"""Stages of a long run, timed: a progress bar on a terminal, plain lines elsewhere.

top-k:  55%|█████▌    | 3.3k/6.0k [00:12<00:10]     units, a known total
choose: 12model [00:12, 1.0model/s]                 units
trial  00:12                                        neither: the time, which goes on by itself
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from tqdm import tqdm

from batch.memory import peak_bytes, release_free_memory, reset_peak

_TICK_SECONDS: Final = 0.5  # between two drawings of a stage that reports nothing
_TIME_ALONE: Final = "{desc}  {elapsed}"


class Stages:
    """Times the stages of one run and shows them on standard error.

    Attributes:
        seconds: Duration of each finished stage, in order.
        cpu_seconds: Processor time of each stage, all threads.
        peak_mib: Peak memory of the process in each stage, or between it and the one before.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self.peak_mib: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(
        self, name: str, total: int | None = None, unit: str = ""
    ) -> Iterator[Callable[[int], object]]:
        """Time one stage; yields a function to be called with the number of units done.

        What the stage freed goes back to the system at its end.

        Args:
            name: Short name of the stage.
            total: Number of units, None if unknown.
            unit: Name of the unit; empty if none are counted.
        """
        began, began_cpu = time.perf_counter(), time.process_time()
        with (
            tqdm(
                total=total,
                desc=name,
                unit=unit,
                unit_scale=True,
                leave=False,
                disable=not sys.stderr.isatty(),
                bar_format=None if unit else _TIME_ALONE,
            ) as bar,
            _ticking(bar),
        ):
            yield bar.update
        release_free_memory()
        self.seconds[name] = time.perf_counter() - began
        self.cpu_seconds[name] = time.process_time() - began_cpu
        self.peak_mib[name] = peak_bytes() / (1 << 20)
        reset_peak()
        tqdm.write(f"{name:<14}{self.seconds[name]:>8.2f} s", file=sys.stderr)


@contextlib.contextmanager
def _ticking(bar: "tqdm[NoReturn]") -> Iterator[None]:
    """Draw a bar again and again, so that its time goes on; a disabled one is left alone."""
    if bar.disable:
        yield
        return
    has_ended = threading.Event()

    def tick() -> None:
        while not has_ended.wait(_TICK_SECONDS):
            bar.refresh()

    thread = threading.Thread(target=tick, name="clock of a stage", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
