"""Version of the code, for the manifest."""

import subprocess
import tomllib
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent


def code_version() -> str:
    """Return the package's version, and the commit where there is a checkout."""
    try:
        version = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["version"]
    except OSError:  # pyproject.toml is not in the image
        version = "unknown"
    described = (
        subprocess.run(
            ["git", "-C", str(_ROOT), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
        )
        if (_ROOT / ".git").exists()
        else None
    )
    commit = described.stdout.strip() if described and described.returncode == 0 else ""
    return f"{version}+{commit}" if commit else str(version)
