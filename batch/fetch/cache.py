"""The cache: the last answer of an API about each id, one Parquet file for each API.

    var/api/
        movies.parquet    id  at  status  doc      one row an id, in the order of the ids
        movies.journal    answers of a running or killed fetch: `journal`
        users.parquet     users.journal
        .lock             one fetch at a time

`doc` is the JSON text that the API answered, null for an unknown id. Merging the journal writes a
new file and renames it into place; a crash before or after leaves a file and a journal which give
the same cache. A refresh reads the file alone, as the JSON lines that it holds.
"""

import contextlib
import fcntl
import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.errors import BatchError, InputError
from batch.fetch.answers import UNKNOWN
from batch.fetch.journal import ANSWERS, FetchJournal
from batch.files.input_file import AnyFile, input_file
from batch.files.open import is_parquet
from batch.parquet_limits import check_unpacked
from store.durable import fsync_path

MOVIES: Final = "movies"
USERS: Final = "users"

_LOCK: Final = ".lock"
_PENDING: Final = ".pending"
_BLOCK_ROWS: Final = 10_000
_REMEDY: Final = "remove it: the next fetch asks for everything again"


class Due(NamedTuple):
    """Ids by whether they are to be asked for.

    Attributes:
        ids: Ids to ask for: those without an answer first, then those with the oldest.
        n_fresh: Number of ids with a recent answer.
        n_resumed: Number of ids among them with an answer in the journal.
    """

    ids: list[str]
    n_fresh: int
    n_resumed: int


class Merged(NamedTuple):
    """What a merge has added to the cache.

    Attributes:
        n_found: Number of ids with an object.
        n_unknown: Number of ids that the API does not have.
        n_refused: Number of ids that it refused.
        n_gone: Number of ids with an object before, and none now.
    """

    n_found: int
    n_unknown: int
    n_refused: int
    n_gone: int


class ApiCache:
    """The cache of one API.

    Attributes:
        path: Parquet file.
        journal: Answers that are not yet in it.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.parquet"
        self.journal = FetchJournal(folder / f"{name}.journal")

    def due(self, ids: Collection[str], oldest: float) -> Due:
        """Return which ids are to be asked for.

        Args:
            ids: Distinct ids.
            oldest: Time of the oldest answer that is recent, seconds since 1970.

        Raises:
            InputError: The cache is damaged.
        """
        journaled = _times(self.journal.read())
        times = _times(self._read(["id", "at"])) | journaled
        by_time = sorted((times.get(one, -math.inf), one) for one in ids)
        due = [one for at, one in by_time if at < oldest]
        n_resumed = len(journaled.keys() & set(ids) - set(due))
        return Due(due, len(by_time) - len(due), n_resumed)

    def merge(self, check: Callable[[dict[str, Any]], object]) -> Merged:
        """Add the journal's answers to the cache, durably.

        Args:
            check: Function that is called with the object of each id of the journal.

        Raises:
            InputError: The cache is damaged.
        """
        new, n_gone = self.journal.read(), 0
        for text in new["doc"].drop_null().to_pylist():
            check(json.loads(text))
        if len(new):
            old = self._read(ANSWERS.names)
            is_replaced = pc.is_in(old["id"], value_set=new["id"].combine_chunks())
            n_gone = self._n_gone(old.filter(is_replaced), new)
            table = pa.concat_tables([old.filter(pc.invert(is_replaced)), new]).sort_by("id")
            self._write(table)
        self.journal.path.unlink(missing_ok=True)
        n_found = len(new) - new["doc"].null_count
        n_unknown = int(pc.sum(pc.equal(new["status"], UNKNOWN)).as_py() or 0)
        return Merged(n_found, n_unknown, len(new) - n_found - n_unknown, n_gone)

    def forget(self, ids: Collection[str]) -> set[str]:
        """Remove ids from cache and journal, and return those that were in one of them.

        The journal is merged: the next fetch does not check its answers again.

        Raises:
            InputError: The cache is damaged.
        """
        self.journal.recover()
        self.merge(lambda _: None)
        removed = pa.array(list(ids), pa.string())
        old = self._read(ANSWERS.names)
        is_named = pc.is_in(old["id"], value_set=removed)
        found = set(old["id"].filter(is_named).to_pylist())
        if found:
            self._write(old.filter(pc.invert(is_named)))
        return found

    def state(self) -> tuple[int, str]:
        """Return the number of ids with an object, and the time of the newest answer (ISO 8601)."""
        table = self._read(["at", "doc"])
        newest = pc.max(table["at"]).as_py()
        n_found = len(table) - table["doc"].null_count
        return n_found, newest.isoformat(timespec="seconds") if newest else ""

    @staticmethod
    def _n_gone(replaced: pa.Table, new: pa.Table) -> int:
        had = replaced["id"].filter(pc.is_valid(replaced["doc"]))
        has_none = new["id"].filter(pc.is_null(new["doc"])).combine_chunks()
        return int(pc.sum(pc.is_in(had, value_set=has_none)).as_py() or 0)

    def _read(self, columns: Sequence[str]) -> pa.Table:
        """Return columns of the cache, without rows if there is no file."""
        if not self.path.exists():
            return ANSWERS.empty_table().select(columns)
        try:
            n_bytes = self.path.stat().st_size
            check_unpacked(self.path, n_bytes, pq.read_metadata(self.path))
            return pq.read_table(self.path, columns=columns, page_checksum_verification=True).cast(
                pa.schema([ANSWERS.field(name) for name in columns])
            )
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _damaged(self.path, error) from error

    def _write(self, table: pa.Table) -> None:
        pending = self.path.with_name(self.path.name + _PENDING)
        pq.write_table(
            table,
            pending,
            compression="zstd",
            use_dictionary=False,
            row_group_size=_BLOCK_ROWS,
            write_page_checksum=True,
        )
        fsync_path(pending)
        pending.replace(self.path)
        fsync_path(self.path.parent)


def _times(table: pa.Table) -> dict[str, float]:
    """Return the time of each id's answer in seconds since 1970."""
    milliseconds = table["at"].cast(pa.int64()).to_pylist()
    ids = table["id"].to_pylist()
    return {one: at / 1000 for one, at in zip(ids, milliseconds, strict=True)}


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock the directory of the caches for writing; it is made if it does not exist.

    Raises:
        BatchError: It cannot be written, or another process is writing to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise BatchError(folder, "another fetch is running", "wait until it has ended") from None
    except OSError as error:
        problem = f"answers cannot be written: {error.strerror or error}"
        remedy = "make room there, or choose another [fetch] path; earlier answers are kept"
        raise BatchError(folder, problem, remedy) from error


def forget_users(folder: Path, user_ids: Collection[str]) -> set[str]:
    """Remove users from the cache of the user API, and return those that were in it.

    Raises:
        BatchError: The cache is damaged or cannot be written, or a fetch is running.
    """
    if not folder.is_dir():
        return set()
    with locked_folder(folder):
        return ApiCache(folder, USERS).forget(user_ids)


def cached_column(file: AnyFile, name: str) -> Iterator[pa.Array] | None:
    """Return the values of a column of a cache in blocks; None if the file is something else.

    Raises:
        InputError: It is damaged, or unpacks to far more than answers do; when blocks are taken.
    """
    path, member = input_file(file).path, input_file(file).member
    if member:
        return None
    try:
        is_cache = is_parquet(path) and pq.read_schema(path).remove_metadata() == ANSWERS
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None
    return _blocks(path, name) if is_cache else None


def _blocks(path: Path, name: str) -> Iterator[pa.Array]:
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
        check_unpacked(path, path.stat().st_size, file.metadata)
        for block in file.iter_batches(_BLOCK_ROWS, columns=[name]):
            column = block.column(0)
            column.validate(full=True)  # text may be damaged
            yield column.drop_null()
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    return InputError(path, f"is a damaged copy of an API: {reason}", _REMEDY)


def cached_lines(file: AnyFile) -> Iterator[str] | None:
    """Return the JSON text of each id of a cache; None if the file is something else.

    Raises:
        InputError: As for `cached_column`.
    """
    blocks = cached_column(file, "doc")
    return None if blocks is None else (text for block in blocks for text in block.to_pylist())
