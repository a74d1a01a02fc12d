"""The watch: a refresh whose jobs have no executor for too long fails, and its error says why.

    a job is active ∧ there is no executor  ── for max_seconds ──►  all jobs are cancelled

Spark itself waits without end: for a worker, for free cores, for memory that no worker has.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from batch.errors import EngineError

_POLL_SECONDS: Final = 1.0


@contextlib.contextmanager
def executors_required(context: Any, master: str, max_seconds: float) -> Iterator[None]:
    """Let the jobs of this context wait for an executor for a limited time.

    Args:
        context: SparkContext.
        master: URL of the master; on `local` the driver itself runs the jobs.
        max_seconds: Time without any executor after which the jobs are cancelled; 0: no limit.

    Raises:
        EngineError: No executor has come; the cancelled job's own error is its cause.
    """
    if master.startswith("local") or not max_seconds:
        yield
        return
    has_ended, is_starved = threading.Event(), threading.Event()
    watch = threading.Thread(
        target=_cancel_starved, args=(context, max_seconds, has_ended, is_starved), daemon=True
    )
    watch.start()
    try:
        yield
    except EngineError as error:
        if not is_starved.is_set():
            raise
        raise EngineError(
            f"[batch] spark_master {master}",
            f"the cluster has given no executor for {max_seconds:.0f} s: it has no worker, other "
            "applications hold its cores, or no worker has spark.executor.memory free",
            "look at the master's page (port 8080), start workers or end applications there, or "
            "raise [batch] spark_wait_seconds",
        ) from error
    finally:
        has_ended.set()
        watch.join()


def _cancel_starved(
    context: Any, max_seconds: float, has_ended: threading.Event, is_starved: threading.Event
) -> None:
    """Cancel all jobs once they have waited for an executor for too long."""
    from py4j.protocol import Py4JError

    served_at = time.monotonic()
    with contextlib.suppress(Py4JError, ConnectionError):  # of a JVM that has ended
        while not has_ended.wait(_POLL_SECONDS):
            if _n_executors(context) or not context.statusTracker().getActiveJobsIds():
                served_at = time.monotonic()
            elif time.monotonic() - served_at > max_seconds:
                is_starved.set()
                context.cancelAllJobs()
                return


def _n_executors(context: Any) -> int:
    n_block_managers: int = context._jsc.sc().getExecutorMemoryStatus().size()  # noqa: SLF001
    return n_block_managers - 1  # the driver's own
