"""The units of systemd, in a root of their own with Debian's."""

import re
import shutil
from pathlib import Path

import pytest

from tests.deploy.commands import check_command
from tests.deploy.files import DEPLOY, check

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


@pytest.mark.parametrize("name", _SERVICES)
def test_commands_exist(name):
    """What the unit starts is accepted."""
    (command,) = re.findall(r"^ExecStart=\S+/python -m (.+)$", (_UNITS / name).read_text(), re.M)
    check_command(command)
