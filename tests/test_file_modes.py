"""Users outside of the service's group can read nothing that it writes."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.histories import write_history

_ROOT = Path(__file__).resolve().parent.parent


def run(folder, umask, *arguments):
    """Run a command of a package below a folder, begun under the given umask."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("MARQUEE_")}
    subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        umask=umask,
        capture_output=True,
        check=True,
    )


def modes(folder):
    """Return the permissions of everything below a folder, directories and files apart."""
    paths = [path for path in folder.rglob("*") if not path.is_symlink()]
    return (
        {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()},
        {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()},
    )


@pytest.mark.parametrize(
    ("umask", "of_folders", "of_files"), [(0, 0o750, 0o640), (0o077, 0o700, 0o600)]
)
def test_what_commands_write_is_for_user_and_group_alone(tmp_path, umask, of_folders, of_files):
    """A stricter umask stays in force."""
    history = write_history(tmp_path / "given")
    with history.events.open("a") as log:
        log.write("broken\n")
    (tmp_path / "marquee.toml").write_text(f'[batch]\nevents = ["{history.events}"]\n')
    run(tmp_path, umask, "batch", "ingest", "--events", history.events)
    run(tmp_path, umask, "cron", "run", "refresh")
    run(tmp_path, umask, "store", "takedown", "film+1+1951", "--why", "rights")
    run(tmp_path, umask, "store", "pin", "--why", "festival")
    shutil.rmtree(tmp_path / "given")
    folders, files = modes(tmp_path / "var")
    assert {"events", "quarantine", "store"} <= {
        entry.name for entry in (tmp_path / "var").iterdir()
    }
    assert not any(mode & ~of_folders for mode in folders)
    assert not any(mode & ~of_files for mode in files)
