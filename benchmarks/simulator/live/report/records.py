"""Records of requests, in the order in which they were due."""

from typing import Final

import numpy as np

from batch.arrays import Records

# `user_row` is -1 where the id was malformed; `failure` and `source` are codes of names;
# `rank` is from 1, 0 where no item of the list was taken; minutes, stars and cost belong to
# the item taken from the list; `own` is True after another view. `best`, `popular` and `ndcg`
# are NaN where the list was not measured.
RECORD: Final = np.dtype(
    [
        ("user_row", "i4"), ("server", "i1"), ("milliseconds", "f4"), ("late_ms", "f4"),
        ("failure", "u1"), ("source", "u1"), ("rank", "i1"), ("own", "?"), ("minutes", "i2"),
        ("stars", "i1"), ("cost", "f4"), ("expected", "f4"), ("best", "f4"), ("popular", "f4"),
        ("ndcg", "f4"),
    ]
)  # fmt: skip


class NameTable:
    """A table of names with small integer codes; 0 is the empty name."""

    def __init__(self) -> None:
        self.names = [""]
        self._codes = {"": 0}

    def code(self, name: str) -> int:
        """Return the code of a name."""
        code = self._codes.get(name)
        if code is None:
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code


class RequestRecords:
    """Records of all requests of a run.

    Attributes:
        failures: Names of kinds of failure; 0: no failure.
        sources: Names of sources of answers; 0: no source given.
    """

    def __init__(self) -> None:
        self.failures = NameTable()
        self.sources = NameTable()
        self._parts: list[Records] = []

    def add(self, records: Records) -> None:
        """Add the records of a window."""
        self._parts.append(records)

    def records(self) -> Records:
        """Return (n,) records of all requests, of the type RECORD."""
        return np.concatenate([np.empty(0, RECORD), *self._parts])
