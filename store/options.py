"""Command-line options that the packages' commands share."""

import argparse
from collections.abc import Sequence
from typing import Any


class RenamedOption(argparse.Action):
    """A hidden option that was renamed: using it is an error that names the new one.

    Declare it as `add_argument("--to", action=RenamedOption, new="--generation")`.
    """

    def __init__(self, option_strings: Sequence[str], dest: str, *, new: str, **_: Any) -> None:
        super().__init__(
            option_strings, dest, nargs="?", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
        self._new = new

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """End the command with status 2."""
        parser.error(f"{option_string}: renamed; use {self._new}")
