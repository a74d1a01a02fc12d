"""Threads: as many as are asked for, or one for each processor."""

import os


def usable(n_threads: int) -> int:
    """Return how many threads are meant, 0 being one for each processor that we may use."""
    return n_threads or len(os.sched_getaffinity(0))
