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


def lines_of(store):
    """Return the journal lines without their times."""
    return [(line.generation, line.what, line.why) for line in journal(store)]


# Current


def test_a_store_that_does_not_exist_has_no_current(store):
    """`current` raises, `current_or_none` returns None."""
    with pytest.raises(NoSnapshotError, match="python -m batch refresh"):
        current(store)
    assert current_or_none(store) is None


def test_the_last_published_generation_is_current(two):
    """The pointer is a readable text file."""
    assert current(two) == 2
    assert (two / "CURRENT").read_text() == "2\n"


@pytest.mark.parametrize("content", [b"", b"two\n", b"\xff\n"])
def test_an_unreadable_pointer_is_refused(two, content):
    """The message names CURRENT."""
    (two / "CURRENT").write_bytes(content)
    with pytest.raises(NoSnapshotError, match="CURRENT: does not hold a generation"):
        current(two)


# Publish


def test_publish_writes_the_journal(two):
    """One journal line for each flip, with its reason."""
    assert lines_of(two) == [(1, "publish", "made by a test"), (2, "publish", "made by a test")]


def test_a_reason_of_several_lines_stays_one_line(two):
    """Tabs and newlines in a reason cannot break the journal."""
    rollback(two, "bad\tlists\nreally\u2028bad")
    assert lines_of(two)[-1] == (1, "rollback", "bad lists really bad")
    assert len((two / "JOURNAL").read_text().splitlines()) == 3


def test_a_corrupt_snapshot_is_not_published(two):
    """The old one stays current, and the journal has no new line."""
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


def test_a_torn_journal_line_is_completed(two):
    """Torn at any byte: the next writer works, and no line is lost."""
    sound = (two / "JOURNAL").read_bytes()
    line = "2026-03-01T02:30:00+00:00\t3\tpublish\tfür die Nacht – neu".encode()
    for n_bytes in range(1, len(line) + 1):
        (two / "JOURNAL").write_bytes(sound + line[:n_bytes])
        with writing(two):
            publish(two, 2, "after the cut")
        assert lines_of(two)[:2] == [
            (1, "publish", "made by a test"),
            (2, "publish", "made by a test"),
        ]
        assert lines_of(two)[-1] == (2, "publish", "after the cut"), n_bytes


def test_a_complete_journal_is_not_changed(two):
    """`writing` adds no line to a sound store."""
    before = (two / "JOURNAL").read_bytes()
    with writing(two):
        pass
    assert (two / "JOURNAL").read_bytes() == before


def test_a_void_line_is_written_once(two):
    """The second writer after a crash voids nothing."""
    with (two / "JOURNAL").open("a") as file:
        file.write("2026-03-01T02:30:00+00:00\t1\trollback\tcut off\n")
    for _ in range(2):
        with writing(two):
            pass
    assert lines_of(two)[2:] == [
        (1, "rollback", "cut off"),
        (1, "void", "no flip followed 2026-03-01T02:30:00+00:00"),
    ]


# Rollback


def test_rollback_publishes_the_parent(two):
    """The generation that was current when this one was built is current again."""
    assert rollback(two, "lists look wrong") == 1
    assert current(two) == 1
    assert lines_of(two)[-1] == (1, "rollback", "lists look wrong")


def test_rollback_publishes_a_given_generation(two):
    """It may be a newer one."""
    rollback(two, "back")
    assert rollback(two, "forward", to=2) == 2
    assert current(two) == 2


def test_the_parent_of_a_build_after_a_rollback(two):
    """It is the served generation, not the newest."""
    rollback(two, "2 is bad")
    make_snapshot(two, {"ann": ["a"]}, ["a"])
    assert read_manifest(snapshot_folder(two, 3)).parent == 1
    assert rollback(two, "3 is bad too") == 1


def test_the_first_generation_cannot_be_rolled_back(store):
    """It has no parent; it stays current."""
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    with pytest.raises(NoSnapshotError, match="it has no parent"):
        rollback(store, "no parent")
    assert current(store) == 1


def test_rollback_to_a_generation_that_is_gone_changes_nothing(two):
    """The parent was pruned; the current one stays."""
    shutil.rmtree(snapshot_folder(two, 1))
    before = files_of(two)
    with pytest.raises(NoSnapshotError, match="000001"):
        rollback(two, "too late")
    assert files_of(two) == before


def test_rollback_to_a_corrupt_generation_changes_nothing(two):
    """A rollback verifies like a publish."""
    (snapshot_folder(two, 1) / "recs.mdb").write_bytes(b"")
    before = files_of(two)
    with pytest.raises(CorruptSnapshotError):
        rollback(two, "back")
    assert files_of(two) == before


def test_rollback_at_a_mistyped_path_creates_no_store(store):
    """The path still does not exist."""
    with pytest.raises(NoSnapshotError):
        rollback(store, "wrong place")
    assert not store.exists()


# One writer


def test_a_second_writer_in_the_same_process_is_refused(two):
    """The lock belongs to the open file, not to the process."""
    refused = pytest.raises(StoreBusyError, match="wait until it ends")
    with writing(two), refused, writing(two):
        pass


def test_a_second_writer_in_another_process_is_refused(two, command):
    """A rollback during a refresh is refused."""
    with writing(two):
        done = command("rollback", "--why", "now")
    assert done.returncode == 1
    assert "another process is writing to it; wait until it ends" in done.stderr
    assert current(two) == 2


def test_a_writer_that_has_ended_releases_the_lock(two, command):
    """The rollback afterwards works."""
    with writing(two):
        pass
    assert command("rollback", "--why", "now").returncode == 0
    assert current(two) == 1


def test_readers_are_not_blocked_by_a_writer(two):
    """Readers do not take the writers' lock."""
    with writing(two), open_snapshot(two, 2) as snapshot:
        assert snapshot.users.get(b"ann") == b"b,c"


def test_leftovers_of_a_killed_build_are_removed_by_the_next_writer(two):
    """An unfinished build is not a generation, and its files are removed."""
    folder = building_folder(two, 3)
    folder.mkdir()
    (folder / "recs.mdb").write_bytes(b"half")
    assert generations(two) == [1, 2]
    with writing(two):
        assert unfinished(two) == []
    assert generations(two) == [1, 2]


def test_a_store_inside_a_file_cannot_be_written(tmp_path):
    """The message names the store and the remedy."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(WriteError, match="check free disk space"),
        writing(tmp_path / "file" / "store"),
    ):
        pass


# check_writable


def test_check_writable_makes_nothing(tmp_path, monkeypatch):
    """Neither for an absolute path nor for a relative one."""
    monkeypatch.chdir(tmp_path)
    check_writable(tmp_path / "var" / "store")
    check_writable(type(tmp_path)("var/store"))
    assert list(tmp_path.iterdir()) == []


def test_check_writable_passes_an_existing_store(two):
    """No error."""
    check_writable(two)


def test_check_writable_refuses_a_store_inside_a_file(tmp_path):
    """`writing` would refuse it too."""
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="is not a directory that this user may write to"):
        check_writable(tmp_path / "file" / "store")


@pytest.mark.usefixtures("unprivileged")
def test_check_writable_refuses_a_directory_without_access(locked_folder):
    """A WriteError, not a bare PermissionError."""
    with pytest.raises(WriteError):
        check_writable(locked_folder / "store")


@pytest.mark.usefixtures("unprivileged")
def test_check_writable_refuses_a_read_only_directory(read_only_folder):
    """It may be read, but not written to."""
    with pytest.raises(WriteError):
        check_writable(read_only_folder / "store")


def test_the_parent_in_the_manifest(two):
    """Generation 1 has none, and it is the parent of 2."""
    parents = [
        json.loads((snapshot_folder(two, generation) / "MANIFEST.json").read_text())["parent"]
        for generation in (1, 2)
    ]
    assert parents == [None, 1]
