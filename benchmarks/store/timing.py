"""Timing of lookups: one by one for percentiles, all at once for the rate."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.store.subjects import Get
from store.durable import fsync_path

_PERCENTILES = {"p50_ns": 0.5, "p99_ns": 0.99, "p99_9_ns": 0.999}


def one_by_one(get: Get, keys: Sequence[bytes]) -> dict[str, float]:
    """Return percentiles and mean, nanoseconds; each time includes one clock call."""
    clock = time.perf_counter_ns
    elapsed_ns = []
    for key in keys:
        start = clock()
        get(key)
        elapsed_ns.append(clock() - start)
    elapsed_ns.sort()
    percentiles = {name: elapsed_ns[int(len(keys) * share)] for name, share in _PERCENTILES.items()}
    return {**percentiles, "timed_mean_ns": sum(elapsed_ns) / len(keys)}


def all_at_once(get: Get, keys: Sequence[bytes]) -> float:
    """Return the mean nanoseconds of a lookup; the clock is read twice in total."""
    start = time.perf_counter_ns()
    for key in keys:
        get(key)
    return (time.perf_counter_ns() - start) / len(keys)


def clock_overhead(n_rounds: int = 100_000) -> float:
    """Return the p50 nanoseconds of `one_by_one` without a lookup."""
    clock = time.perf_counter_ns
    elapsed_ns = []
    for _ in range(n_rounds):
        start = clock()
        elapsed_ns.append(clock() - start)
    return sorted(elapsed_ns)[n_rounds // 2]


def loop_overhead(n_rounds: int = 1_000_000) -> float:
    """Return the nanoseconds of the loop of `all_at_once` per lookup."""
    start = time.perf_counter_ns()
    for _ in range(n_rounds):
        pass
    return (time.perf_counter_ns() - start) / n_rounds


def drop_from_page_cache(files: Sequence[Path]) -> None:
    """Drop these files, and no others, from the page cache."""
    for path in files:
        fsync_path(path)  # a dirty page is not dropped
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
