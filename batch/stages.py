"""Progress: each stage of a long run, timed; a bar on a terminal, plain lines elsewhere."""

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Iterator

from tqdm import tqdm


class Stages:
    """Times the stages of one run and shows them on standard error.

    Attributes:
        seconds: Of each stage so far, in order.
        peak_mib: The most memory that the process had had at the end of each.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_mib: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(
        self, name: str, total: int | None = None, unit: str = "it"
    ) -> Iterator[Callable[[int], object]]:
        """Time one stage; it gets a function to call with the number of units done.

        Args:
            name: In a word or two.
            total: Units in all, if known.
            unit: Of what is counted.
        """
        began = time.perf_counter()
        is_terminal = sys.stderr.isatty()
        with tqdm(
            total=total, desc=name, unit=unit, unit_scale=True, leave=False, disable=not is_terminal
        ) as bar:
            yield bar.update
        self.seconds[name] = time.perf_counter() - began
        self.peak_mib[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        tqdm.write(f"{name:<14}{self.seconds[name]:>8.2f} s", file=sys.stderr)
