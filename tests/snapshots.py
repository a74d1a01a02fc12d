"""Small sound snapshots for tests, made by the product's own writer and published.

    make_snapshot(store, {"ann": ["a", "b"]}, popular=["b", "c"])    -> 1, current now

Every item of a list has an entry in `items` and `rows`. With vectors there is a real
index, and `rows` contains the items that have one. The times are fixed, so equal
arguments on an equal store make byte-identical snapshots.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import annoy

from store.gate_result import GateCheck, GateResult
from store.layout import FACTORS, INDEX, POPULAR, RECS
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
    metrics: Mapping[str, Any] | None = None,
    gate: GateResult | None = None,
    arm: str | None = None,
    flip: bool = True,
    n_shards: int = 1,
) -> int:
    """Write one complete snapshot, publish it, and return its generation.

    Args:
        store: The store's directory; it is created if missing.
        lists, spares: Item ids by user_id.
        popular: The popular list; if empty, the table has no such key.
        similar, segments: Item ids by item_id, and by segment key, for `fallback`.
        profiles: Segment key, ` minor` behind it, by user_id.
        about: Additional fields of `items`, by item_id: `{"a": {"adult": True}}`.
        vectors: Vectors of equal length by item_id, from which `items.ann` is built.
        instead: Other records by table of `recs.mdb`, maybe malformed; None omits the table.
        factors: The same for `factors.mdb`.
        index: Bytes of `items.ann` that replace the index of the vectors.
        parameters, metrics: Documents of the manifest; by default `n_factors` of the vectors.
        gate: Result of the gate; by default it passed.
        arm, n_shards: Arm that it was built for, and number of files of its users.
        flip: Whether it is published.
    """
    fallback = {**segments, **({POPULAR.decode(): popular} if popular else {})}
    bodies = {"users": lists, "spares": spares, "similar": similar, "fallback": fallback}
    in_lists = {n for table in bodies.values() for names in table.values() for n in names}
    items = sorted(in_lists | similar.keys() | vectors.keys() | (about or {}).keys())
    in_rows = sorted(vectors) or items
    recs: dict[str, Mapping[bytes, bytes] | None] = {
        **{name: _bodies(table) for name, table in bodies.items()},
        "profiles": {user.encode(): text.encode() for user, text in (profiles or {}).items()},
        "items": _items(items, in_rows, about or {}),
        "rows": {b"%d" % row: name.encode() for row, name in enumerate(in_rows)},
        **(instead or {}),
    }
    with writing(store):
        with SnapshotWriter(store, n_shards) as writer:
            _write_tables(writer, recs, {**_factors(lists, items), **(factors or {})})
            _write_index(writer.path(INDEX), vectors, index)
            parameters = _n_factors(vectors) if parameters is None else parameters
            generation = _finish(writer, parameters, metrics or {}, gate, arm)
        if flip:
            publish(store, generation, "made by a test")
    return generation


def files_of(store: Path) -> dict[str, bytes | None]:
    """Return the content of a store without its locks: bytes by name, None for a directory."""
    return {
        str(path.relative_to(store)): None if path.is_dir() else path.read_bytes()
        for path in store.rglob("*")
        if path.name not in ("LOCK", "TAKEDOWN.LOCK")
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
        path.write_bytes(instead or b"not an index, and never loaded")


def _n_factors(vectors: Mapping[str, Sequence[float]]) -> dict[str, int]:
    return {"n_factors": len(next(iter(vectors.values())))} if vectors else {}


def _finish(
    writer: SnapshotWriter,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, Any],
    gate: GateResult | None,
    arm: str | None,
) -> int:
    return writer.finish(
        began_at=_TIME,
        finished_at=_TIME,
        code_version="test",
        inputs=[],
        parameters=dict(parameters),
        metrics=dict(metrics),
        gate=gate or GateResult(),
        arm=arm,
    ).generation


def _items(
    items: Sequence[str], in_rows: Sequence[str], about: Mapping[str, Mapping[str, Any]]
) -> Records:
    item_rows = {name: {"item_row": row} for row, name in enumerate(in_rows)}
    return {
        name.encode(): json.dumps(
            {**item_rows.get(name, {}), "title": name.title(), **about.get(name, {})}
        ).encode()
        for name in items
    }


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
