import lmdb
import pytest

from store.errors import WriteError
from store.layout import DATA_FILES, FACTORS, INDEX, RECS, snapshot_folder
from store.manifest import read_manifest
from store.publish import writing
from store.snapshot import open_snapshot
from store.writer import SnapshotWriter
from tests.snapshots import files_of, make_snapshot

LISTS = {f"user{n:05d}": [f"item{n * m % 97}" for m in range(1, 15)] for n in range(25_000)}


def refused(store, records):
    """Write records that must be refused, and return the message."""
    with pytest.raises(WriteError) as caught, writing(store), SnapshotWriter(store) as writer:
        writer.table(RECS, "users", records)
    return str(caught.value)


UNSORTED = pytest.mark.parametrize(
    "keys",
    [
        [b"b", b"a"],
        [b"a", b"c", b"b"],
        [b"a", b"a"],
        [b"a", b"b", b"b", b"c"],
        [*(b"%06d" % n for n in range(10_000)), b"000000"],  # the second chunk starts too low
        [*(b"%06d" % n for n in range(10_000)), b"009999"],
        [b"10", b"9", b"91", b"90"],
    ],
    ids=["swapped", "late", "twice", "twice inside", "second chunk", "twice over chunks", "last"],
)


@UNSORTED
def test_keys_out_of_order_or_twice_are_refused(two, keys):
    """LMDB would drop such a record silently; the message names its position."""
    message = refused(two, ((key, b"x") for key in keys))
    assert "users: keys out of order after " in message
    assert "report this bug: the batch must sort by key" in message


@UNSORTED
def test_keys_out_of_order_leave_nothing(two, keys):
    """The store is unchanged."""
    before = files_of(two)
    refused(two, ((key, b"x") for key in keys))
    assert files_of(two) == before


@pytest.mark.parametrize("key", [b"", b"x" * 512])
def test_a_key_of_impossible_length_is_refused(two, key):
    """LMDB's keys are 1 to 511 bytes."""
    assert "users: " in refused(two, [(key, b"x")])


def test_a_table_written_twice_is_refused(two):
    """The number of entries does not match."""
    with writing(two), SnapshotWriter(two) as writer:
        writer.table(RECS, "users", [(b"a", b"x")])
        with pytest.raises(WriteError, match="2 of 1 records were stored"):
            writer.table(RECS, "users", [(b"b", b"x")])


@pytest.mark.parametrize("n_good", [0, 1, 10_001])
def test_a_failing_iterator_leaves_nothing(two, n_good):
    """The exception propagates, and the store is unchanged."""

    def records():
        for n in range(n_good):
            yield b"%06d" % n, b"x"
        raise RuntimeError("no more factors")

    before = files_of(two)
    with (
        pytest.raises(RuntimeError, match="no more factors"),
        writing(two),
        SnapshotWriter(two) as writer,
    ):
        writer.table(RECS, "users", records())
    assert files_of(two) == before


def test_a_build_that_is_not_finished_leaves_nothing(two):
    """Leaving the block without `finish` discards the build."""
    before = files_of(two)
    with writing(two), SnapshotWriter(two) as writer:
        writer.table(RECS, "users", [(b"a", b"x")])
    assert files_of(two) == before


def test_a_build_without_its_index_leaves_nothing(two):
    """A snapshot without a file is not renamed into place."""
    before = files_of(two)
    no_file = pytest.raises(WriteError, match="No such file")
    with no_file, writing(two), SnapshotWriter(two) as writer:
        writer.finish()
    assert files_of(two) == before


def test_counts_and_sizes_in_the_manifest(store):
    """Entries of each table, over more than one chunk, and bytes of each data file."""
    make_snapshot(store, LISTS, ["item1"])
    folder = snapshot_folder(store, 1)
    manifest = read_manifest(folder)
    with open_snapshot(store, 1) as snapshot:
        n_users = sum(1 for _ in snapshot.users)
        n_items = sum(1 for _ in snapshot.items)
    assert n_users == manifest.counts["recs.mdb/users"] == len(LISTS)
    assert n_items == manifest.counts["recs.mdb/items"] == manifest.counts["recs.mdb/rows"]
    assert manifest.files == {name: (folder / name).stat().st_size for name in DATA_FILES}


def test_every_record_is_stored(store):
    """25,000 lists."""
    make_snapshot(store, LISTS, ["item1"])
    with open_snapshot(store, 1) as snapshot:
        assert {key.decode(): body.decode().split(",") for key, body in snapshot.users} == LISTS


def test_equal_input_makes_byte_identical_files(tmp_path):
    """A snapshot can be rebuilt and compared."""
    first, second = tmp_path / "first", tmp_path / "second"
    for store in (first, second):
        make_snapshot(store, LISTS, ["item1"], spares={"user00001": ["item96"]})
    for path in snapshot_folder(first, 1).iterdir():
        assert path.read_bytes() == (snapshot_folder(second, 1) / path.name).read_bytes(), path.name


def test_other_input_makes_other_files(tmp_path):
    """One more item of one user."""
    first, second = tmp_path / "first", tmp_path / "second"
    make_snapshot(first, LISTS, ["item1"])
    make_snapshot(second, LISTS | {"user00000": ["item0", "item1"]}, ["item1"])
    recs = [snapshot_folder(store, 1) / RECS for store in (first, second)]
    assert recs[0].read_bytes() != recs[1].read_bytes()


def test_a_finished_snapshot_is_five_files(two):
    """No lock file and no temporary file."""
    names = sorted(path.name for path in snapshot_folder(two, 1).iterdir())
    assert names == ["MANIFEST.json", "SHA256SUMS", FACTORS, INDEX, RECS]


def test_the_files_are_plain_lmdb(two):
    """LMDB opens them without this project's code."""
    path = str(snapshot_folder(two, 2) / FACTORS)
    with lmdb.open(path, subdir=False, readonly=True, lock=False, max_dbs=3) as environment:
        users = environment.open_db(b"users", create=False)
        with environment.begin(db=users) as transaction:
            assert transaction.stat(users)["entries"] == 2


def test_generation_numbers_rise_by_one(two):
    """The next build has the next number, published or not."""
    assert make_snapshot(two, {"ann": ["a"]}, ["a"], flip=False) == 3
    assert make_snapshot(two, {"ann": ["a"]}, ["a"]) == 4


def test_a_failed_build_s_number_is_free_again(two):
    """It was never visible."""
    refused(two, [(b"b", b""), (b"a", b"")])
    assert make_snapshot(two, {"ann": ["a"]}, ["a"]) == 3
