"""Fresh lists: lists that the speed layer made since the snapshot.

    fresh.mdb  lists      user_id → generation │ made at │ body length │ body │ spares │ crc32
               histories  user_id → history that the list was made from, as in `seen.mdb` │ crc32
               filter     a bit for each value of a hash of user ids: 0 where none has a list
               about      which generation each user is served, what the lists depend on beside
                          that and the events, the newest list's time
    FRESH.LOCK            held by the speed layer, so there is one

The file changes in place: one process writes it, every server reads it, and LMDB's
transactions isolate them. It is optional and may be removed at any time. LMDB has no
checksums, so each value has one, over its user too: damaged bytes are never used. A damaged
value counts as a missing one; only a damaged structure makes the file unusable.
The filter spares most users without a fresh list the lookup, which takes a tenth of a request.
"""

import contextlib
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, cast
from zlib import crc32

import lmdb

from store.assignment import Assignment
from store.errors import CorruptFreshError, WriteError
from store.in_place import InPlace, checked_records

Lookup = Callable[[bytes], bytes | None]

FRESH_HOURS: Final = 24.0  # default of `[serve] fresh_hours`
_FILE: Final = "fresh.mdb"
_LOCK: Final = "FRESH.LOCK"
_MAP_BYTES: Final = 1 << 36  # address space, not disk
_TABLES: Final = (b"lists", b"histories", b"about", b"filter")
FILTER_MASK: Final = (1 << 17) - 1  # of a byte's place: the filter fits a processor's cache
FILTER_SHIFT: Final = 29  # of the bit's number, the highest three bits of the hash
_CHUNK_BYTES: Final = 1 << 12
_N_CHUNKS: Final = (FILTER_MASK + 1) // _CHUNK_BYTES
_NO_CHUNK: Final = bytes(_CHUNK_BYTES)
_CRC_BYTES: Final = 4
SOUND: Final = 0x2144DF1C  # crc32 of anything with its own crc32 behind it
_HEADER: Final = struct.Struct("<QdH")  # generation, made at, length of the body
HEADER_BYTES: Final = _HEADER.size
read_header: Final = _HEADER.unpack_from
_ASSIGNMENT: Final = b"assignment"
_DEPENDS_ON: Final = b"depends_on"
_NEWEST_AT: Final = b"newest_at"
_FORMAT: Final = b"format"
_FORMAT_VERSION: Final = b"3"  # 1 had histories without a checksum, 2 lists of one generation


def fresh_file(store: Path) -> Path:
    """Return the path of the fresh lists, which need not exist."""
    return store / _FILE


def fresh_lock(store: Path) -> Path:
    """Return the path of the lock that the one writer holds."""
    return store / _LOCK


class FreshList(NamedTuple):
    """A list made since the snapshot.

    Attributes:
        generation: Generation of the snapshot whose model made it.
        made_at: Time when it was made, in seconds since 1970.
        body: The very bytes of the answer.
        spares: Items behind the list, for takedowns, in the same form.
    """

    generation: int
    made_at: float
    body: bytes
    spares: bytes = b""


class FreshSummary(NamedTuple):
    """What the fresh lists of a store are, all together.

    Attributes:
        generation: Current generation when they were made, the control's in an experiment; 0: none.
        n_lists: Number of users with a list.
        newest_at: Time when the newest was made, in seconds since 1970; 0: none.
    """

    generation: int = 0
    n_lists: int = 0
    newest_at: float = 0.0


def encode(user_id: bytes, made: FreshList) -> bytes:
    """Return the value of a user."""
    header = _HEADER.pack(made.generation, made.made_at, len(made.body))
    return _signed(user_id, header + made.body + made.spares)


def _is_sound(user_id: bytes, value: bytes) -> bool:
    """Return whether a value is what was written for this user."""
    return crc32(value, crc32(user_id)) == SOUND


def decode(user_id: bytes, value: bytes) -> FreshList | None:
    """Return the list in a value; None if it is damaged, or of another user."""
    if not _is_sound(user_id, value) or len(value) < HEADER_BYTES:
        return None
    generation, made_at, n_body = read_header(value)
    end = HEADER_BYTES + n_body
    if not HEADER_BYTES < end <= len(value) - _CRC_BYTES:
        return None
    return FreshList(generation, made_at, value[HEADER_BYTES:end], value[end:-_CRC_BYTES])


def _signed(user_id: bytes, value: bytes) -> bytes:
    return value + crc32(value, crc32(user_id)).to_bytes(_CRC_BYTES, "little")


class FreshCounts(NamedTuple):
    """Number of records of `fresh.mdb`.

    Attributes:
        n_lists: Number of lists.
        n_damaged: Number of those that are damaged, and left out.
    """

    n_lists: int
    n_damaged: int


class FreshLists:
    """Reads fresh lists. Open it after a fork, and only once in a process.

    A lookup costs what py-lmdb's `get` costs, since one read transaction lives from one
    `renew` to the next; lists written meanwhile are seen after it.

    Attributes:
        get: Lookup of a user's value, None without one; py-lmdb's own method, unwrapped.
        filter: Bits; that of the number `crc32(user_id) >> FILTER_SHIFT` in the byte
            `crc32(user_id) & FILTER_MASK` is 0 only if the user has no value.
    """

    def __init__(self, store: Path) -> None:
        """Open the file.

        Raises:
            CorruptFreshError: It is not an LMDB file, is truncated, or lacks a table.
        """
        self._environment = _in_place(store).open_to_read()
        try:
            self._lists, self._histories, _, self._filter = (
                self._environment.open_db(name, create=False) for name in _TABLES
            )
            self._transaction = self._last = self._begin()
            self.filter = _read_filter(self._transaction, self._filter)
        except lmdb.Error as error:
            self._environment.close()
            raise CorruptFreshError(fresh_file(store), f"tables: {error}") from error
        self.get = cast(Lookup, self._transaction.get)

    def renew(self) -> None:
        """Let the next lookups find what has been written since.

        Raises:
            lmdb.Error: The file cannot be read any more; reopen it.
        """
        if self._environment.info()["last_txnid"] == self._transaction.id():
            return
        # A request may be between looking `get` up and calling it: one more tick for the last.
        self._last, self._transaction = self._transaction, self._begin()
        self.filter = _read_filter(self._transaction, self._filter)
        self.get = cast(Lookup, self._transaction.get)

    def history(self, user_id: bytes) -> bytes | None:
        """Return the history that a user's list was made from; None if there is none."""
        value = cast(bytes | None, self._transaction.get(user_id, db=self._histories))
        return _history(user_id, value)

    def check(self) -> FreshCounts:
        """Read every record, and find it again by its key.

        Raises:
            lmdb.Error: A page is damaged.
            ValueError: Records are not in order, or not as many as counted.
        """
        n_lists = self._transaction.stat(self._lists)["entries"]
        records = checked_records(self._transaction, n_lists)
        n_damaged = sum(decode(key, value) is None for key, value in records)
        return FreshCounts(n_lists, n_damaged)

    def close(self) -> None:
        """Close the file. A lookup afterwards raises `lmdb.Error`."""
        self._environment.close()

    def _begin(self) -> lmdb.Transaction:
        return self._environment.begin(db=self._lists)


class FreshWriter:
    """Writes fresh lists: one process at a time, without blocking readers. A context manager.

    Attributes:
        damaged: Ids of users whose history was found to be damaged.
    """

    def __init__(self, store: Path) -> None:
        """Open the file, or create it.

        Raises:
            WriteError: The store cannot be written to.
            CorruptFreshError: The file is truncated.
        """
        self._path = fresh_file(store)
        self._environment = _in_place(store).open_to_write()
        try:
            tables = [self._environment.open_db(name) for name in _TABLES]
        except lmdb.Error as error:
            raise WriteError(self._path, f"cannot be written: {error}") from error
        self._lists, self._histories, self._about, self._filter = tables
        self.damaged: set[bytes] = set()
        with self._environment.begin() as transaction:
            self._bits = bytearray(_read_filter(transaction, self._filter))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._environment.close()

    @property
    def assignment(self) -> Assignment | None:
        """Which generation makes the list of each user; None for a file without lists.

        A file of another version of the format counts as one without lists.
        """
        with self._environment.begin(db=self._about) as transaction:
            assignment = transaction.get(_ASSIGNMENT, b"")
            is_known = transaction.get(_FORMAT) == _FORMAT_VERSION
        with contextlib.suppress(ValueError):
            return Assignment.from_text(assignment) if is_known else None
        return None

    @property
    def depends_on(self) -> bytes:
        """What all lists depend on beside generation and events."""
        with self._environment.begin(db=self._about) as transaction:
            return bytes(transaction.get(_DEPENDS_ON, b""))

    @property
    def n_lists(self) -> int:
        """Number of users with a fresh list."""
        with self._environment.begin() as transaction:
            return int(transaction.stat(self._lists)["entries"])

    def histories(self, user_ids: Iterable[bytes]) -> list[bytes | None]:
        """Return the history of each user; None if it is damaged or their list is not fresh."""
        with self._environment.begin(db=self._histories) as transaction:
            values = [(user_id, transaction.get(user_id)) for user_id in user_ids]
        found = [_history(*pair) for pair in values]
        self.damaged |= {
            user_id
            for (user_id, value), history in zip(values, found, strict=True)
            if value is not None and history is None
        }
        return found

    def users(self, n_users: int) -> Iterator[list[bytes]]:
        """Yield the ids of all users with a history, up to `n_users` at a time."""
        last = b""
        while True:
            with self._environment.begin(db=self._histories) as transaction:
                cursor = transaction.cursor()
                found = cursor.set_range(last + b"\0") if last else cursor.first()
                keys = cursor.iternext(keys=True, values=False) if found else iter(())
                some = [key for key, _ in zip(keys, range(n_users), strict=False)]
            if not some:
                return
            yield some
            last = some[-1]

    def assign(self, assignment: Assignment) -> None:
        """Remove the users who are served another generation now, and record which each is served.

        Raises:
            WriteError: The disk is full or broken; nothing changes then.
        """
        before = self.assignment
        is_any_kept = before and {*before.generations} & {*assignment.generations}
        with self._writing() as transaction:
            if before and is_any_kept:
                self._remove_moved(transaction, before, assignment)
            else:
                for table in (self._lists, self._histories, self._filter, self._about):
                    transaction.drop(table, delete=False)
            transaction.put(_ASSIGNMENT, assignment.as_text().encode(), db=self._about)
            transaction.put(_FORMAT, _FORMAT_VERSION, db=self._about)
        if not is_any_kept:
            self._bits = bytearray(FILTER_MASK + 1)

    def _remove_moved(
        self, transaction: lmdb.Transaction, before: Assignment, now: Assignment
    ) -> None:
        was_of, is_of = before.generation_function(), now.generation_function()
        keys = transaction.cursor(db=self._histories).iternext(keys=True, values=False)
        for user_id in [key for key in map(bytes, keys) if was_of(key) != is_of(key)]:
            transaction.delete(user_id, db=self._lists)
            transaction.delete(user_id, db=self._histories)

    def put(self, lists: Iterable[tuple[bytes, FreshList | None, bytes]]) -> None:
        """Write lists and their histories, all or none.

        Args:
            lists: User id, list and history; None in place of an empty list.

        Raises:
            WriteError: The disk is full or broken; none of them is written.
        """
        hashes, newest_at = set[int](), 0.0
        with self._writing() as transaction:
            for user_id, made, history in lists:
                hashes.add(crc32(user_id))
                if made is None:
                    transaction.delete(user_id, db=self._lists)
                else:
                    transaction.put(user_id, encode(user_id, made), db=self._lists)
                    newest_at = max(newest_at, made.made_at)
                transaction.put(user_id, _signed(user_id, history), db=self._histories)
            if newest_at:
                transaction.put(_NEWEST_AT, b"%.3f" % newest_at, db=self._about)
            self._fill(transaction, hashes)

    def depend_on(self, depends_on: bytes) -> None:
        """Record what all lists depend on now.

        Raises:
            WriteError: The disk is full or broken.
        """
        with self._writing() as transaction:
            transaction.put(_DEPENDS_ON, depends_on, db=self._about)

    def forget(self, user_ids: Iterable[str]) -> list[str]:
        """Remove users, and return those that had a history.

        Raises:
            WriteError: The disk is full or broken; nothing changes then.
        """
        names = [*user_ids]
        had = self._remove([name.encode() for name in names])
        return [name for name in names if name.encode() in had]

    def remove_damaged(self) -> int:
        """Remove the users whose history was found to be damaged, and return their number.

        Raises:
            WriteError: The disk is full or broken; nothing changes then.
        """
        self._remove(self.damaged)
        n_damaged, self.damaged = len(self.damaged), set()
        return n_damaged

    def _remove(self, user_ids: Collection[bytes]) -> set[bytes]:
        """Remove users, and return those that had a history."""
        with self._writing() as transaction:
            for user_id in user_ids:
                transaction.delete(user_id, db=self._lists)
            return {one for one in user_ids if transaction.delete(one, db=self._histories)}

    def _fill(self, transaction: lmdb.Transaction, hashes: set[int]) -> None:
        """Set the bits of users in the filter."""
        for number in hashes:
            self._bits[number & FILTER_MASK] |= 1 << (number >> FILTER_SHIFT)
        for chunk in {(number & FILTER_MASK) // _CHUNK_BYTES for number in hashes}:
            begin = chunk * _CHUNK_BYTES
            content = bytes(self._bits[begin : begin + _CHUNK_BYTES])
            transaction.put(b"%02d" % chunk, content, db=self._filter)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[lmdb.Transaction]:
        try:
            with self._environment.begin(write=True) as transaction:
                yield transaction
            self._environment.reader_check()  # frees the reader slots of killed servers
        except lmdb.Error as error:
            raise WriteError(self._path, f"cannot be written: {error}") from error


def open_fresh(store: Path) -> FreshLists | None:
    """Return the fresh lists of a store, None if the file does not exist.

    Raises:
        CorruptFreshError: The file exists, but cannot be read.
    """
    with contextlib.suppress(FileNotFoundError):
        fresh_file(store).stat()
        return FreshLists(store)
    return None


def read_summary(store: Path) -> FreshSummary:
    """Return what the fresh lists are; an empty summary without the file.

    Raises:
        CorruptFreshError: The file exists, but cannot be read.
    """
    path = fresh_file(store)
    if not path.exists():
        return FreshSummary()
    environment = _in_place(store).open_to_read()
    try:
        lists = environment.open_db(_TABLES[0], create=False)
        about = environment.open_db(_TABLES[2], create=False)
        with environment.begin() as transaction:
            return FreshSummary(
                _current(transaction.get(_ASSIGNMENT, b"", db=about)),
                int(transaction.stat(lists)["entries"]),
                float(transaction.get(_NEWEST_AT, b"0", db=about)),
            )
    except lmdb.NotFoundError:  # made just now, its tables not yet
        return FreshSummary()
    except (lmdb.Error, ValueError) as error:
        raise CorruptFreshError(path, f"cannot be read: {error}") from error
    finally:
        environment.close()


def check_fresh(store: Path) -> FreshCounts:
    """Read all lists, in a process of its own: a damaged page may crash it.

    Raises:
        CorruptFreshError: The file is damaged, and not only some of its lists.
    """
    lists = FreshLists(store)
    try:
        return lists.check()
    except (lmdb.Error, ValueError) as error:
        raise CorruptFreshError(fresh_file(store), f"is damaged: {error}") from error
    finally:
        lists.close()


def forget_fresh(store: Path, user_ids: Iterable[str]) -> list[str]:
    """Remove users from the fresh lists, and return those that were in them.

    Raises:
        WriteError, CorruptFreshError: The file cannot be written to.
    """
    if not fresh_file(store).exists():
        return []
    with FreshWriter(store) as writer:
        return writer.forget(user_ids)


def _current(assignment: bytes) -> int:
    """Return the generation of the first arm; 0 where none is recorded."""
    return Assignment.from_text(assignment).generations[0] if assignment else 0


def _history(user_id: bytes, value: bytes | None) -> bytes | None:
    """Return the history in a value; None if it is damaged, or of another user."""
    if value is None or not _is_sound(user_id, value):
        return None
    return value[:-_CRC_BYTES]


def _read_filter(transaction: lmdb.Transaction, table: Any) -> bytes:
    """Return the filter; one that is damaged lets all users pass."""
    chunks = [
        transaction.get(b"%02d" % chunk, default=_NO_CHUNK, db=table) for chunk in range(_N_CHUNKS)
    ]
    found = b"".join(cast(list[bytes], chunks))
    return found if len(found) == FILTER_MASK + 1 else b"\xff" * (FILTER_MASK + 1)


def _in_place(store: Path) -> InPlace:
    return InPlace(fresh_file(store), CorruptFreshError, _MAP_BYTES, n_tables=len(_TABLES))
