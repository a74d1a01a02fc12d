"""The units of systemd, in a root of their own with Debian's."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.deploy.commands import check_command
from tests.deploy.files import DEPLOY, check
from tests.deploy.small_marquee import make_marquee, write_events
from tests.serve.server import environment

_UNITS = DEPLOY / "systemd"
_SERVICES = sorted(file.name for file in _UNITS.glob("*.service"))
_DEBIAN = Path("/lib/systemd/system")
_MAX_EXPOSURE = "20"  # 2.0


@pytest.fixture
def root(tmp_path):
    """A root with the units of Debian and ours, and the programs that these start."""
    if not _DEBIAN.is_dir():
        pytest.skip("Debian's units are not there: `.ci/campaigns deploy` installs systemd")
    shutil.copytree(_DEBIAN, tmp_path / "lib/systemd/system", symlinks=True)
    shutil.copytree(_UNITS, tmp_path / "etc/systemd/system")
    for program in ("srv/marquee/.venv/bin/python", "bin/kill"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).touch(0o755)
    return tmp_path


def verify(root):
    """Return what systemd has to say about our units."""
    names = ("marquee.target", *_SERVICES)
    return check("systemd-analyze", f"--root={root}", "--man=no", "verify", *names)


def test_units_are_valid(root):
    """Neither an error nor an unknown key."""
    assert len(_SERVICES) > 3
    assert verify(root) == (0, "")


def test_an_unknown_key_is_found(root):
    """The twin: what systemd would ignore is reported."""
    file = root / "etc/systemd/system/marquee-.service.d/hardening.conf"
    file.write_text(file.read_text().replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in verify(root)[1]


@pytest.mark.parametrize("name", _SERVICES)
def test_exposure_is_low(root, name):
    """`systemd-analyze security` gives less than 2.0, and more without the common drop-in."""
    options = (f"--root={root}", "security", "--offline=true", f"--threshold={_MAX_EXPOSURE}")
    status, text = check("systemd-analyze", *options, name)
    assert status == 0, text
    (root / "etc/systemd/system/marquee-.service.d/hardening.conf").unlink()
    assert check("systemd-analyze", *options, name)[0] == 1


@pytest.mark.parametrize("name", _SERVICES)
def test_the_target_starts_and_stops_each_service(name):
    """`systemctl enable` links it to the target, and stopping the target stops it."""
    text = (_UNITS / name).read_text()
    assert "PartOf=marquee.target\n" in text
    assert "WantedBy=marquee.target\n" in text


def test_the_server_has_the_most_processor_time():
    """Ten times the weight of another unit (100) where all want a core, and the jobs the least."""
    units = {name: (_UNITS / name).read_text() for name in _SERVICES}
    weights = {
        name: int(found[1])
        for name, text in units.items()
        if (found := re.search(r"^CPUWeight=(\d+)$", text, re.M))
    }
    assert weights == {"marquee-serve.service": 1000, "marquee-cron.service": 20}


@pytest.mark.parametrize("name", _SERVICES)
def test_commands_exist(name):
    """What the unit starts is accepted."""
    (command,) = re.findall(r"^ExecStart=\S+/python -m (.+)$", (_UNITS / name).read_text(), re.M)
    check_command(command)


# System calls: those of real runs, against the filter of the units.

_OF_ROOT = {"chown", "fchown", "setgroups", "setuid"}  # a unit has an account of its own


def calls_in(group):
    """Return the names of the system calls of a group of systemd."""
    _, text = check("systemd-analyze", "syscall-filter", group)
    lines = [line.strip() for line in text.splitlines()[1:]]
    names = [line for line in lines if line and not line.startswith("#")]
    return {call for name in names for call in (calls_in(name) if name.startswith("@") else {name})}


def _ask(server):
    with urllib.request.urlopen(f"{server}/recommend/u7") as answer:
        assert answer.status == 200


def traced(folder, *command):
    """Run a command of ours until its end under strace; return the names of its system calls.

    A server is asked for a list once its log says that it serves, and then ended.
    """
    output = folder / "calls"
    shell = f"echo $$ >pid; exec {sys.executable} -m {' '.join(command)}"
    with subprocess.Popen(
        ["strace", "-f", "-qq", "-c", "-o", output, "sh", "-c", shell],
        cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            for server in re.findall(r"serving on (http://\S+:\d+)", line):
                _ask(server)
                os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
    assert process.returncode == 0
    table = re.findall(r"^ *\d+\.\d+ .* (\w+)$", output.read_text(), re.MULTILINE)
    return set(table) - {"total"}


@pytest.mark.skipif(not os.environ.get("DEPLOY_CAMPAIGN"), reason="runs by `.ci/campaigns deploy`")
def test_refresh_and_server_make_no_call_that_is_filtered(tmp_path):
    """A filtered one would fail with EPERM, in the night. The twin: a mount would be."""
    make_marquee(folder := tmp_path / "marquee")
    write_events(folder, n_users=120)
    allowed = calls_in("@system-service") - calls_in("@privileged")
    used = traced(folder, "batch", "refresh") | traced(folder, "serve", "--port", "0")
    assert {"execve", "flock", "accept4"} <= used
    assert used - allowed - (_OF_ROOT if os.geteuid() == 0 else set()) == set()
    assert "mount" not in allowed
