"""The scheduler's jobs during the rehearsal: waiting for a run, and the endings of all."""

import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import wait_until
from benchmarks.harness.tables import print_table
from benchmarks.scenarios.rehearsal.settings import ARM_JOB, JOBS, LOGS, STATES
from cron.child import Ending
from cron.output import log_file
from cron.state import JobState, read_history, read_state, state_file

_PATIENCE_SECONDS: Final = 1500.0  # a refresh of low priority on a busy machine
_POLL_SECONDS: Final = 0.1
_ALL_RUNS: Final = 1 << 20


def wait_for_refresh(folder: Path, since: datetime) -> None:
    """Wait until a refresh that began at or after a time has ended.

    Raises:
        RuntimeError: It did not succeed.
        TimeoutError: There was none.
    """
    wait_for_job(folder, "refresh", lambda state: _began_since(state, since) and not state.is_open)
    ending = _state(folder, "refresh").ending
    if ending is not Ending.SUCCEEDED:
        raise RuntimeError(f"the refresh {ending}; see its log")


def wait_for_job(folder: Path, job: str, condition: Callable[[JobState], object]) -> None:
    """Wait until the state of a job fulfils a condition.

    Raises:
        TimeoutError: It does not.
    """
    _wait(lambda: condition(_state(folder, job)))


def problems_of_jobs(folder: Path) -> list[str]:
    """Wait until no job is running; print a table of the runs, and return what went wrong."""
    jobs = (*JOBS, ARM_JOB)
    _wait(lambda: not any(_state(folder, job).is_open for job in jobs))
    endings = {job: Counter[str]() for job in jobs}
    for run in read_history(folder / STATES, _ALL_RUNS):
        endings[run["job"]][run["ending"]] += 1
    cells = {job: ", ".join(f"{n} {ending}" for ending, n in endings[job].items()) for job in jobs}
    print_table(("job", "runs"), list(cells.items()))
    for job in jobs:
        if endings[job].total() > endings[job][Ending.SUCCEEDED]:
            _print_failures(folder, job)
    return [
        f"the last run of {job}: {_state(folder, job).ending or 'none'}"
        for job in jobs
        if _state(folder, job).ending is not Ending.SUCCEEDED
    ]


def _print_failures(folder: Path, job: str) -> None:
    """Print the distinct sentences with which runs of a job have failed, as its log has them."""
    log = log_file(str(folder / LOGS), job)
    assert log is not None
    lines = log.read_text(errors="replace").splitlines()
    for line in dict.fromkeys(line for line in lines if "failed: " in line):
        print(f"{job}: {line}", file=sys.stderr)


def now() -> datetime:
    """Return the time by the scheduler's clock, whole seconds as in its states."""
    return datetime.now(UTC).replace(microsecond=0)


def _began_since(state: JobState, since: datetime) -> bool:
    return state.began is not None and state.began >= since


def _state(folder: Path, job: str) -> JobState:
    return read_state(state_file(folder / STATES, job))


def _wait(condition: Callable[[], object]) -> None:
    wait_until(condition, _PATIENCE_SECONDS, poll_seconds=_POLL_SECONDS)
