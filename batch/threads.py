"""Number of threads: a setting, or one a usable processor."""

import os


def usable(n_threads: int) -> int:
    """Return the number of threads; 0 stands for one a processor that this process may use."""
    return n_threads or len(os.sched_getaffinity(0))
