"""The optional files of a snapshot that folding in a user needs: are they what the manifest says?

    MANIFEST.json  parameters.served_model  { …, "arrays": {name: {shape, dtype}}, "history": […] }
        ├─► model-NAME.npy   one array each, uncompressed, so that it can be mapped
        └─► seen.mdb users   one value a user: columns of equal length, one after the other

    value   item_row 3 7 9 │ weight 1.0 0.5 1.0 │ …      uint32, then float32, little-endian

Only the batch and the speed layer need their content; here they are checked without NumPy.
"""

import ast
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

from store.layout import SEEN, is_model_file
from store.parse import read_start
from store.progress import Advance, counted, ignore
from store.snapshot import Snapshot, open_seen

SERVED_MODEL: Final = "served_model"  # parameter in the manifest
UNAVAILABLE: Final = "unavailable"  # key in it: reason why there are no files
HISTORY_COLUMNS: Final = (
    "item_row", "weight", "n_later", "watched", "rating", "rated_at", "last_at", "began_at",
)  # fmt: skip
_WORD_BYTES: Final = 4
_MAGIC: Final = b"\x93NUMPY\x01\x00"
HEADER_BYTES: Final = 128  # of an array of few dimensions, written by NumPy
_MAX_PROBLEM_CHARACTERS: Final = 60


def broken_model_files(
    snapshot: Snapshot, n_items: int, advance: Advance = ignore
) -> Iterator[str]:
    """Yield one sentence for each array or history that breaks a rule.

    Args:
        snapshot: Open snapshot, with or without these files.
        n_items: Number of item rows.
        advance: Function that is called with the number of histories that were checked.
    """
    files = snapshot.manifest.files
    if SEEN not in files and not any(map(is_model_file, files)):
        return
    about = snapshot.manifest.parameters.get(SERVED_MODEL)
    if not isinstance(about, dict) or not isinstance(about.get("arrays"), dict):
        yield f"manifest: {SERVED_MODEL} is missing, but the snapshot has files for it"
        return
    yield from _broken_arrays(snapshot, about["arrays"])
    columns = about.get("history")
    if SEEN not in files or not isinstance(columns, list) or not _are_columns(columns):
        yield f"seen: history {str(columns)[:_MAX_PROBLEM_CHARACTERS]} is not valid"
        return
    yield from _broken_histories(snapshot, len(columns), n_items, advance)


def history_of(snapshot: Snapshot, user_id: str, fresh: bytes | None = None) -> list[str] | None:
    """Return the ids of the items that a user's list was made from; None where it is unknown.

    Args:
        snapshot: Open snapshot.
        user_id: The user.
        fresh: History that a fresh list was made from, of the same form; None: the snapshot's.

    Raises:
        CorruptSnapshotError: The file of the histories is damaged.
    """
    about = snapshot.manifest.parameters.get(SERVED_MODEL)
    columns = about.get("history") if isinstance(about, dict) else None
    if SEEN not in snapshot.manifest.files or not isinstance(columns, list):
        return None
    value = fresh
    if value is None:
        with open_seen(snapshot) as seen:
            value = seen.get(user_id.encode()) or b""
    found = [snapshot.rows.get(b"%d" % row) for row in _item_rows(value, len(columns))]
    return [name.decode() for name in found if name is not None]


def _broken_arrays(snapshot: Snapshot, arrays: Mapping[str, Any]) -> Iterator[str]:
    files = snapshot.manifest.files
    for name in sorted({*filter(is_model_file, files)} ^ arrays.keys()):
        yield f"{name}: is only in one of the snapshot and {SERVED_MODEL} of its manifest"
    for name in sorted(files.keys() & arrays.keys()):
        found = array_header(snapshot.folder / name)
        if found != arrays[name]:
            yield f"{name}: is {found}, but the manifest says {arrays[name]}"
        elif files[name] != HEADER_BYTES + array_bytes(found):
            yield f"{name}: has {files[name]} bytes, which are not those of {found}"


def _broken_histories(
    snapshot: Snapshot, n_columns: int, n_items: int, advance: Advance
) -> Iterator[str]:
    with open_seen(snapshot) as seen:
        for key, value in counted(seen, advance):
            rows = _item_rows(value, n_columns)
            is_whole = len(value) == _WORD_BYTES * n_columns * len(rows)
            is_valid = is_whole and rows and rows[-1] < n_items
            if not is_valid or rows != sorted(set(rows)):
                yield f"seen: {key.decode('latin-1')}: is not a list of ascending item rows"


def _item_rows(value: bytes, n_columns: int) -> list[int]:
    """Return the first column of a history."""
    n_rows = len(value) // (_WORD_BYTES * max(n_columns, 1))
    rows = array("I", value[: _WORD_BYTES * n_rows])
    if sys.byteorder == "big":
        rows.byteswap()
    return rows.tolist()


def _are_columns(columns: Sequence[object]) -> bool:
    known = [name for name in HISTORY_COLUMNS if name in columns]  # in this order, none twice
    return bool(known) and columns == known and known[0] == HISTORY_COLUMNS[0]


def array_header(path: Path) -> dict[str, Any]:
    """Return shape and dtype of a `.npy` file; without them if it is none that NumPy maps.

    Source:
        NumPy, "numpy.lib.format", format version 1.0.
    """
    start = read_start(path, HEADER_BYTES)
    if not start.startswith(_MAGIC) or len(start) < HEADER_BYTES:
        return {}
    try:
        header = ast.literal_eval(start[len(_MAGIC) + 2 :].decode("latin-1").strip())
        if header["fortran_order"] is not False:
            return {}
        return {"shape": list(header["shape"]), "dtype": header["descr"]}
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return {}


def array_bytes(header: Mapping[str, Any]) -> int:
    """Return the size of an array's content; -1 if its header is not valid."""
    shape, dtype = header.get("shape"), header.get("dtype")
    if not isinstance(dtype, str) or not dtype[2:].isdecimal() or not isinstance(shape, list):
        return -1
    if not all(type(n) is int and n >= 0 for n in shape):
        return -1
    return prod(shape) * int(dtype[2:])
