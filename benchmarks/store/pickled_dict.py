"""A pickled dict: the simplest solution."""

import contextlib
import os
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from benchmarks.store.subjects import Get, Records
from store.durable import fsync_path


class Pickle:
    """A dict with all lists in the memory of each process."""

    name = "pickle"
    version = f"protocol {pickle.HIGHEST_PROTOCOL}"
    configuration = "dict(records), the highest protocol, fsync of file and directory; dict.get"

    def missing(self) -> str | None:
        """Return None: it is part of Python."""
        return None

    def write(self, folder: Path, records: Records) -> dict[str, float]:
        """Make the dict, pickle it, fsync it."""
        start = time.perf_counter()
        with (folder / "lists.pickle").open("wb") as file:
            pickle.dump(dict(records), file, pickle.HIGHEST_PROTOCOL)
            file.flush()
            loaded = time.perf_counter()
            os.fsync(file.fileno())
        fsync_path(folder)
        end = time.perf_counter()
        return {"write": end - start, "table": loaded - start, "sync": end - loaded}

    @contextlib.contextmanager
    def opened(self, folder: Path) -> Iterator[Get]:
        """Load the whole dict."""
        with (folder / "lists.pickle").open("rb") as file:
            yield cast(dict[bytes, bytes], pickle.load(file)).get

    def files(self, folder: Path) -> list[Path]:
        """Return no files: after opening, all lists are in memory."""
        return []
