"""The journal of a fetch: each response's answers on disk before the next request is counted.

    heat+1995 ⇥ 1764284657123 ⇥ 200 ⇥ {"id":"heat+1995","title":"Heat",…}

One line an answer: id, time in milliseconds since 1970, HTTP status, JSON text. A killed fetch
leaves whole lines, and perhaps a torn last one, which is cut off before the next is written.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import csv

from batch.errors import InputError
from batch.fetch.answers import ApiAnswer
from store.durable import fsync_path

ANSWERS: Final = pa.schema(
    [("id", pa.string()), ("at", pa.timestamp("ms", "UTC")), ("status", pa.int16()),
     ("doc", pa.string())]
)  # fmt: skip
_TEXTS: Final = pa.schema(
    [("id", pa.string()), ("at", pa.int64()), ("status", pa.int16()), ("doc", pa.string())]
)
_BLOCK_BYTES: Final = 1 << 27  # longer than the longest line: a response has at most half of it
_TAIL_BYTES: Final = 1 << 16
_REMEDY: Final = "remove it: its ids are asked for again"


class FetchJournal:
    """Answers that are not yet in the cache.

    Args:
        path: File of the journal; it need not exist.
        clock: Function that returns the time in seconds since 1970.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock

    def recover(self) -> None:
        """Cut off a torn last line, which a killed fetch may have left."""
        if not self.path.exists():
            return
        with self.path.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                begin = max(end - _TAIL_BYTES, 0)
                file.seek(begin)
                newline = file.read(end - begin).rfind(b"\n")
                if newline >= 0:
                    end = begin + newline + 1
                    break
                end = begin
            file.truncate(end)

    def append(self, answers: Sequence[ApiAnswer]) -> None:
        """Add answers of this moment, and force them to disk."""
        at = int(self._clock() * 1000)
        is_new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.writelines(f"{one.id}\t{at}\t{one.status}\t{one.doc}\n" for one in answers)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            fsync_path(self.path.parent)

    def read(self) -> pa.Table:
        """Return the last answer of each id, a table with the columns of `ANSWERS`.

        Raises:
            InputError: The journal is not one.
        """
        if not self.path.exists() or not self.path.stat().st_size:
            return ANSWERS.empty_table()
        try:
            table = csv.read_csv(
                self.path,
                csv.ReadOptions(column_names=_TEXTS.names, block_size=_BLOCK_BYTES),
                csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False),
                csv.ConvertOptions(
                    column_types=_TEXTS, strings_can_be_null=True, null_values=[""]
                ),
            )  # fmt: skip
        except pa.ArrowException as error:
            problem = f"is not a journal of a fetch: {error}"
            raise InputError(
                self.path, problem, "remove it: its ids are asked for again"
            ) from error
        rows = table.append_column("row", pa.array(range(len(table)), pa.int64()))
        last = rows.group_by("id", use_threads=False).aggregate([("row", "max")])["row_max"]
        return table.take(last).cast(ANSWERS)
