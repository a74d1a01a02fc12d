"""Programs and packages of the peers, and their folders if the system lacks them.

    var/benchmarks/serving/debian/       Debian's packages, unpacked: no root, no service started
    var/benchmarks/serving/python-…/     a venv of the pins in `requirements.txt`

Programs of the system have priority.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from benchmarks.harness.errors import NotInstalledError

_REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
_PACKAGES: Final = {"cc": "gcc"}  # packages by program, where the names differ
_STDERR: Final = 2  # descriptor; standard output is for figures
_PYTHON_PROGRAMS: Final = ("uvicorn", "granian")


class Installed:
    """Programs on the system or below `folder`, installed there on demand.

    Args:
        folder: Folder of the benchmark's own programs.
        may_install: Whether packages may be downloaded.
    """

    def __init__(self, folder: Path, *, may_install: bool) -> None:
        digest = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:12]
        self._debian = folder.absolute() / "debian"
        self._venv = folder.absolute() / f"python-{digest}"
        self._may_install = may_install

    def environment(self) -> dict[str, str]:
        """Return an environment with all installed programs in its PATH."""
        path = os.pathsep.join(
            [*(os.environ.get("PATH") or os.defpath).split(os.pathsep), "/usr/sbin"]
            + [str(self._debian / "usr" / name) for name in ("bin", "sbin")]
        )
        environment = {
            key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")
        }
        if self._debian.is_dir():
            folders = [*(self._debian / "usr" / "lib").glob("*-linux-gnu*")]
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, folders))
        return {**environment, "PATH": path}

    def require(self, programs: Sequence[str]) -> None:
        """Install the missing ones of some programs.

        Raises:
            NotInstalledError: A program is missing and was not or could not be installed.
        """
        missing = [name for name in programs if not self.find(name)]
        if from_python := [name for name in missing if name in _PYTHON_PROGRAMS]:
            self._install_python(from_python)
        if from_debian := [name for name in missing if name not in _PYTHON_PROGRAMS]:
            self._install_debian(from_debian)

    def find(self, program: str) -> str | None:
        """Return the path of a program, or None."""
        if program in _PYTHON_PROGRAMS:
            path = self._venv / "bin" / program
            return str(path) if path.exists() else None
        return shutil.which(program, path=self.environment()["PATH"])

    def found(self, program: str) -> str:
        """Return the path of a program that has been required."""
        path = self.find(program)
        if path is None:
            raise NotInstalledError(program, "not installed", "call `require` first")
        return path

    def version(self, part: str) -> str:
        """Return the version of a program, or of a package of Python."""
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(part)
        if version := pinned_versions().get(part):
            return version
        if package := next((self._debian / "packages").glob(f"{part}_*.deb"), None):
            return package.name.split("_")[1]
        query = ["dpkg-query", "--show", "--showformat", "${Version}", part]
        with contextlib.suppress(FileNotFoundError):  # not a Debian
            output = subprocess.run(query, capture_output=True, text=True, check=False)
            return output.stdout or "unknown"
        return "unknown"

    def _install_python(self, programs: Sequence[str]) -> None:
        pip = [str(self._venv / "bin" / "pip"), "install", "-r", str(_REQUIREMENTS)]
        make = [sys.executable, "-m", "venv", "--clear", str(self._venv)]
        command = f"{' '.join(make)} && {' '.join(pip)}"
        if self._may_install:
            print(f"installing {_REQUIREMENTS.name} into {self._venv}", file=sys.stderr)
            if run_to_stderr(make) and run_to_stderr([*pip, "--quiet"]):
                return
            shutil.rmtree(self._venv, ignore_errors=True)
        raise NotInstalledError(", ".join(programs), "not installed", f"run `{command}`")

    def _install_debian(self, programs: Sequence[str]) -> None:
        packages = [_PACKAGES.get(name, name) for name in programs]
        if self._may_install and shutil.which("apt-get") and "gcc" not in packages:
            print(f"unpacking {', '.join(packages)} into {self._debian}", file=sys.stderr)
            if _unpack(packages, self._debian) and all(map(self.find, programs)):
                return
        command = f"apt-get update && apt-get install -y {' '.join(packages)}"
        raise NotInstalledError(", ".join(programs), "not installed", f"as root: `{command}`")


def pinned_versions() -> dict[str, str]:
    """Return the versions of `requirements.txt`; falcon and lmdb as in the project's lock."""
    lines = (line.split("==") for line in _REQUIREMENTS.read_text().splitlines())
    return {line[0]: line[1] for line in lines if len(line) == 2}


def _unpack(packages: Sequence[str], folder: Path) -> bool:
    """Download packages and their missing dependencies, and unpack them in a folder."""
    plan = ["apt-get", "install", "--simulate", "--no-install-recommends", *packages]
    output = subprocess.run(plan, capture_output=True, text=True, check=False)
    if output.returncode and os.geteuid() == 0:  # a minimal image has no package lists
        run_to_stderr(["apt-get", "update"])
        output = subprocess.run(plan, capture_output=True, text=True, check=False)
    needed = [line.split()[1] for line in output.stdout.splitlines() if line.startswith("Inst ")]
    downloads = folder / "packages"
    downloads.mkdir(parents=True, exist_ok=True)
    return (
        bool(needed)
        and run_to_stderr(["apt-get", "download", *needed], downloads)
        and all(
            run_to_stderr(["dpkg-deb", "-x", str(path), str(folder)])
            for path in downloads.iterdir()
        )
    )


def run_to_stderr(command: Sequence[str], folder: Path | None = None) -> bool:
    """Run a command, its output on standard error, and return whether it succeeded."""
    return subprocess.run(command, cwd=folder, stdout=_STDERR, check=False).returncode == 0
