"""Number of threads: a setting, or one a usable processor; and that of BLAS inside of ours."""

import os
from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def usable(n_threads: int) -> int:
    """Return the number of threads; 0 stands for one a processor that this process may use."""
    return n_threads or len(os.sched_getaffinity(0))


def one_blas_thread() -> AbstractContextManager[object]:
    """Return a context in which a product has the same bits on any number of threads."""
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> ThreadpoolController:
    """Return the limits of BLAS; looking for its libraries takes longer than a list."""
    return ThreadpoolController()
