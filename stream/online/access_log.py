"""The server's access log: requests where no answers are echoed, and the interface's quality.

    {"time":"2026-11-14T12:23:12+00:00","client":"…","request":"GET /recommend/7 HTTP/1.1",
     "status":200,"bytes":180,"seconds":0.001,"source":"list","generation":"42"}

nginx rotates it: `access.log.2` is older than `access.log.1`. Lines that are not complete
are left out.
"""

import io
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from batch.arrays import Rows
from batch.events.day_files import users_part
from batch.events.ids import encode
from store.ids import USER_ID_PATTERN
from stream.errors import NoAnswersError, StreamError
from stream.online.events import DAY_SECONDS
from stream.online.requests import OK, REQUESTS
from stream.online.served_lists import LIST, ServedLists
from stream.online.settings import OnlineSettings

_LINES: Final = pa.schema(
    [("time", pa.string()), ("request", pa.string()), ("status", pa.int32()),
     ("seconds", pa.float64()), ("source", pa.string()), ("generation", pa.string())]
)  # fmt: skip
LOGGED: Final = pa.schema(
    [("at", pa.int64()), ("path", pa.string()), ("status", pa.int32()),
     ("milliseconds", pa.int32()), ("source", pa.string()), ("generation", pa.int64())]
)  # fmt: skip
RECOMMEND: Final = "/recommend/"
_USER: Final = rf"^{RECOMMEND}(?P<user>{USER_ID_PATTERN})$"
_PATH: Final = r"^[A-Z]+ (?P<path>[^ ?]*)"
_BLOCK_BYTES: Final = 1 << 25


class LoggedRequests:
    """The lines of an access log and its rotated predecessors.

    Args:
        settings: Path of the log, limit of time, and offset of the clock of the events.
    """

    def __init__(self, settings: OnlineSettings) -> None:
        self._path = Path(settings.access_log)
        self._limit_ms = settings.limit_ms
        self._offset = 60 * settings.utc_offset_minutes

    @cached_property
    def lines(self) -> pa.Table:
        """All lines, as a table of `LOGGED`.

        Raises:
            StreamError: The log cannot be read.
        """
        rotated = self._path.parent.glob(f"{self._path.name}.*")
        numbers = sorted(
            (int(path.suffix[1:]) for path in rotated if path.suffix[1:].isdecimal()), reverse=True
        )
        paths = [self._path.with_name(f"{self._path.name}.{number}") for number in numbers]
        blocks = [block for path in (*paths, self._path) for block in _blocks(path)]
        tables = [_logged(block, self._offset) for block in blocks]
        return pa.concat_tables(tables) if tables else LOGGED.empty_table()

    def oldest(self) -> int:
        """Return the time of the oldest line by the clock of the events; 0 without one."""
        return int(pc.min(self.lines["at"]).as_py() or 0)

    def newest(self) -> int:
        """Return the time of the newest line by the clock of the events; 0 without one."""
        return int(pc.max(self.lines["at"]).as_py() or 0)

    def days(self) -> list[int]:
        """Return the days, counted from 1970, that have requests for lists."""
        distinct: list[int] = np.unique(self._requests["at"].to_numpy() // DAY_SECONDS).tolist()
        return distinct

    def n_rows(self, days: Sequence[int]) -> int:
        """Return the number of requests for lists on some days."""
        return int(np.isin(self._days, days).sum())

    def requests(
        self, days: Sequence[int], part: int, n_parts: int, served: ServedLists
    ) -> pa.Table:
        """Return `REQUESTS` of one of `n_parts` parts of the users, with items where known."""
        requests = self._requests.filter(pa.array(np.isin(self._days, days)))
        requests = users_part(requests, part, n_parts)
        columns = ("user_id", "generation", "source", "is_available")
        items = [
            _items(served, user.encode(), generation, source) if is_available else None
            for user, generation, source, is_available in zip(
                *(requests[name].to_pylist() for name in columns), strict=True
            )
        ]
        number = REQUESTS.names.index("items")
        return requests.set_column(number, "items", pa.array(items, pa.string()))

    @cached_property
    def _requests(self) -> pa.Table:
        """Requests for lists by valid ids, without items."""
        user = pc.struct_field(pc.extract_regex(self.lines["path"], _USER), "user")
        is_valid = pc.is_valid(user)
        lines, user = self.lines.filter(is_valid), user.filter(is_valid)
        in_time = pc.less_equal(lines["milliseconds"], self._limit_ms)
        is_available = pc.and_(pc.equal(lines["status"], OK), in_time)
        source = pc.if_else(is_available, lines["source"], "")
        columns = {
            "user_id": encode(user.combine_chunks()),
            "at": lines["at"],
            "is_available": is_available,
            "milliseconds": lines["milliseconds"],
            "items": pa.nulls(len(lines), pa.string()),
            "generation": lines["generation"],
            "source": source,
        }
        return pa.table(list(columns.values()), schema=REQUESTS)

    @cached_property
    def _days(self) -> Rows:
        return np.asarray(self._requests["at"].to_numpy() // DAY_SECONDS)


def _items(served: ServedLists, user_id: bytes, generation: int | None, source: str) -> str | None:
    lists = served.lists(generation) if generation else None
    body = lists.list_of(user_id, source or LIST) if lists else None
    return body.decode() if body else None


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield a file in blocks of complete lines.

    Raises:
        StreamError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                rest = file.readline()
                yield (block + rest)[: (block + rest).rfind(b"\n") + 1]
    except OSError as error:
        remedy = "set access_log in [online], or collect answers from the stream"
        kind = NoAnswersError if isinstance(error, FileNotFoundError) else StreamError
        raise kind(path, f"cannot be read: {error.strerror}", remedy) from error


def _logged(block: bytes, offset: int) -> pa.Table:
    """Return the lines of a block as `LOGGED`, without broken ones."""
    lines = _parsed(block)
    text = pc.fill_null(lines["time"], "").combine_chunks().dictionary_encode()
    times = pd.to_datetime(text.dictionary.to_pandas(), utc=True, format="ISO8601", errors="coerce")
    is_time = times.notna().to_numpy()[text.indices.to_numpy()]
    seconds = times.fillna(pd.Timestamp(0, tz="UTC")).to_numpy("datetime64[s]").astype(np.int64)
    path = pc.struct_field(pc.extract_regex(lines["request"], _PATH), "path")
    generation = pc.if_else(
        pc.match_substring_regex(lines["generation"], r"^\d{1,13}$"), lines["generation"], None
    )
    columns = (
        pa.array(seconds[text.indices.to_numpy()] + offset),
        pc.fill_null(path, ""),
        pc.fill_null(lines["status"], 0),
        pc.round(pc.multiply(pc.fill_null(lines["seconds"], 0.0), 1000)).cast(pa.int32()),
        pc.fill_null(lines["source"], ""),
        generation.cast(pa.int64()),
    )
    return pa.table(columns, schema=LOGGED).filter(pa.array(is_time))


def _parsed(block: bytes) -> pa.Table:
    options = pyarrow.json.ParseOptions(_LINES, unexpected_field_behavior="ignore")
    try:
        return pyarrow.json.read_json(io.BytesIO(block), parse_options=options)
    except pa.ArrowInvalid:  # a torn line, after a power cut
        sound = [line for line in block.split(b"\n") if _is_sound(line)]
    if not sound:
        return _LINES.empty_table()
    return pyarrow.json.read_json(io.BytesIO(b"\n".join(sound)), parse_options=options)


def _is_sound(line: bytes) -> bool:
    try:
        fields = json.loads(line)
    except ValueError:
        return False
    kinds = {"status": int, "seconds": int | float}
    return isinstance(fields, dict) and all(
        isinstance(fields.get(name), kinds.get(name, str)) for name in _LINES.names
    )
