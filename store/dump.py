"""A snapshot as JSON lines, and back: text that any program can read, cut and edit.

    {"manifest": {…}}                                                        first
    {"user_id": …, "items": […], "spares": […], "profile": …, "factors": …, "teams": …}
    {"item_id": …, "title": …, …, "similar": […], "factors": …}
    {"segment": "popular", "items": […]}
    {"row": "0", "item": …}    {"bias": "mean", "value": "3.5"}
    {"rating_user": …, "factors": …}    {"rating_item": …, "factors": …}
    {"index": "…"}                                     items.ann, one piece a line
    {"file": "model-….npy", "piece": "…"}              optional arrays, one piece a line

Binary values are base64. A line leaves out what its record does not have.
`load` writes the lines into one spool file a table, because the bulk path writes
one table after the other. So memory stays constant both ways, and the same
records give the same files, byte for byte.
"""

import base64
import contextlib
import json
import struct
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Self

import lmdb

from store.errors import StoreError
from store.layout import FACTORS, INDEX, RECS, SEEN, TABLES, is_model_file
from store.manifest import Manifest
from store.merge_join import Record, merge_join
from store.progress import RECORDS, Advance, Progress, counted, silent
from store.snapshot import Snapshot, Table, open_factors, open_seen
from store.writer import SnapshotWriter

_PIECE_BYTES: Final = 3 << 14  # of the index in a line; a multiple of 3 needs no padding
_LENGTHS: Final = struct.Struct("<II")

_SET_BY_WRITER: Final = ("format_version", "generation", "parent", "counts", "files", "shards")

Line = dict[str, Any]


class BadDumpError(StoreError):
    """The lines are not a whole dump of a snapshot."""

    remedy = "make it again with `python -m store dump`"


def dump_users(snapshot: Snapshot, progress: Progress = silent) -> Iterator[Line]:
    """Yield one line for each user: the list and its spares."""
    tables = {"items": snapshot.users, "spares": snapshot.spares}
    with _shown(snapshot, ("users", "spares"), progress) as advance:
        yield from _lines("user_id", tables, advance)


def dump_items(snapshot: Snapshot, progress: Progress = silent) -> Iterator[Line]:
    """Yield one line for each item: its fields and its neighbours."""
    tables = {"fields": snapshot.items, "similar": snapshot.similar}
    with _shown(snapshot, ("items", "similar"), progress) as advance:
        yield from _lines("item_id", tables, advance)


def dump(snapshot: Snapshot, manifest: Line, progress: Progress = silent) -> Iterator[Line]:
    """Yield everything that `load` needs, the manifest first.

    Args:
        snapshot: Open snapshot; it must stay open until the last line.
        manifest: Manifest of the snapshot as a JSON document.
        progress: What shows how many records, and how much of the other files, is dumped.
    """
    yield {"manifest": manifest}
    about = snapshot.manifest
    with progress(f"records of {about.generation}", sum(about.counts.values()), RECORDS) as advance:
        yield from _records_of(snapshot, advance)
    others = [INDEX, *filter(is_model_file, about.data_files)]
    n_bytes = sum(about.files.get(name, 0) for name in others)
    with progress(f"files of {about.generation}", n_bytes) as advance:
        for name in others:
            for piece in _pieces(snapshot.folder / name, advance):
                yield {"index": piece} if name == INDEX else {"file": name, "piece": piece}


def _records_of(snapshot: Snapshot, advance: Advance) -> Iterator[Line]:
    """Yield the lines of all tables."""
    with contextlib.closing(open_factors(snapshot)) as factors, contextlib.ExitStack() as held:
        of_users = {
            "items": snapshot.users,
            "spares": snapshot.spares,
            "profile": snapshot.profiles,
            "factors": _table(factors, "users"),
        }
        if snapshot.teams:
            of_users["teams"] = snapshot.teams
        if SEEN in snapshot.manifest.files:
            of_users["seen"] = held.enter_context(open_seen(snapshot))
        yield from _lines("user_id", of_users, advance)
        of_items = {
            "fields": snapshot.items,
            "similar": snapshot.similar,
            "factors": _table(factors, "items"),
        }
        yield from _lines("item_id", of_items, advance)
        yield from _lines("segment", {"items": snapshot.fallback}, advance)
        yield from _lines("row", {"item": snapshot.rows}, advance)
        yield from _lines("bias", {"value": _table(factors, "biases")}, advance)
        for kind, name in (("rating_user", "rating_users"), ("rating_item", "rating_items")):
            if f"{FACTORS}/{name}" in snapshot.manifest.counts:  # older snapshots have none
                yield from _lines(kind, {"factors": _table(factors, name)}, advance)


def _shown(
    snapshot: Snapshot, names: Collection[str], progress: Progress
) -> AbstractContextManager[Advance]:
    """Show the progress of a dump of some tables of `recs.mdb`."""
    n_records = sum(snapshot.manifest.counts[f"{RECS}/{name}"] for name in names)
    return progress(f"records of {snapshot.generation}", n_records, RECORDS)


def sampled(lines: Iterable[Line], n_wanted: int, n_lines: int) -> Iterator[Line]:
    """Yield `n_wanted` of about `n_lines` lines, evenly spaced: the same ones every time."""
    for row, line in enumerate(lines):
        if row * n_wanted % max(n_lines, 1) < n_wanted:
            yield line


def load(store: Path, lines: Iterable[str | bytes]) -> Manifest:
    """Build a new generation from a dump, complete and unpublished.

    The caller holds `writing`. Times, inputs, parameters, metrics and the
    gate's result are those of the dump.

    Raises:
        BadDumpError: The lines are not a complete dump; nothing is left.
        WriteError: The snapshot could not be written; nothing is left.
    """
    with contextlib.ExitStack() as held:
        spools = {table: held.enter_context(_Spool(store, table)) for table in TABLES}
        numbered = enumerate(lines, 1)
        about = _first_line(numbered)
        manifest = _manifest(about)
        writer = held.enter_context(SnapshotWriter(store, manifest.n_shards))
        writer.path(INDEX).touch()
        _fill_spools(numbered, spools, writer.path)
        for file, name in TABLES:
            if f"{file}/{name}" in about.get("counts", ()):
                writer.table(file, name, spools[file, name])
        _check_whole(about, writer)
        kept = {name: value for name, value in about.items() if name not in _SET_BY_WRITER}
        return writer.finish(**kept | {"gate": manifest.gate})


class _Spool:
    """The records of one table, in a file without a name.

    Use it in a `with`; iterate over it once, after the last `add`.
    """

    def __init__(self, folder: Path, table: tuple[str, str]) -> None:
        self._folder = folder
        self._table = "/".join(table)
        self._last = b""

    def __enter__(self) -> Self:
        self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, key: bytes, value: bytes) -> None:
        if key <= self._last:
            raise ValueError(f"{key!r} is out of order after {self._last!r} in {self._table}")
        self._last = key
        self._file.write(_LENGTHS.pack(len(key), len(value)) + key + value)

    def __iter__(self) -> Iterator[Record]:
        self._file.seek(0)
        while lengths := self._file.read(_LENGTHS.size):
            n_key, n_value = _LENGTHS.unpack(lengths)
            yield self._file.read(n_key), self._file.read(n_value)


def _first_line(lines: Iterator[tuple[int, str | bytes]]) -> Line:
    """Return the manifest of a dump."""
    for number, text in lines:
        with _bad_line(number):
            return dict(json.loads(text)["manifest"])
    raise BadDumpError("dump", "is empty")


def _manifest(about: Line) -> Manifest:
    try:
        return Manifest.from_json(about)
    except ValueError as error:
        raise BadDumpError("dump", f"its manifest is not valid: {error}") from error


def _fill_spools(
    lines: Iterator[tuple[int, str | bytes]],
    spools: dict[tuple[str, str], _Spool],
    path_of: Callable[[str], Path],
) -> None:
    """Write the record of each line to its spool.

    Args:
        lines: Numbers and lines of a dump, without the first.
        spools: Spool of each table.
        path_of: Function from the name of a file that is not LMDB's to its path.
    """
    for number, text in lines:
        with _bad_line(number):
            line = json.loads(text)
            if "index" in line or "file" in line:
                name, piece = _piece(line)
                with path_of(name).open("ab") as file:
                    file.write(piece)
            else:
                for table, key, value in _records(line):
                    spools[table].add(key, value)


@contextlib.contextmanager
def _bad_line(number: int) -> Iterator[None]:
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise BadDumpError("dump", f"line {number} is not a line of a dump: {error!r}") from error


def _check_whole(about: Line, writer: SnapshotWriter) -> None:
    """Refuse a dump that was cut short between two lines."""
    if writer.counts != about["counts"]:
        raise BadDumpError(
            "dump", f"has {writer.counts} records, but its manifest says {about['counts']}"
        )
    for name in (INDEX, *filter(is_model_file, about["files"])):
        path = writer.path(name)
        n_bytes = path.stat().st_size if path.exists() else 0
        if n_bytes != about["files"].get(name):
            raise BadDumpError(
                "dump", f"has {n_bytes} bytes of {name}, but its manifest says {about['files']}"
            )


def _piece(line: Line) -> tuple[str, bytes]:
    """Return the file that a line holds a piece of, and the piece."""
    if "index" in line:
        return INDEX, _to_bytes(line["index"])
    if not is_model_file(line["file"]):
        raise ValueError(f"{line['file']!r} is not a file of a snapshot")
    return line["file"], _to_bytes(line["piece"])


def _pieces(path: Path, advance: Advance) -> Iterator[str]:
    """Yield the content of a file in pieces that fit a line."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield _from_bytes(piece)
            advance(len(piece))


def _names(body: bytes) -> list[str]:
    return body.decode().split(",")


def _body(names: list[str]) -> bytes:
    return ",".join(names).encode()


def _from_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _to_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _fields(body: bytes) -> Line:
    fields = json.loads(body)
    reserved = {"item_id", "file", "similar", "factors", "text"} & fields.keys()
    return fields if _field_text(fields) == body and not reserved else {"text": body.decode()}


def _field_text(fields: Line) -> bytes:
    """Return the fields as the batch writes them; another spelling is dumped as `text`."""
    return json.dumps(fields, sort_keys=True).encode()


# Decoders and encoders between a table's bytes and the value under a name of a line.
_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "items": _names,
    "spares": _names,
    "similar": _names,
    "factors": _from_bytes,
    "teams": _from_bytes,
    "seen": _from_bytes,
    "profile": bytes.decode,
    "item": bytes.decode,
    "value": bytes.decode,
}
_ENCODERS: Final[dict[str, Callable[[Any], bytes]]] = {
    "items": _body,
    "spares": _body,
    "similar": _body,
    "factors": _to_bytes,
    "teams": _to_bytes,
    "seen": _to_bytes,
    "profile": str.encode,
    "item": str.encode,
    "value": str.encode,
}
_KINDS: Final = {  # first name of a line: table of each further name
    "user_id": {
        "items": (RECS, "users"),
        "spares": (RECS, "spares"),
        "profile": (RECS, "profiles"),
        "factors": (FACTORS, "users"),
        "teams": (RECS, "teams"),
        "seen": (SEEN, "users"),
    },
    "item_id": {"similar": (RECS, "similar"), "factors": (FACTORS, "items")},
    "segment": {"items": (RECS, "fallback")},
    "row": {"item": (RECS, "rows")},
    "bias": {"value": (FACTORS, "biases")},
    "rating_user": {"factors": (FACTORS, "rating_users")},
    "rating_item": {"factors": (FACTORS, "rating_items")},
}


def _lines(kind: str, tables: Mapping[str, Table], advance: Advance) -> Iterator[Line]:
    read = {name: counted(table, advance) for name, table in tables.items()}
    for key, found in merge_join(read):
        fields = found.pop("fields", None)
        yield (
            {kind: key.decode()}
            | (_fields(fields) if fields is not None else {})
            | {name: _DECODERS[name](value) for name, value in found.items()}
        )


def _records(line: Line) -> Iterator[tuple[tuple[str, str], bytes, bytes]]:
    kind = next(iter(line), "")
    key = line.pop(kind).encode()
    for name, table in _KINDS[kind].items():
        if name in line:
            yield table, key, _ENCODERS[name](line.pop(name))
    if kind == "item_id" and line:
        yield (RECS, "items"), key, line["text"].encode() if "text" in line else _field_text(line)
    elif line:
        raise ValueError(f"{kind} has no {', '.join(line)}")


def _table(factors: lmdb.Environment, name: str) -> Table:
    return Table(factors.begin(db=factors.open_db(name.encode(), create=False)))
