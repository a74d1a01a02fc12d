"""Optional files of a snapshot, those of the served model: every tool treats them as the others."""

import json
import shutil
import struct

import pytest

from store.check import broken_records
from store.dump import BadDumpError, dump, load
from store.errors import CorruptSnapshotError
from store.explain import explain
from store.forget import forget
from store.layout import CHECKSUMS, INDEX, MANIFEST, SEEN, snapshot_folder
from store.manifest import read_manifest, sha256, verify
from store.model_files import SERVED_MODEL
from store.publish import publish, writing
from store.snapshot import open_seen, open_snapshot
from store.writer import SnapshotWriter
from tests.snapshots import make_snapshot
from tests.store.replicas import pull_from, push_to, snapshot_files

ARRAY = "model-item_factors.npy"
SHAPE = [3, 2]
SEEN_VALUES = {b"ann": (0, 2), b"bob": (1,)}


def npy(shape=tuple(SHAPE), dtype="<f4", order=False, n_bytes=24):
    """Return an array file, as NumPy writes it."""
    header = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}, }}"
    padded = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + bytes(n_bytes)


def value(*item_rows):
    """Return a history with a weight of 1 for each item."""
    n = len(item_rows)
    return struct.pack(f"<{n}I{n}f", *item_rows, *(1.0 for _ in item_rows))


def make_served(store, *, array=None, seen=None, about=None):
    """Write and publish a snapshot with one array, and the histories of two users."""
    made = {"shape": SHAPE, "dtype": "<f4"}
    document = {"model": {}, "arrays": {ARRAY: made}, "history": ["item_row", "weight"]}
    histories = {user: value(*rows) for user, rows in SEEN_VALUES.items()}
    generation = make_snapshot(store, {"ann": ["b"], "bob": ["a", "c"]}, ["b"], flip=False)
    source = snapshot_folder(store, generation)
    with writing(store):
        with open_snapshot(store, generation) as snapshot, SnapshotWriter(store) as writer:
            for name in ("users", "spares", "similar", "fallback", "profiles", "items", "rows"):
                writer.table("recs.mdb", name, list(getattr(snapshot, name)))
            for name in ("users", "items", "biases"):
                writer.table("factors.mdb", name, [])
            writer.table(SEEN, "users", sorted((seen or histories).items()))
            shutil.copyfile(source / INDEX, writer.path(INDEX))
            writer.path(ARRAY).write_bytes(array or npy())
            manifest = snapshot.manifest
            served = writer.finish(
                began_at=manifest.began_at,
                finished_at=manifest.finished_at,
                code_version="test",
                inputs=[],
                parameters={SERVED_MODEL: document if about is None else about},
                metrics={},
                gate=manifest.gate,
            )
        publish(store, served.generation, "made by a test")
    shutil.rmtree(source)
    return served.generation


def problems_of(store, generation):
    with open_snapshot(store, generation) as snapshot:
        return list(broken_records(snapshot))


@pytest.fixture
def served(store):
    """A store whose one snapshot has the files, and its generation."""
    return store, make_served(store)


def test_a_snapshot_with_the_files_is_of_version_2(served):
    """Its manifest and its checksums name them; nothing is broken."""
    store, generation = served
    folder = snapshot_folder(store, generation)
    manifest = verify(folder)
    assert manifest.format_version == 2
    assert {SEEN, ARRAY} < set(manifest.files)
    assert manifest.counts["seen.mdb/users"] == 2
    assert ARRAY in (folder / CHECKSUMS).read_text()
    assert problems_of(store, generation) == []


def test_a_snapshot_without_them_is_of_version_1_and_is_read(store):
    """So that older code reads it, too."""
    generation = make_snapshot(store, {"ann": ["a"]}, ["a"])
    assert verify(snapshot_folder(store, generation)).format_version == 1
    with (
        open_snapshot(store, generation) as snapshot,
        pytest.raises(CorruptSnapshotError, match="cannot be opened"),
        open_seen(snapshot),
    ):
        pass


@pytest.mark.parametrize("name", [SEEN, ARRAY])
def test_a_missing_or_damaged_file_is_found(served, name):
    """By its checksum, like any other."""
    store, generation = served
    path = snapshot_folder(store, generation) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptSnapshotError, match="SHA-256"):
        verify(path.parent)
    path.unlink()
    with pytest.raises(CorruptSnapshotError, match="cannot be read"):
        verify(path.parent)


def test_a_file_that_the_manifest_does_not_name_is_found(served):
    """A checksum alone does not make it part of the snapshot."""
    store, generation = served
    folder = snapshot_folder(store, generation)
    other = folder / "model-other.npy"
    other.write_bytes(npy())
    with (folder / CHECKSUMS).open("a") as file:
        file.write(f"{sha256(other)}  {other.name}\n")
    with pytest.raises(CorruptSnapshotError, match="is not the line of a file"):
        verify(folder)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ({"array": npy(n_bytes=20)}, "bytes"),
        ({"array": npy(dtype="<f8", n_bytes=48)}, "manifest says"),
        ({"array": npy(order=True)}, "manifest says"),
        ({"array": b"\x93NUMPY\x01\x00v\x00" + b"(" * 118 + bytes(24)}, "manifest says"),
        ({"array": b"text"}, "manifest says"),
        ({"seen": {b"ann": value(2, 0)}}, "ascending"),
        ({"seen": {b"ann": value(1, 1)}}, "ascending"),
        ({"seen": {b"ann": value(0, 3)}}, "ascending"),
        ({"seen": {b"ann": value(1)[:-1]}}, "ascending"),
        ({"seen": {b"ann": b""}}, "ascending"),
        ({"about": {}}, "is missing"),
        ({"about": {"arrays": {}, "history": ["item_row", "weight"]}}, "only in one"),
        ({"about": {"arrays": {ARRAY: {"shape": SHAPE, "dtype": "<f4"}}}}, "history"),
        (
            {"about": {"arrays": {ARRAY: {"shape": SHAPE, "dtype": "<f4"}}, "history": ["weight"]}},
            "history",
        ),
    ],
)
def test_verify_names_what_breaks_a_rule(store, broken, problem):
    """Whole files with a wrong content: the checksums are right."""
    found = problems_of(store, make_served(store, **broken))
    assert len(found) == 1
    assert problem in found[0]


def test_dump_and_load_give_the_same_files(served):
    """Byte for byte, from lines that name them."""
    store, generation = served
    with open_snapshot(store, generation) as snapshot:
        lines = [json.dumps(line) for line in dump(snapshot, snapshot.manifest.as_json())]
    with writing(store):
        loaded = load(store, lines)
    before, after = (snapshot_folder(store, n) for n in (generation, loaded.generation))
    for name in (SEEN, ARRAY):
        assert (before / name).read_bytes() == (after / name).read_bytes()
    assert loaded.parameters == read_manifest(before).parameters


@pytest.mark.parametrize("kind", ["file", "seen"])
def test_a_dump_that_lacks_them_is_refused(served, kind):
    """As one that was cut short."""
    store, generation = served
    with open_snapshot(store, generation) as snapshot:
        lines = list(dump(snapshot, snapshot.manifest.as_json()))
    kept = [line for line in lines if kind not in line] if kind == "file" else lines
    for line in kept[1:]:
        line.pop(kind, None)
    with writing(store), pytest.raises(BadDumpError, match="manifest says"):
        load(store, map(json.dumps, kept))


def test_a_dump_cannot_name_another_file(served):
    """A name with a path, or of another kind, is refused."""
    store, generation = served
    with open_snapshot(store, generation) as snapshot:
        lines = list(dump(snapshot, snapshot.manifest.as_json()))
    for name in ("../model-a.npy", "CURRENT", "model-/a.npy"):
        changed = [line | {"file": name} if "file" in line else line for line in lines]
        with writing(store), pytest.raises(BadDumpError, match="is not a file of a snapshot"):
            load(store, map(json.dumps, changed))


def test_push_and_pull_copy_them(served, there, node):
    """Remote and replica have the same files, and the replica verifies them."""
    store, generation = served
    push_to(there, store)
    pull_from(there, node)
    files = snapshot_files(store, generation)
    assert files == snapshot_files(there, generation) == snapshot_files(node, generation)
    assert {SEEN, ARRAY} < set(files)
    assert problems_of(node, generation) == []


def test_explain_names_the_items_that_a_list_was_made_from(served, store):
    """By their ids; without the file it says nothing."""
    assert explain(store, "ann").history == ["a", "c"]
    assert explain(store, "stranger").history == []
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    assert explain(store, "ann").history is None


def test_a_forgotten_user_is_in_no_history(served):
    """The copy has the arrays, and the history of the others."""
    store, generation = served
    done = forget(store, ["ann"], "forget", 0)
    copy = done.copies[generation]
    with open_snapshot(store, copy) as snapshot, open_seen(snapshot) as seen:
        assert dict(seen) == {b"bob": value(1)}
    folder = snapshot_folder(store, copy)
    assert (folder / ARRAY).read_bytes() == npy()
    assert problems_of(store, copy) == []


def test_a_format_version_of_newer_code_is_refused(served):
    """With the versions that this code reads."""
    store, generation = served
    path = snapshot_folder(store, generation) / MANIFEST
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 5'))
    with pytest.raises(Exception, match="format version 5, but this code reads 1 to 4"):
        read_manifest(path.parent)
