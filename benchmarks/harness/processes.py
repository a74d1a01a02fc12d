"""Processes as the kernel counts them, and waiting for a condition.

A process that leads a session owns every process of that session, so a server's
children are found however they were started.
"""

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

Result = TypeVar("Result")

ROOT: Final = Path(__file__).parents[2]
PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
# Fields of /proc/PID/stat behind the name, counted from 0
_STATE, _PARENT, _GROUP, _SESSION, _USER_TICKS, _SYSTEM_TICKS = 0, 1, 2, 3, 11, 12
_ZOMBIE: Final = "Z"
_AUTOGROUP_NICE: Final = "-10"


class Process(NamedTuple):
    """One process, alive or not yet waited for.

    Attributes:
        pid: Process id.
        name: Name that the kernel has for it: "nginx", "python".
        state: Letter of `ps`; Z once it has ended.
        parent: Process id of the parent.
        group: Process id of the leader of the process group.
        session: Process id of the leader of the session.
        core_seconds: Processor time so far, user and system.
    """

    pid: int
    name: str
    state: str
    parent: int
    group: int
    session: int
    core_seconds: float


def clean_environment(**added: str) -> dict[str, str]:
    """Return this process's environment without Marquee's settings, the project importable."""
    unset = {key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")}
    user = {"MARQUEE_SERVE_USER": "root"} if os.geteuid() == 0 else {}
    return {**unset, "PYTHONPATH": str(ROOT), **user, **added}


def processes_of(session: int) -> list[Process]:
    """Return the living processes of a session."""
    return [one for one in _processes() if one.session == session and one.state != _ZOMBIE]


def workers_of(server: int) -> list[Process]:
    """Return the worker processes of `python -m serve`, oldest first.

    A worker leads a group of its own, as do nginx and the admin processes, which have no timer;
    a verification does not.
    """
    leaders = leaders_below(server)
    return [one for one in leaders if one.name != "nginx" and _is_timed(one.pid)]


def _is_timed(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    [caught] = re.findall(r"SigCgt:\t(\w+)", status)
    return bool(int(caught, 16) >> (signal.SIGALRM - 1) & 1)


def leaders_below(server: int) -> list[Process]:
    """Return the living children of a session's leader that lead a group, oldest first."""
    children = (one for one in processes_of(server) if one.parent == server)
    return sorted(one for one in children if one.group == one.pid)


def descendants_of(pid: int) -> list[Process]:
    """Return the living children of a process, their children, and so on."""
    living = [one for one in _processes() if one.state != _ZOMBIE]
    found, parents = list[Process](), {pid}
    while parents:
        children = [one for one in living if one.parent in parents]
        found += children
        parents = {one.pid for one in children}
    return found


def core_seconds(sessions: Collection[int]) -> float:
    """Return the processor time of all processes of some sessions."""
    return sum(one.core_seconds for one in _processes() if one.session in sessions)


def raise_priority(session: int) -> None:
    """Give a session ten times the processor time of another, where that is permitted.

    `CPUWeight=1000` does so for the server in `deploy/systemd`.

    Args:
        session: Process id of the session's leader.

    Source:
        sched(7), "The autogroup feature": the nice value of a session's group.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{session}/autogroup").write_text(_AUTOGROUP_NICE)


def private_mib(pid: int) -> float:
    """Return the memory that a process has for itself alone, MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    [kib] = re.findall(r"Private_Dirty:\s+(\d+) kB", text)
    return int(kib) / 1024


def threads_of(pid: int) -> list[int]:
    """Return the thread ids of a process."""
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]


def wait_until(
    condition: Callable[[], Result | None],
    seconds: float = PATIENCE_SECONDS,
    *,
    poll_seconds: float = _POLL_SECONDS,
) -> Result:
    """Return the value of `condition()` once it is true.

    Args:
        condition: Called again and again.
        seconds: Time after which it fails.
        poll_seconds: Pause between two calls.

    Raises:
        TimeoutError: It is still false after that time.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"condition still false after {seconds:g} s")
        time.sleep(poll_seconds)
    return result


def _processes() -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                yield _parse(int(entry.name), (entry / "stat").read_text())


def _parse(pid: int, stat: str) -> Process:
    before, _, behind = stat.rpartition(")")
    fields = behind.split()
    parent, group, session = (int(fields[n]) for n in (_PARENT, _GROUP, _SESSION))
    n_ticks = int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])
    seconds = n_ticks / os.sysconf("SC_CLK_TCK")
    name = before.partition("(")[2]
    return Process(pid, name, fields[_STATE], parent, group, session, seconds)
