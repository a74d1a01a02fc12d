import json
import shutil

import pytest

from store.errors import (
    CorruptSnapshotError,
    IncompatibleSnapshotError,
    NoSnapshotError,
    StoreBusyError,
    WriteError,
)
from store.journal import journal
from store.layout import building_folder, generations, snapshot_folder, unfinished
from store.manifest import read_manifest
from store.pointer import current, current_or_none
from store.publish import check_writable, publish, rollback, writing
from store.snapshot import open_snapshot
from tests.snapshots import files_of, make_snapshot


def facts(store):
    """Return the journal without its times."""
    return [(line.generation, line.what, line.why) for line in journal(store)]


# Current


def test_a_store_that_does_not_exist_has_no_current(store):
    """Nobody has published: an error that says so, or None for those who expect it."""
    with pytest.raises(NoSnapshotError, match="python -m batch refresh"):
        current(store)
    assert current_or_none(store) is None


def test_what_was_published_last_is_current(two):
    """The pointer is a text file that a person can read."""
    assert current(two) == 2
    assert (two / "CURRENT").read_text() == "2\n"


@pytest.mark.parametrize("content", [b"", b"two\n", b"\xff\n"])
def test_an_unreadable_pointer_is_refused(two, content):
    """CURRENT without a number in it points nowhere, and the message names it."""
    (two / "CURRENT").write_bytes(content)
    with pytest.raises(NoSnapshotError, match="CURRENT: does not hold a generation"):
        current(two)


# Publish


def test_publish_writes_what_it_did_and_why(two):
    """One journal line for each flip, with its reason."""
    assert facts(two) == [(1, "publish", "made by a test"), (2, "publish", "made by a test")]


def test_a_reason_of_several_lines_stays_one_line(two):
    """Tabs and newlines in a reason cannot break the journal."""
    rollback(two, "bad\tlists\nreally\u2028bad")
    assert facts(two)[-1] == (1, "rollback", "bad lists really bad")
    assert len((two / "JOURNAL").read_text().splitlines()) == 3


def test_a_corrupt_snapshot_is_not_published(two):
    """Verified first: the old one stays current, and the journal says nothing."""
    make_snapshot(two, {"ann": ["a"]}, ["a"], flip=False)
    (snapshot_folder(two, 3) / "items.ann").write_bytes(b"other bytes")
    before = files_of(two)
    with writing(two), pytest.raises(CorruptSnapshotError, match="python -m store rollback"):
        publish(two, 3, "hope")
    assert files_of(two) == before
    assert current(two) == 2


def test_a_snapshot_of_another_format_is_not_published(two):
    """The old one stays current."""
    manifest = snapshot_folder(two, 1) / "MANIFEST.json"
    manifest.write_text(manifest.read_text().replace('"format_version": 1', '"format_version": 9'))
    with writing(two), pytest.raises(IncompatibleSnapshotError):
        publish(two, 1, "hope")
    assert current(two) == 2


def test_a_generation_that_does_not_exist_is_not_published(two):
    """The old one stays current."""
    with writing(two), pytest.raises(NoSnapshotError, match="no such snapshot"):
        publish(two, 7, "hope")
    assert current(two) == 2


# Journal


def test_a_half_written_journal_line_is_mended(two):
    """The power goes at any byte of a line: the next writer goes on, and nothing is lost."""
    sound = (two / "JOURNAL").read_bytes()
    line = "2026-03-01T02:30:00+00:00\t3\tpublish\tfür die Nacht – neu".encode()
    for n_bytes in range(1, len(line) + 1):
        (two / "JOURNAL").write_bytes(sound + line[:n_bytes])
        with writing(two):
            publish(two, 2, "after the cut")
        assert facts(two)[:2] == [
            (1, "publish", "made by a test"),
            (2, "publish", "made by a test"),
        ]
        assert facts(two)[-1] == (2, "publish", "after the cut"), n_bytes


def test_a_journal_that_kept_its_promises_is_left_alone(two):
    """Opening a sound store for writing adds no line."""
    before = (two / "JOURNAL").read_bytes()
    with writing(two):
        pass
    assert (two / "JOURNAL").read_bytes() == before


def test_a_void_line_is_written_once(two):
    """The second writer after the crash finds nothing more to take back."""
    with (two / "JOURNAL").open("a") as file:
        file.write("2026-03-01T02:30:00+00:00\t1\trollback\tcut off\n")
    for _ in range(2):
        with writing(two):
            pass
    assert facts(two)[2:] == [
        (1, "rollback", "cut off"),
        (1, "void", "no flip followed 2026-03-01T02:30:00+00:00"),
    ]


# Rollback


def test_rollback_goes_to_the_parent(two):
    """The generation that was current when this one was built is current again."""
    assert rollback(two, "lists look wrong") == 1
    assert current(two) == 1
    assert facts(two)[-1] == (1, "rollback", "lists look wrong")


def test_rollback_goes_to_a_given_generation(two):
    """Any sound generation will do, a newer one too."""
    rollback(two, "back")
    assert rollback(two, "and forth", to=2) == 2
    assert current(two) == 2


def test_after_a_rollback_the_next_build_has_what_is_served_as_its_parent(two):
    """The generation that was rolled back from is nobody's parent."""
    rollback(two, "2 is bad")
    make_snapshot(two, {"ann": ["a"]}, ["a"])
    assert read_manifest(snapshot_folder(two, 3)).parent == 1
    assert rollback(two, "3 is bad too") == 1


def test_the_first_generation_cannot_be_rolled_back(store):
    """It has no parent; it stays current."""
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    with pytest.raises(NoSnapshotError, match="it has no parent"):
        rollback(store, "no way back")
    assert current(store) == 1


def test_rollback_to_a_generation_that_is_gone_changes_nothing(two):
    """A parent that was swept away cannot come back; the current one stays."""
    shutil.rmtree(snapshot_folder(two, 1))
    before = files_of(two)
    with pytest.raises(NoSnapshotError, match="000001"):
        rollback(two, "too late")
    assert files_of(two) == before


def test_rollback_to_a_corrupt_generation_changes_nothing(two):
    """Going back is a publish like any other: verified first."""
    (snapshot_folder(two, 1) / "recs.mdb").write_bytes(b"")
    before = files_of(two)
    with pytest.raises(CorruptSnapshotError):
        rollback(two, "back")
    assert files_of(two) == before


def test_rollback_makes_no_store_where_there_is_none(store):
    """A mistyped --store leaves nothing behind."""
    with pytest.raises(NoSnapshotError):
        rollback(store, "wrong place")
    assert not store.exists()


# One writer


def test_a_second_writer_in_the_same_process_is_refused(two):
    """The lock belongs to the open file, not to the process."""
    refused = pytest.raises(StoreBusyError, match="wait for it to end")
    with writing(two), refused, writing(two):
        pass


def test_a_second_writer_in_another_process_is_refused(two, command):
    """While a refresh writes, a rollback is told to wait."""
    with writing(two):
        done = command("rollback", "--why", "now")
    assert done.returncode == 1
    assert "another process is writing to it; wait for it to end" in done.stderr
    assert current(two) == 2


def test_a_writer_that_has_ended_leaves_the_store_free(two, command):
    """The twin: the same rollback afterwards is done."""
    with writing(two):
        pass
    assert command("rollback", "--why", "now").returncode == 0
    assert current(two) == 1


def test_readers_are_not_kept_out_by_a_writer(two):
    """Opening for reading takes no part in the writers' lock."""
    with writing(two), open_snapshot(two, 2) as snapshot:
        assert snapshot.users.get(b"ann") == b"b,c"


def test_leftovers_of_a_killed_build_are_removed_by_the_next_writer(two):
    """Half a build is no snapshot, and its disk is given back."""
    folder = building_folder(two, 3)
    folder.mkdir()
    (folder / "recs.mdb").write_bytes(b"half")
    assert generations(two) == [1, 2]
    with writing(two):
        assert unfinished(two) == []
    assert generations(two) == [1, 2]


def test_a_store_inside_a_file_cannot_be_written(tmp_path):
    """The message names the store, and the way out."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(WriteError, match="see that the disk has room"),
        writing(tmp_path / "file" / "store"),
    ):
        pass


# Told early


def test_check_writable_makes_nothing(tmp_path, monkeypatch):
    """Asking leaves no trace, by an absolute path and by a relative one."""
    monkeypatch.chdir(tmp_path)
    check_writable(tmp_path / "var" / "store")
    check_writable(type(tmp_path)("var/store"))
    assert list(tmp_path.iterdir()) == []


def test_check_writable_passes_an_existing_store(two):
    """The twin: where writing works, it says nothing."""
    check_writable(two)


def test_check_writable_refuses_a_store_inside_a_file(tmp_path):
    """What `writing` would refuse after hours is refused at once."""
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="no directory that this user may write to"):
        check_writable(tmp_path / "file" / "store")


@pytest.mark.usefixtures("somebody")
def test_check_writable_refuses_what_this_user_may_not_enter(locked_folder):
    """A store in a folder of somebody else's is a WriteError, not a bare PermissionError."""
    with pytest.raises(WriteError):
        check_writable(locked_folder / "store")


@pytest.mark.usefixtures("somebody")
def test_check_writable_refuses_what_this_user_may_only_read(read_only_folder):
    """A folder that may be read but not written to is refused."""
    with pytest.raises(WriteError):
        check_writable(read_only_folder / "store")


def test_the_manifest_s_parent_is_what_was_current(two):
    """Generation 1 is the first, and 2 its child."""
    parents = [
        json.loads((snapshot_folder(two, generation) / "MANIFEST.json").read_text())["parent"]
        for generation in (1, 2)
    ]
    assert parents == [None, 1]
