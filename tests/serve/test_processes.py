"""Children of the supervisor: they never return into its code, nor outlive it."""

import subprocess
import sys

import pytest

from tests.serve.server import environment

FORKING = """
import os, sys
from serve.supervisor.children import fork

def child():
    %s

sys.stderr = open("/dev/full", "w")  # a log on a full disk
try:
    pid = fork(child)
except OSError:
    pid = 0
if pid:
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
else:
    os.write(1, b"a second supervisor")
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return 3", 3),
        ("print('unwritable', file=sys.stderr); return 3", 3),
        ("raise OSError('no more')", 70),
    ],
    ids=["silent", "prints", "fails"],
)
def test_a_child_ends_even_if_its_log_cannot_be_written(body, status):
    """With its own status, and never as a copy of its parent."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING % body],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=30,
    )

    assert done.stdout.split("\n")[0] == str(status)
    assert "second" not in done.stdout


ORPHANED = """
import os, signal, sys
from serve.processes import end_with_parent

pid = os.fork()
if not pid:
    end_with_parent(%s)
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(
    ("parent", "status"), [("os.getppid()", 3), ("os.getppid() + 1", 75)], ids=["lives", "ended"]
)
def test_a_child_whose_parent_has_already_ended_ends_too(parent, status):
    """The kernel sends no signal for what happened before it was asked to."""
    done = subprocess.run(
        [sys.executable, "-c", ORPHANED % parent],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout == f"{status}\n"
