"""A copy of the server's code that a test may change."""

import shutil
from pathlib import Path

from tests.serve.server import ROOT


class CodeCopy:
    """A copy of `serve` and `store`; a server started with `environ` runs it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environ = {"PYTHONPATH": str(folder)}
        for package in ("serve", "store"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, folder / package, ignore=ignored)

    def change(self, file: str, old: str, new: str) -> None:
        """Replace a piece of text that occurs exactly once."""
        path = self._folder / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} contains {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new))
