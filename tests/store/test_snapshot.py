import contextlib
import shutil
import struct
import subprocess
from pathlib import Path

import lmdb
import pytest

from store.errors import CorruptSnapshotError, IncompatibleSnapshotError, NoSnapshotError
from store.layout import FACTORS, POPULAR, RECS, snapshot_folder
from store.snapshot import open_factors, open_snapshot
from tests.snapshots import make_snapshot

TABLES = ("users", "spares", "similar", "fallback", "profiles", "items", "rows")


@pytest.fixture
def full(store):
    """A store whose one snapshot has a record in every table."""
    make_snapshot(
        store,
        {"ann": ["a", "b"], "bob": ["c"]},
        ["b", "c"],
        spares={"ann": ["c", "d"]},
        similar={"a": ["b", "d"]},
        segments={"25-34/F": ["d"], "F": ["a"]},
        profiles={"ann": "25-34/F", "kid": "0-11/F minor"},
    )
    return store


def open_files(store):
    """Return the store's files that this process has open."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the descriptor of this listing
            links.append(descriptor.readlink())
    return [link for link in links if link.is_relative_to(store)]


def mdb(tool, *arguments):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: apt install lmdb-utils")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("users", b"ann", b"a,b"),
        ("spares", b"ann", b"c,d"),
        ("similar", b"a", b"b,d"),
        ("fallback", POPULAR, b"b,c"),
        ("fallback", b"25-34/F", b"d"),
        ("profiles", b"kid", b"0-11/F minor"),
        ("items", b"d", b'{"item_row": 3, "title": "D"}'),
        ("rows", b"3", b"d"),
    ],
)
def test_every_table_has_its_records(full, table, key, value):
    """The reader finds the writer's value under the same key."""
    with open_snapshot(full, 1) as snapshot:
        assert getattr(snapshot, table).get(key) == value


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("key", [b"nobody", b"an", b"anna", b"\x00", b"\xff" * 511])
def test_an_unknown_key_is_none(full, table, key):
    """Neither a prefix nor a longer key finds a record."""
    with open_snapshot(full, 1) as snapshot:
        assert getattr(snapshot, table).get(key) is None


def test_a_table_yields_its_records_in_key_order(full):
    """Each record once, and the table can be iterated again."""
    with open_snapshot(full, 1) as snapshot:
        assert list(snapshot.users) == [(b"ann", b"a,b"), (b"bob", b"c")]
        assert list(snapshot.users) == [(b"ann", b"a,b"), (b"bob", b"c")]


def test_an_empty_table_is_a_table(store):
    """Without profiles the table exists and has no records."""
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    with open_snapshot(store, 1) as snapshot:
        assert list(snapshot.profiles) == []


def test_the_vectors_are_in_a_file_of_their_own(full):
    """`open_factors` finds the vector of each user and item, and the biases."""
    with open_snapshot(full, 1) as snapshot, open_factors(snapshot) as factors:
        found = {}
        for table, key in (("users", b"bob"), ("items", b"c"), ("biases", b"mean")):
            with factors.begin(db=factors.open_db(table.encode(), create=False)) as transaction:
                found[table] = transaction.get(key)
    vectors = {"users": struct.pack("<2f", 1, 1), "items": struct.pack("<2f", 2, 1)}
    assert found == vectors | {"biases": b"3.5"}


def test_the_generation_of_a_snapshot(two):
    """The number in its manifest."""
    for generation in (1, 2):
        with open_snapshot(two, generation) as snapshot:
            assert snapshot.generation == snapshot.manifest.generation == generation


def test_two_generations_can_be_open_at_once(two):
    """A worker opens the new one before it closes the old one."""
    with open_snapshot(two, 1) as old, open_snapshot(two, 2) as new:
        assert (old.users.get(b"ann"), new.users.get(b"ann")) == (b"a,b", b"b,c")


def test_a_snapshot_that_is_removed_while_open_can_be_read(two):
    """Its files are unlinked, not truncated, so mapped pages stay readable."""
    with open_snapshot(two, 1) as snapshot:
        shutil.rmtree(snapshot_folder(two, 1))
        assert snapshot.users.get(b"ann") == b"a,b"


def test_lookups_after_close_raise(two):
    """A closed snapshot gives an error, not a crash."""
    snapshot = open_snapshot(two, 2)
    snapshot.close()
    with pytest.raises(lmdb.Error):
        snapshot.users.get(b"ann")


def test_close_closes_every_descriptor(two):
    """No file of the store is open afterwards."""
    with open_snapshot(two, 2):
        assert open_files(two) != []
    assert open_files(two) == []


def test_opening_adds_no_file_to_the_directory(two):
    """Readers write no lock file: the directory may be read-only."""
    before = sorted(snapshot_folder(two, 2).iterdir())
    open_snapshot(two, 2).close()
    assert sorted(snapshot_folder(two, 2).iterdir()) == before


def test_a_corrupt_snapshot_is_not_opened(two):
    """One changed byte in the lists."""
    path = snapshot_folder(two, 2) / RECS
    path.write_bytes(path.read_bytes().replace(b"b,c", b"b,d"))
    with pytest.raises(CorruptSnapshotError, match="SHA-256"):
        open_snapshot(two, 2)


def test_a_verified_snapshot_is_not_hashed_again(two):
    """`verified=True` reads the manifest alone."""
    (snapshot_folder(two, 2) / FACTORS).write_bytes(b"the supervisor would have seen this")
    with open_snapshot(two, 2, verified=True) as snapshot:
        assert snapshot.users.get(b"ann") == b"b,c"


def test_a_verified_snapshot_of_another_format_is_refused(two):
    """The format version is checked every time."""
    manifest = snapshot_folder(two, 2) / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 9'))
    with pytest.raises(IncompatibleSnapshotError):
        open_snapshot(two, 2, verified=True)


@pytest.mark.parametrize("content", [None, b"", b"not an LMDB file" * 1000])
def test_a_verified_snapshot_without_tables_is_corrupt(two, content):
    """Damaged after the verification: an error of the store's family, not LMDB's."""
    path = snapshot_folder(two, 2) / RECS
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorruptSnapshotError):
        open_snapshot(two, 2, verified=True)


def test_a_refused_snapshot_leaves_no_descriptor_open(two):
    """Repeated attempts must not exhaust the descriptors."""
    (snapshot_folder(two, 2) / RECS).unlink()
    with pytest.raises(CorruptSnapshotError) as caught:
        open_snapshot(two, 2, verified=True)
    assert open_files(two) == [], caught  # while the error, and its frames, live


def test_a_snapshot_without_a_table_is_corrupt(store):
    """The checksums match; the message names the table."""
    make_snapshot(store, {"ann": ["a"]}, ["a"], instead={"users": None})
    with pytest.raises(CorruptSnapshotError, match="table users"):
        open_snapshot(store, 1)


def test_a_generation_that_does_not_exist_is_not_opened(two):
    """Neither a future number nor one below 1."""
    for generation in (0, 3, -1):
        with pytest.raises(NoSnapshotError):
            open_snapshot(two, generation)


@pytest.mark.parametrize(("table", "n_entries"), [("users", 2), ("profiles", 2), ("rows", 4)])
def test_mdb_stat_agrees_with_the_manifest(full, table, n_entries):
    """The number of entries of a table."""
    shown = mdb("mdb_stat", "-n", "-s", table, snapshot_folder(full, 1) / RECS)
    assert f"  Entries: {n_entries}\n" in shown
    with open_snapshot(full, 1) as snapshot:
        assert snapshot.manifest.counts[f"{RECS}/{table}"] == n_entries


def test_mdb_dump_is_readable(full):
    """It prints the lists as plain text."""
    dump = mdb("mdb_dump", "-n", "-p", "-s", "users", snapshot_folder(full, 1) / RECS)
    lines = dump.partition("HEADER=END\n")[2].splitlines()
    assert lines == [" ann", " a,b", " bob", " c", "DATA=END"]


def test_a_dumped_snapshot_still_opens(full):
    """The lock file that the tool leaves is ignored."""
    mdb("mdb_dump", "-n", "-p", "-a", snapshot_folder(full, 1) / RECS)
    with open_snapshot(full, 1) as snapshot:
        assert snapshot.users.get(b"ann") == b"a,b"


def test_mdb_load_restores_a_dump(full, tmp_path):
    """A table is the same after a round trip through text."""
    dump = tmp_path / "users.txt"
    dump.write_text(mdb("mdb_dump", "-n", "-p", "-s", "users", snapshot_folder(full, 1) / RECS))
    mdb("mdb_load", "-n", "-s", "users", "-f", dump, tmp_path / "again.mdb")
    with lmdb.open(
        str(tmp_path / "again.mdb"), subdir=False, readonly=True, lock=False, max_dbs=1
    ) as environment:
        users = environment.open_db(b"users", create=False)
        with environment.begin(db=users) as transaction:
            assert dict(transaction.cursor()) == {b"ann": b"a,b", b"bob": b"c"}
