"""Stages of a long run, timed: a progress bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

from batch.memory import peak_bytes, release_free_memory, reset_peak


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
        self, name: str, total: int | None = None, unit: str = "it"
    ) -> Iterator[Callable[[int], object]]:
        """Time one stage; yields a function to be called with the number of units done.

        What the stage freed goes back to the system at its end.

        Args:
            name: Short name of the stage.
            total: Number of units, None if unknown.
            unit: Name of the unit.
        """
        began, began_cpu = time.perf_counter(), time.process_time()
        is_terminal = sys.stderr.isatty()
        with tqdm(
            total=total, desc=name, unit=unit, unit_scale=True, leave=False, disable=not is_terminal
        ) as bar:
            yield bar.update
        release_free_memory()
        self.seconds[name] = time.perf_counter() - began
        self.cpu_seconds[name] = time.process_time() - began_cpu
        self.peak_mib[name] = peak_bytes() / (1 << 20)
        reset_peak()
        tqdm.write(f"{name:<14}{self.seconds[name]:>8.2f} s", file=sys.stderr)
