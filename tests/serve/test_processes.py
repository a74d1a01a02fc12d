"""Children of the supervisor, and what they must never become."""

import subprocess
import sys

import pytest

from tests.serve.running import environment

FORKING = """
import os, sys
from serve.processes import fork

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
    ("does", "status"),
    [
        ("return 3", 3),
        ("print('what nobody can read', file=sys.stderr); return 3", 3),
        ("raise OSError('no more')", 70),
    ],
    ids=["silent", "speaks", "fails"],
)
def test_a_child_ends_whatever_its_log_says(does, status):
    """With the status that it has, and never as a copy of its parent."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING % does],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=30,
    )

    assert done.stdout.split("\n")[0] == str(status)
    assert "second" not in done.stdout
