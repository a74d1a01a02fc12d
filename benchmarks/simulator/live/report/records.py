"""The tally: one record for each request, in the order in which they were due."""

from typing import Final

import numpy as np
import numpy.typing as npt

# `user_row` -1 where the id was malformed; `failure` and `source` are places in the tally's
# names; `rank` from 1, 0 where no item of the list was taken; minutes, stars and cost are of
# what was taken from the list; `own` tells of another view. `best`, `popular` and `ndcg` are
# NaN where the list was not measured.
RECORD: Final = np.dtype(
    [
        ("user_row", "i4"), ("server", "i1"), ("milliseconds", "f4"), ("late_ms", "f4"),
        ("failure", "u1"), ("source", "u1"), ("rank", "i1"), ("own", "?"), ("minutes", "i2"),
        ("stars", "i1"), ("cost", "f4"), ("expected", "f4"), ("best", "f4"), ("popular", "f4"),
        ("ndcg", "f4"),
    ]
)  # fmt: skip
Records = npt.NDArray[np.void]


class Names:
    """Few names that come again and again, as small numbers; 0 is the empty one."""

    def __init__(self) -> None:
        self.names = [""]
        self._places = {"": 0}

    def place(self, name: str) -> int:
        """Return the number of a name."""
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = len(self.names)
            self.names.append(name)
        return place


class Tally:
    """All requests of a run.

    Attributes:
        failures: Names of what went wrong; 0: nothing.
        sources: Names of what made the answers; 0: none was named.
    """

    def __init__(self) -> None:
        self.failures = Names()
        self.sources = Names()
        self._parts: list[Records] = []

    def add(self, records: Records) -> None:
        """Add the requests of a window."""
        self._parts.append(records)

    def records(self) -> Records:
        """Return all requests, (n,) of RECORD."""
        return np.concatenate([np.empty(0, RECORD), *self._parts])
