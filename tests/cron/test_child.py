"""Real child processes: how each ends, and that none of its group is left."""

import os
import signal
import sys

import pytest

from cron import child
from cron.child import Child, Ending, Limits
from store.stop import StopRequest

TIMEOUT_SECONDS = 60.0

SIGNAL_PARENT = "os.kill(os.getppid(), signal.SIGUSR1)"
KILL_SELF = "os.kill(os.getpid(), signal.SIGKILL)"
IGNORE_SIGTERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def with_grandchild(first="", last=""):
    """Return a command that starts a child of its own, writes its process id, and waits."""
    return python(f"""
import os, pathlib, signal, subprocess, sys, time
{first}
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path("grandchild").write_text(f"{{child.pid}}\\n")
{last}
time.sleep(600)
""")


def python(code):
    return [sys.executable, "-c", code]


def run_child(command, stop=None, timeout_seconds=TIMEOUT_SECONDS, **limits):
    """Run a command to its end, its output on standard error."""
    return Child(command, Limits(timeout_seconds, **limits), 2).wait(stop or StopRequest())


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_success(capfd):
    """A child that exits with 0 has succeeded; its output is on standard error."""
    run = run_child(python("print('done')"))
    assert (run.ending, run.status) == (Ending.SUCCEEDED, 0)
    assert capfd.readouterr().err == "done\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL)],
)
def test_a_failure(code, status):
    """A child that exits otherwise, or dies, has failed, with its status."""
    run = run_child(python(code))
    assert (run.ending, run.status) == (Ending.FAILED, status)


def test_no_such_program():
    """A command that cannot be started has failed, without a status."""
    run = run_child(["/no/such/program"])
    assert (run.ending, run.status) == (Ending.FAILED, None)


def test_a_time_out_ends_the_process_group(number_in, is_alive, wait_until):
    """A child that hangs is ended at the time-out, and its own child with it."""
    run = run_child(with_grandchild(), timeout_seconds=3.0)
    assert (run.ending, run.status) == (Ending.TIMED_OUT, -signal.SIGTERM)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_a_stop_ends_the_process_group(number_in, is_alive, wait_until, on_signal):
    """A request in mid-run ends the child, and its own child with it."""
    stop = StopRequest()
    on_signal(stop.request)
    run = run_child(with_grandchild(last=SIGNAL_PARENT), stop)
    assert (run.ending, run.status) == (Ending.STOPPED, -signal.SIGTERM)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_a_group_that_ignores_sigterm_is_killed(
    number_in, is_alive, wait_until, on_signal, monkeypatch
):
    """Child and grandchild are killed after the grace period."""
    monkeypatch.setattr(child, "GRACE_SECONDS", 0.2)
    stop = StopRequest()
    on_signal(stop.request)
    run = run_child(with_grandchild(IGNORE_SIGTERM, SIGNAL_PARENT), stop)
    assert (run.ending, run.status) == (Ending.STOPPED, -signal.SIGKILL)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_the_group_of_a_killed_child_is_ended(number_in, is_alive, wait_until):
    """When the child dies, its own child is ended too."""
    run = run_child(with_grandchild(last=KILL_SELF))
    assert (run.ending, run.status) == (Ending.FAILED, -signal.SIGKILL)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_a_stop_request_stays_set():
    """Every later `wait` returns at once."""
    stop = StopRequest()
    assert not stop.wait(0.0)
    stop.request()
    assert stop.wait(600.0)
    assert stop.wait(600.0)


def test_niceness_of_the_child(capfd):
    """Its niceness is raised, and that of its session where Linux groups by session."""
    code = """
import os
print("nice", os.nice(0))
try:
    print("group", open("/proc/self/autogroup").read().split()[-1])
except OSError:
    print("group 7")
"""
    before = os.nice(0)
    assert run_child(python(code), nice=7).ending is Ending.SUCCEEDED
    output = capfd.readouterr().err
    assert f"nice {before + 7}" in output
    assert "group 7" in output
    assert os.nice(0) == before


@pytest.mark.parametrize(("mib", "ending"), [(64.0, Ending.FAILED), (0.0, Ending.SUCCEEDED)])
def test_a_limit_of_memory(mib, ending):
    """A child that needs more private memory than it may have fails; a mapped file is not that."""
    assert run_child(python("x = bytearray(256 << 20)"), memory_mib=mib).ending is ending
    mapped = "import mmap, os; f = os.memfd_create('f'); os.truncate(f, 256 << 20); "
    mapped += "mmap.mmap(f, 256 << 20)"
    assert run_child(python(mapped), memory_mib=64.0).ending is Ending.SUCCEEDED
