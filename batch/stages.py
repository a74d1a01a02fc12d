"""Stages of a long run, timed: a progress bar on a terminal, plain lines elsewhere."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm

from batch.memory import release_free_memory


class Stages:
    """Times the stages of one run and shows them on standard error.

    Attributes:
        seconds: Duration of each finished stage, in order.
        peak_mib: Peak memory of the process up to the end of each stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
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
        began = time.perf_counter()
        is_terminal = sys.stderr.isatty()
        with tqdm(
            total=total, desc=name, unit=unit, unit_scale=True, leave=False, disable=not is_terminal
        ) as bar:
            yield bar.update
        release_free_memory()
        self.seconds[name] = time.perf_counter() - began
        self.peak_mib[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        tqdm.write(f"{name:<14}{self.seconds[name]:>8.2f} s", file=sys.stderr)
