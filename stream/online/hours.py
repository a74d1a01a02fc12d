"""Requests with what came of them, one row a request, one file an hour.

    var/online/
        date=2026-11-14/hour-12.parquet     requests of the hour from 12:00
        STATE      time up to which hours are closed, settings, hashes of open days' inputs

An hour is closed when no event that may still come within the bound can change it. Closed
hours are never computed again, so they outlast the events that they were made of. Files are
replaced atomically.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch.events.ids import ID
from store.durable import fsync_path, replace_durable
from stream.errors import StreamError

HOUR_SECONDS: Final = 3600
_DAY_SECONDS: Final = 24 * HOUR_SECONDS
HOUR: Final = pa.schema(
    [("user_id", ID), ("at", pa.int64()), ("generation", pa.int64()), ("source", ID),
     ("segment", ID), ("is_available", pa.bool_()), ("milliseconds", pa.int32()),
     ("n_shown", pa.int16()), ("rank", pa.int16()), ("n_views", pa.int16()),
     ("minutes", pa.float64()), ("n_timed", pa.int16()), ("watched_share", pa.float64()),
     ("n_ratings", pa.int16()), ("rating", pa.float64()), ("n_priced", pa.int16()),
     ("cost", pa.float64()), ("n_other_views", pa.int16()), ("n_control_clicks", pa.int16()),
     ("n_treatment_clicks", pa.int16())]
)  # fmt: skip
_STATE: Final = "STATE"
_HOURS: Final = "date=*/hour-*.parquet"
_REMEDY: Final = "remove the directory, and it is made anew from the events that are kept"


class HourFiles:
    """The directory of the hours.

    Args:
        folder: Directory, made when it is written.
        basis: Settings that the rows depend on.

    Attributes:
        closed_until: Time up to which all hours are closed.
        inputs: Hash of the inputs that each open day, counted from 1970, was computed from.

    Raises:
        StreamError: It was made with other settings, or its state is damaged.
    """

    def __init__(self, folder: Path, basis: Mapping[str, Any]) -> None:
        self._folder = folder
        self._basis = dict(basis)
        self.closed_until = 0
        self.inputs: dict[int, str] = {}
        self._read_state()

    def hours(self, since: int, until: int) -> Iterator[tuple[int, Path]]:
        """Yield begin and file of the hours with requests in a span of time, ascending."""
        for path in sorted(self._folder.glob(_HOURS)):
            begin = _begin_of(path)
            if since < begin + HOUR_SECONDS and begin < until:
                yield begin, path

    def has_any(self) -> bool:
        """Return whether any hour has requests."""
        return next(self._folder.glob(_HOURS), None) is not None

    def has(self, begin: int) -> bool:
        """Return whether the hour that begins at a time has requests."""
        return self._path(begin).exists()

    def tables(self, since: int, until: int) -> Iterator[pa.Table]:
        """Yield the rows of a span of time, an hour at a time.

        Raises:
            StreamError: A file is damaged.
        """
        for begin, path in self.hours(since, until):
            try:
                rows = pq.ParquetFile(path).read().cast(HOUR)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise StreamError(path, f"cannot be read: {error}", _REMEDY) from error
            if begin < since or begin + HOUR_SECONDS > until:
                at = rows["at"].to_numpy()
                rows = rows.filter(pa.array((at >= since) & (at < until)))
            yield rows

    def write(self, rows: pa.Table, since: int, until: int) -> None:
        """Replace the hours of a span that are not closed by these rows.

        Args:
            rows: Table of `HOUR`, in any order.
            since: Begin of the span, a whole hour.
            until: End of the span, a whole hour.
        """
        at = rows["at"].to_numpy()
        order = np.argsort(at, kind="stable")
        rows, at = rows.take(pa.array(order)), at[order]
        for begin in range(max(since, self.closed_until), until, HOUR_SECONDS):
            first, end = np.searchsorted(at, (begin, begin + HOUR_SECONDS))
            path = self._path(begin)
            if end > first:
                _write(path, rows.slice(first, end - first))
            else:
                path.unlink(missing_ok=True)
        for day in {self._path(begin).parent for begin in range(since, until, HOUR_SECONDS)}:
            if day.is_dir():
                fsync_path(day)

    def close(self, until: int) -> None:
        """Record that the hours up to a time are closed."""
        self.closed_until = max(until, self.closed_until)
        self._folder.mkdir(parents=True, exist_ok=True)
        first = self.closed_until // _DAY_SECONDS
        self.inputs = {day: inputs for day, inputs in self.inputs.items() if day >= first}
        state = {
            "closed_until": self.closed_until, "basis": self._basis, "inputs": self.inputs,
        }  # fmt: skip
        replace_durable(self._folder / _STATE, json.dumps(state) + "\n")

    def _path(self, begin: int) -> Path:
        day, hour = str(np.datetime64(begin, "s")).split("T")
        return self._folder / f"date={day}" / f"hour-{hour[:2]}.parquet"

    def _read_state(self) -> None:
        path = self._folder / _STATE
        try:
            state = json.loads(path.read_text())
            basis = state["basis"]
            self.closed_until = int(state["closed_until"])
            self.inputs = {int(day): str(one) for day, one in state["inputs"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StreamError(path, f"cannot be read: {error!r}", _REMEDY) from error
        changed = {
            key for key in basis.keys() | self._basis if basis.get(key) != self._basis.get(key)
        }
        if changed:
            problem = f"was made with another {' and '.join(sorted(changed))} of [online]"
            raise StreamError(self._folder, problem, f"set it back, or {_REMEDY}")


def _begin_of(path: Path) -> int:
    day, hour = path.parent.name.removeprefix("date="), path.stem.removeprefix("hour-")
    return int(np.datetime64(f"{day}T{hour}:00:00", "s").astype(np.int64))


def _write(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pending = path.with_name(f"{path.name}.pending")
    pq.write_table(rows.unify_dictionaries(), pending, compression="zstd")
    fsync_path(pending)
    pending.replace(path)
