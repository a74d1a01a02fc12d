"""The scheduler's turns: short for all who answer, for on one core they wait for each other."""

import os
import re
from pathlib import Path

import pytest

from serve.processes import fork, request_short_timeslice
from tests.serve.copied import nginx
from tests.serve.running import wait_until
from tests.snapshots import make_snapshot


def turn(pid):
    """Return the nanoseconds of a process's turn."""
    try:
        found = re.search(r"^se\.slice\s*:\s*(\d+)", Path(f"/proc/{pid}/sched").read_text(), re.M)
    except FileNotFoundError:
        found = None
    if not found:
        pytest.skip("this kernel does not show the length of a turn")
    return int(found[1])


@pytest.fixture
def usual():
    """What everybody gets; less is to be had on kernels since 6.12 alone."""
    own = turn(os.getpid())
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 12):
        pytest.skip("this kernel has one length of turns for all")
    return own


def test_all_who_answer_take_short_turns(serve, store, usual):
    """Workers, nginx and its workers; not the supervisor, whose children hash for seconds."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "2", front=True)
    wait_until(lambda: server.get("/recommend/ann").source == "list")
    masters, workers = nginx(server)

    turns = {turn(pid) for pid in (*server.wait_for_workers(), *masters, *workers)}

    assert max(turns) < usual
    assert turn(server.process.pid) == usual


@pytest.mark.parametrize(
    ("policy", "nice"),
    [(os.SCHED_OTHER, 7), (os.SCHED_BATCH, 0), (os.SCHED_IDLE, 0)],
    ids=["a nice one", "batch", "idle"],
)
def test_what_an_operator_has_chosen_stays(policy, nice):
    """Policy and niceness are as they were."""

    def child():
        os.sched_setscheduler(0, policy, os.sched_param(0))
        os.nice(nice)
        before = os.sched_getscheduler(0), os.nice(0)
        request_short_timeslice()
        return int((os.sched_getscheduler(0), os.nice(0)) != before)

    _, status = os.waitpid(fork(child), 0)

    assert os.waitstatus_to_exitcode(status) == 0
