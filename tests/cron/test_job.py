"""Real children: each ends as it should, and leaves nobody behind."""

import os
import signal
import sys

import pytest

from cron.job import Ending, run_child
from cron.stop import StopRequest

AMPLE_SECONDS = 60.0

TELL = "os.kill(os.getppid(), signal.SIGUSR1)"
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


def family(first="", last=""):
    """A child with a child of its own, whose process id it writes; both wait."""
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


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_success(capfd):
    """A child that exits with 0 has succeeded, and its output is on our standard error."""
    run = run_child(python("print('done')"), StopRequest(), AMPLE_SECONDS)
    assert (run.ending, run.status, run.ok) == (Ending.SUCCEEDED, 0, True)
    assert capfd.readouterr().err == "done\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL)],
)
def test_a_failure(code, status):
    """A child that exits otherwise, or dies, has failed, with its status."""
    run = run_child(python(code), StopRequest(), AMPLE_SECONDS)
    assert (run.ending, run.status, run.ok) == (Ending.FAILED, status, False)


def test_no_such_program():
    """A command that cannot be started has failed, without a status."""
    run = run_child(["/no/such/program"], StopRequest(), AMPLE_SECONDS)
    assert (run.ending, run.status) == (Ending.FAILED, None)


def test_a_time_out_ends_the_family(number_in, is_alive, wait_until):
    """A child that hangs is ended at the time-out, and its own child with it."""
    run = run_child(family(), StopRequest(), timeout_seconds=3.0)
    assert (run.ending, run.status) == (Ending.TIMED_OUT, -signal.SIGTERM)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_a_stop_ends_the_family(number_in, is_alive, wait_until, on_signal):
    """A request in mid-run ends the child, and its own child with it."""
    stop = StopRequest()
    on_signal(stop.request)
    run = run_child(family(last=TELL), stop, AMPLE_SECONDS)
    assert (run.ending, run.status) == (Ending.STOPPED, -signal.SIGTERM)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_who_ignores_sigterm_is_killed(number_in, is_alive, wait_until, on_signal):
    """A family that ignores SIGTERM is killed after the grace."""
    stop = StopRequest()
    on_signal(stop.request)
    run = run_child(family(DEAF, TELL), stop, AMPLE_SECONDS, grace_seconds=0.2)
    assert (run.ending, run.status) == (Ending.STOPPED, -signal.SIGKILL)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_a_death_leaves_no_orphans(number_in, is_alive, wait_until):
    """When the child dies, its own child is ended too."""
    run = run_child(family(last=DIE), StopRequest(), AMPLE_SECONDS)
    assert (run.ending, run.status) == (Ending.FAILED, -signal.SIGKILL)
    wait_until(lambda: not is_alive(number_in("grandchild")))


def test_a_request_stays():
    """A stop that has been requested stays so, and nobody waits for it again."""
    stop = StopRequest()
    assert not stop.wait(0.0)
    stop.request()
    assert stop.wait(600.0)
    assert stop.wait(600.0)


def test_a_nice_child_stands_back(capfd):
    """Its niceness is raised, and that of its session where Linux weighs sessions."""
    code = """
import os
print("nice", os.nice(0))
try:
    print("group", open("/proc/self/autogroup").read().split()[-1])
except OSError:
    print("group 7")
"""
    before = os.nice(0)
    assert run_child(python(code), StopRequest(), AMPLE_SECONDS, nice=7).ok
    told = capfd.readouterr().err
    assert f"nice {before + 7}" in told
    assert "group 7" in told
    assert os.nice(0) == before
