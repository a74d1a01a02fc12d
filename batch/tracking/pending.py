"""Documents that wait for their delivery: one file each, removed once it has been accepted.

    var/tracking/openlineage/01795845157485123456.json     the oldest first
    var/tracking/failed/01795845190012345678.json

A server that is down keeps them waiting, across restarts and power cuts.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from store.durable import replace_durable

_MAX_FILES: Final = 1000  # a year of refreshes; the oldest go first


class Pending:
    """A directory of documents that wait for their delivery.

    Args:
        folder: The directory; it is made when the first document is added.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, document: dict[str, Any]) -> None:
        """Keep a document until it is delivered; of more than a thousand, the oldest go.

        Raises:
            OSError: It could not be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        for path in self._files()[: 1 - _MAX_FILES]:
            path.unlink(missing_ok=True)
        path = self._folder / f"{time.time_ns():020d}-{os.getpid()}.json"
        replace_durable(path, json.dumps(document))

    def deliver(self, send: Callable[[dict[str, Any]], object]) -> int:
        """Send all documents, the oldest first, and remove each that was accepted.

        Args:
            send: Function that sends one; its error ends the delivery, and is raised.

        Returns:
            Number of documents that were delivered.
        """
        n_sent = 0
        for path in self._files():
            with contextlib.suppress(ValueError):  # a damaged file would bar the way for ever
                document = json.loads(path.read_text(encoding="utf-8"))
                send(document)
                n_sent += 1
            path.unlink(missing_ok=True)
        return n_sent

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))
