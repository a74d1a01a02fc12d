"""Processor time of all processes below another one, also of those that have ended.

A process that ignores SIGCHLD, as Spark's daemon of Python workers does, is never told the time of
its children. So each process is looked at again and again, and its last figure is kept.
"""

from benchmarks.harness.processes import descendants_of


class DescendantSeconds:
    """Sums the processor time below a process, without its own; read it every moment.

    Args:
        pid: Process id of the one above.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seconds: dict[int, float] = {}

    def read(self) -> float:
        """Return the processor time so far, user and system.

        A process that begins and ends between two reads is not seen, nor the time of one between
        the last read and its end.
        """
        self._seconds |= {one.pid: one.core_seconds for one in descendants_of(self._pid)}
        return sum(self._seconds.values())
