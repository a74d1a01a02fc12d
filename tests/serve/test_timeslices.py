"""Timeslices of nginx and the workers: short, since on one core they wait for each other."""

import os
import re
from pathlib import Path

import pytest

from serve.processes import request_short_timeslice
from serve.supervisor.children import fork
from tests.serve.nginx_parts import nginx_pids
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot


def timeslice(pid):
    """Return the timeslice of a process, in nanoseconds."""
    try:
        found = re.search(r"^se\.slice\s*:\s*(\d+)", Path(f"/proc/{pid}/sched").read_text(), re.M)
    except FileNotFoundError:
        found = None
    if not found:
        pytest.skip("this kernel does not show timeslices")
    return int(found[1])


@pytest.fixture
def default_timeslice():
    """The default; kernels before 6.12 have no other."""
    own = timeslice(os.getpid())
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 12):
        pytest.skip("this kernel has only one timeslice")
    return own


def test_nginx_and_workers_have_short_timeslices(serve, store, default_timeslice):
    """The supervisor has not, since its children compute checksums for seconds."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "2", nginx=True)
    wait_until(lambda: server.get("/recommend/ann").source == "list")
    masters, workers = nginx_pids(server)

    timeslices = {timeslice(pid) for pid in (*server.wait_for_workers(), *masters, *workers)}

    assert max(timeslices) < default_timeslice
    assert timeslice(server.process.pid) == default_timeslice


@pytest.mark.parametrize(
    ("policy", "nice"),
    [(os.SCHED_OTHER, 7), (os.SCHED_BATCH, 0), (os.SCHED_IDLE, 0)],
    ids=["nice", "batch", "idle"],
)
def test_a_chosen_policy_stays(policy, nice):
    """Policy and niceness do not change."""

    def child():
        os.sched_setscheduler(0, policy, os.sched_param(0))
        os.nice(nice)
        before = os.sched_getscheduler(0), os.nice(0)
        request_short_timeslice()
        return int((os.sched_getscheduler(0), os.nice(0)) != before)

    _, status = os.waitpid(fork(child), 0)

    assert os.waitstatus_to_exitcode(status) == 0
