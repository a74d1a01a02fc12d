"""Quality of our own interface by the access log: what clients sent that they should not.

    var/online/INTERFACE     one JSON line an hour, so that figures outlast the rotated logs

Requests for lists with an invalid id are malformed; users without a list of their own are
unknown; a path that no route has, or that is asked for in the wrong way, is unexpected.
"""

import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags
from store.durable import replace_durable
from stream.errors import StreamError
from stream.online.access_log import RECOMMEND
from stream.online.hours import HOUR_SECONDS
from stream.online.requests import OK
from stream.online.served_lists import LIST

_FILE: Final = "INTERFACE"
_BAD_REQUEST: Final = 400
_UNEXPECTED: Final = (404, 405, 501)
_KNOWN_USER: Final = (LIST, "fresh")


class InterfaceCounts(NamedTuple):
    """Numbers of requests of an hour or a longer span.

    Attributes:
        n_requests: Requests of any kind.
        n_lists: Requests for lists.
        n_malformed: Requests for lists that were refused as malformed.
        n_unknown_users: Lists that were answered to users without one of their own.
        n_unexpected: Requests of paths or methods that the server does not have.
    """

    n_requests: int
    n_lists: int
    n_malformed: int
    n_unknown_users: int
    n_unexpected: int

    def shares(self) -> dict[str, float]:
        """Return the shares of malformed requests, unknown users and unexpected paths."""
        n_answered = self.n_lists - self.n_malformed
        return {
            "malformed": self.n_malformed / max(self.n_lists, 1),
            "unknown_users": self.n_unknown_users / max(n_answered, 1),
            "unexpected_paths": self.n_unexpected / max(self.n_requests, 1),
        }


def count_by_hour(lines: pa.Table) -> dict[int, InterfaceCounts]:
    """Return the counts of each hour, by its begin.

    Args:
        lines: Table of `stream.online.access_log.LOGGED`.
    """
    hour, code = np.unique(lines["at"].to_numpy() // HOUR_SECONDS, return_inverse=True)
    status = lines["status"].to_numpy()
    is_list = _flags(pc.starts_with(lines["path"], RECOMMEND))
    is_malformed = is_list & (status == _BAD_REQUEST)
    is_known = _flags(pc.is_in(lines["source"], value_set=pa.array(_KNOWN_USER)))
    is_unexpected = np.isin(status, _UNEXPECTED)
    kinds = (
        np.ones(len(status), np.bool_),
        is_list,
        is_malformed,
        is_list & (status == OK) & ~is_known,
        is_unexpected,
    )
    counts = [np.bincount(code[kind], minlength=len(hour)).tolist() for kind in kinds]
    begins = (hour * HOUR_SECONDS).tolist()
    return {
        begin: InterfaceCounts(*numbers)
        for begin, numbers in zip(begins, zip(*counts, strict=True), strict=True)
    }


class InterfaceHours:
    """The counts of all hours, kept in a file.

    Args:
        folder: Directory of the online figures.

    Raises:
        StreamError: The file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._counts = self._read()

    def update(self, counts: dict[int, InterfaceCounts]) -> None:
        """Merge the counts of the lines that the access log has now, and write all.

        The first hour of a rotated log may be incomplete: larger counts stay.

        Raises:
            OSError: The file cannot be written.
        """
        for begin, found in counts.items():
            old = self._counts.get(begin)
            self._counts[begin] = max(found, old, key=lambda one: one.n_requests) if old else found
        lines = [json.dumps([begin, *self._counts[begin]]) for begin in sorted(self._counts)]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        replace_durable(self._path, "".join(f"{line}\n" for line in lines))

    def total(self, since: int, until: int) -> InterfaceCounts:
        """Return the counts of the hours that begin in a span of time."""
        found = [one for begin, one in self._counts.items() if since <= begin < until]
        return (
            InterfaceCounts(*(sum(numbers) for numbers in zip(*found, strict=True)))
            if found
            else InterfaceCounts(0, 0, 0, 0, 0)
        )

    def _read(self) -> dict[int, InterfaceCounts]:
        try:
            rows = [json.loads(line) for line in self._path.read_text().splitlines()]
            return {int(begin): InterfaceCounts(*map(int, counts)) for begin, *counts in rows}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError) as error:
            remedy = "remove it, and it is made anew from the logs that are kept"
            raise StreamError(self._path, f"cannot be read: {error!r}", remedy) from error


def _flags(column: pa.ChunkedArray) -> Flags:
    return np.asarray(column.to_numpy(), np.bool_)
