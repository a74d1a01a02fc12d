"""Memory and disk while the rehearsal runs: what grows without end has a slope.

    processes below this one ─► MiB of each part      every few seconds, in a thread
    folder of the rehearsal  ─► MiB of each folder
                                      │
    table: at the start, at most, at the end, and growth in a simulated day

The memory of a process is what it has for itself alone; a mapped store does not count. Workers
are killed all the time, and jobs end: for them the most says more than the growth. In a soak of
half an hour or longer it is a leak where another part of the service grows by 128 MiB: the
collector's memory goes up and down by 100 MiB.
"""

import contextlib
import os
import stat
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

import numpy as np

from benchmarks.harness.processes import Process, descendants_of, private_mib
from benchmarks.harness.tables import print_table
from benchmarks.simulator.clock import DAY_SECONDS

SERVER: Final = "server"
COLLECTOR: Final = "collector"
SPEED_LAYER: Final = "speed layer"
SCHEDULER: Final = "scheduler"
SERVICE: Final = "all of the service"
OUTSIDE: Final = "outside: users, broker, APIs"
DISK: Final = "disk: "

_SUPERVISOR: Final = "supervisor"
_NGINX: Final = "nginx"
_LASTING: Final = (_SUPERVISOR, _NGINX, COLLECTOR, SPEED_LAYER, SCHEDULER)
_JOBS: Final = "jobs and commands"
_LOGS: Final = "logs"
_INTERVAL_SECONDS: Final = 5.0
_EDGE_SHARE: Final = 0.1  # of the samples, whose median is the start or the end
_WARM_UP_SHARE: Final = 0.25  # of the samples, which the slope leaves out
_MAX_GROWN_MIB: Final = 128.0
_MIN_SOAK_SECONDS: Final = 1800.0  # shorter runs grow while they warm up
_BLOCK_BYTES: Final = 512  # stat(2)
_MIB: Final = 1 << 20


class Sample(NamedTuple):
    """Memory and disk at one time.

    Attributes:
        seconds: Time of the monotonic clock.
        mib: Size of each part and folder in MiB; what is not there has none.
    """

    seconds: float
    mib: Mapping[str, float]


class Growth(NamedTuple):
    """Size of a part or folder over the samples, MiB.

    Attributes:
        start, end: Median of the first and of the last tenth of the samples.
        most: Largest size.
        per_second: Slope without the first quarter, MiB a second.
    """

    start: float
    most: float
    end: float
    per_second: float


class GrowthRecorder:
    """Samples memory and disk until the `with` is left.

    Args:
        folder: Folder of the rehearsal.
        sessions: Name of each part of the service by the leader of its session.
        interval_seconds: Pause between two samples.

    Attributes:
        samples: Samples so far, oldest first.
    """

    def __init__(
        self,
        folder: Path,
        sessions: Mapping[int, str],
        *,
        interval_seconds: float = _INTERVAL_SECONDS,
    ) -> None:
        self.samples: list[Sample] = []
        self._folder = folder
        self._interval_seconds = interval_seconds
        self._sessions = {**sessions, os.getsid(0): OUTSIDE}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._record)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _record(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._is_over.wait(self._interval_seconds if self.samples else 0)
            mib = {**_disk(self._folder), **self._memory()}
            self.samples.append(Sample(time.monotonic(), mib))

    def _memory(self) -> dict[str, float]:
        found: defaultdict[str, float] = defaultdict(float)
        found[OUTSIDE] = private_mib(os.getpid())
        for one in descendants_of(os.getpid()):
            with contextlib.suppress(OSError, ValueError):  # it has just ended
                part, mib = self._part_of(one), private_mib(one.pid)
                found[part] += mib
                found[SERVICE] += 0.0 if part == OUTSIDE else mib
        return dict(found)

    def _part_of(self, process: Process) -> str:
        is_client = process.parent == os.getpid()  # of the simulator, in a session of its own
        part = self._sessions.get(process.session, OUTSIDE if is_client else _JOBS)
        if part != SERVER:
            return part
        if process.pid == process.session:
            return _SUPERVISOR
        return _NGINX if process.name == "nginx" else "workers"


def growth_of(samples: Sequence[Sample], name: str) -> Growth:
    """Return how the size of a part or folder has developed.

    Source:
        The slope is the median of the slopes between all pairs of samples: Sen, "Estimates of
        the Regression Coefficient Based on Kendall's Tau", JASA 63, 1968.
    """
    seconds = np.array([one.seconds for one in samples])
    mib = np.array([one.mib.get(name, 0.0) for one in samples])
    n_edge = max(1, int(_EDGE_SHARE * len(mib)))
    first, second = np.triu_indices(len(mib), 1)
    is_warm = first >= _WARM_UP_SHARE * len(mib)
    first, second = first[is_warm], second[is_warm]
    slopes = (mib[second] - mib[first]) / (seconds[second] - seconds[first])
    slope = float(np.median(slopes)) if len(slopes) else 0.0
    return Growth(
        float(np.median(mib[:n_edge])), float(mib.max()), float(np.median(mib[-n_edge:])), slope
    )


def problems_of_growth(samples: Sequence[Sample]) -> list[str]:
    """Return which parts of the service leak memory, by their slope over the whole time."""
    seconds = samples[-1].seconds - samples[0].seconds
    grown = {part: growth_of(samples, part).per_second * seconds for part in _LASTING}
    return [
        f"{part} has grown by {mib:,.0f} MiB in {seconds:,.0f} s"
        for part, mib in grown.items()
        if mib > _MAX_GROWN_MIB and seconds >= _MIN_SOAK_SECONDS
    ]


def print_growth(samples: Sequence[Sample], speed: float) -> None:
    """Print a table of all parts and folders, the service as a whole last.

    Args:
        samples: At least one sample.
        speed: Simulated seconds in a real one.
    """
    names = sorted({name for one in samples for name in one.mib}, key=_place)
    rows = []
    for name in names:
        growth = growth_of(samples, name)
        daily = growth.per_second * DAY_SECONDS / speed
        rows.append((name, *(f"{mib:,.1f}" for mib in growth[:3]), f"{daily:+,.1f}"))
    print_table(("MiB", "start", "most", "end", "growth in a simulated day"), rows)


def _place(name: str) -> tuple[bool, bool, bool, str]:
    return name.startswith(DISK), name == SERVICE, name == OUTSIDE, name


def _disk(folder: Path) -> dict[str, float]:
    """Return the size on disk of each folder below `folder`; loose files there are logs."""
    found: defaultdict[str, float] = defaultdict(float)
    for top, n_bytes in _files(folder):
        found[f"{DISK}{top}"] += n_bytes / _MIB
    return dict(found)


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    for directory, _, names in os.walk(folder):
        inside = Path(directory).relative_to(folder).parts
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(Path(directory, name))
                if stat.S_ISREG(status.st_mode):
                    yield (inside[0] if inside else _LOGS), status.st_blocks * _BLOCK_BYTES
