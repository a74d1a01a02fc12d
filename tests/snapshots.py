"""Small sound snapshots for tests, written by the real writer and really published.

    make_snapshot(store, {"ann": ["a", "b"]}, popular=["b", "c"])    -> 1, current now

Every item that a list names is an entry of `items` and `rows`; where vectors
are given there is a real index, and `rows` holds the items that have one. The
times are fixed, so equal arguments on an equal store make byte-identical snapshots.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import annoy

from store.gate_result import GateCheck, GateResult
from store.layout import FACTORS, INDEX, POPULAR, RECS
from store.manifest import Manifest
from store.publish import publish, writing
from store.writer import SnapshotWriter

Records = dict[bytes, bytes]

REFUSED_GATE = GateResult(
    [GateCheck("users", 0.4, 0.9, is_ok=False, note="0.4 of the served, at least 0.9 required")]
)

_NO_LISTS: Mapping[str, Sequence[str]] = {}
_NO_VECTORS: Mapping[str, Sequence[float]] = {}
_N_TREES = 10
_TIME = "2026-03-01T02:30:00+00:00"


def make_snapshot(
    store: Path,
    lists: Mapping[str, Sequence[str]],
    popular: Sequence[str],
    *,
    spares: Mapping[str, Sequence[str]] = _NO_LISTS,
    similar: Mapping[str, Sequence[str]] = _NO_LISTS,
    segments: Mapping[str, Sequence[str]] = _NO_LISTS,
    profiles: Mapping[str, str] | None = None,
    about: Mapping[str, Mapping[str, Any]] | None = None,
    vectors: Mapping[str, Sequence[float]] = _NO_VECTORS,
    instead: Mapping[str, Mapping[bytes, bytes] | None] | None = None,
    factors: Mapping[str, Records | None] | None = None,
    index: bytes | None = None,
    parameters: Mapping[str, Any] | None = None,
    flip: bool = True,
) -> int:
    """Write one complete snapshot, publish it, and return its generation.

    Args:
        store: The store's directory; it is made if need be.
        lists: Item ids by user_id.
        popular: The list for everybody; without any the table has no such key.
        spares: Item ids by user_id.
        similar: Item ids by item_id.
        segments: Item ids by segment key, for `fallback`.
        profiles: Segment key, and ` minor` where it applies, by user_id.
        about: More of what `items` says, by item_id: `{"a": {"adult": True}}`.
        vectors: By item_id, all of one length; `items.ann` is built of them.
        instead: Records by table of `recs.mdb` that take the place of those made
            here, broken as they may be; None leaves the table out.
        factors: The same for the tables of `factors.mdb`.
        index: The bytes of `items.ann`, whatever the vectors.
        parameters: The manifest's; with vectors, their `n_factors`.
        flip: False leaves the snapshot complete but unpublished.
    """
    fallback = {**segments, **({POPULAR.decode(): popular} if popular else {})}
    named = [lists, spares, similar, fallback]
    in_lists = {name for table in named for names in table.values() for name in names}
    items = sorted(in_lists | similar.keys() | vectors.keys() | (about or {}).keys())
    in_rows = sorted(vectors) or items
    item_rows = {name: {"item_row": row} for row, name in enumerate(in_rows)}
    n_factors = {"n_factors": len(next(iter(vectors.values())))} if vectors else {}
    recs: dict[str, Mapping[bytes, bytes] | None] = {
        "users": _bodies(lists),
        "spares": _bodies(spares),
        "similar": _bodies(similar),
        "fallback": _bodies(fallback),
        "profiles": {user.encode(): text.encode() for user, text in (profiles or {}).items()},
        "items": {
            name.encode(): json.dumps(
                {**item_rows.get(name, {}), "title": name.title(), **(about or {}).get(name, {})}
            ).encode()
            for name in items
        },
        "rows": {b"%d" % row: name.encode() for row, name in enumerate(in_rows)},
        **(instead or {}),
    }
    with writing(store):
        with SnapshotWriter(store) as writer:
            _write_tables(writer, recs, {**_factors(lists, items), **(factors or {})})
            _write_index(writer.path(INDEX), vectors, index)
            generation = _finish(writer, n_factors if parameters is None else parameters).generation
        if flip:
            publish(store, generation, "made by a test")
    return generation


def files_of(store: Path) -> dict[str, bytes | None]:
    """Return everything that lies in a store but its lock: bytes by name, None for a directory."""
    return {
        str(path.relative_to(store)): None if path.is_dir() else path.read_bytes()
        for path in store.rglob("*")
        if path.name != "LOCK"
    }


def _write_tables(
    writer: SnapshotWriter,
    recs: Mapping[str, Mapping[bytes, bytes] | None],
    factors: Mapping[str, Records | None],
) -> None:
    for file, tables in ((RECS, recs), (FACTORS, factors)):
        for name, records in tables.items():
            if records is not None:
                writer.table(file, name, sorted(records.items()))


def _write_index(path: Path, vectors: Mapping[str, Sequence[float]], instead: bytes | None) -> None:
    if vectors and instead is None:
        index = annoy.AnnoyIndex(len(next(iter(vectors.values()))), "angular")
        index.set_seed(7)
        for row, name in enumerate(sorted(vectors)):
            index.add_item(row, vectors[name])
        index.build(_N_TREES, n_jobs=1)
        index.save(str(path))
    else:
        path.write_bytes(instead or b"any bytes: nobody loads this index")


def _finish(writer: SnapshotWriter, parameters: Mapping[str, Any]) -> Manifest:
    return writer.finish(
        began_at=_TIME,
        finished_at=_TIME,
        code_version="test",
        inputs=[],
        parameters=dict(parameters),
        metrics={},
        gate=GateResult(),
    )


def _bodies(lists: Mapping[str, Sequence[str]]) -> Records:
    return {key.encode(): ",".join(names).encode() for key, names in lists.items()}


def _factors(users: Mapping[str, Sequence[str]], items: Sequence[str]) -> dict[str, Records]:
    vectors = [
        {name.encode(): struct.pack("<2f", row, 1.0) for row, name in enumerate(names)}
        for names in (users, items)
    ]
    biases = {b"i/" + name: b"0.25" for name in vectors[1]} | {b"mean": b"3.5", b"scale": b"1 5"}
    biases |= {b"u/" + name: b"-0.5" for name in vectors[0]}
    return {
        "users": vectors[0],
        "items": vectors[1],
        "biases": biases,
        "rating_users": vectors[0],
        "rating_items": vectors[1],
    }
