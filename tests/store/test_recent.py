"""Recent views: newest first, capped, all or none; readers and writer in separate processes."""

import contextlib
import multiprocessing
import os
import random
import signal

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.errors import CorruptRecentError, WriteError
from store.recent import RECENT_LENGTH, RecentViews, RecentWriter, open_recent, recent_file

PAGE_BYTES = 4096
FORK = multiprocessing.get_context("fork")  # LMDB must not open a file twice in a process
MANY = [(f"user{n:04d}", f"film+{k}") for n in range(500) for k in range(8)]


def write(store, *views):
    with RecentWriter(store) as writer:
        writer.add(views)


def read(store, user="ann"):
    views = RecentViews(store)
    try:
        return [name.decode() for name in views.get(user.encode())]
    finally:
        views.close()


# Writing


def test_the_newest_view_is_first(tmp_path):
    """Within one call and over several."""
    write(tmp_path, ("ann", "a"), ("bob", "x"), ("ann", "b"))
    write(tmp_path, ("ann", "c"))
    assert read(tmp_path) == ["c", "b", "a"]
    assert read(tmp_path, "bob") == ["x"]
    assert read(tmp_path, "nobody") == []


def test_a_repeated_view_moves_to_the_front(tmp_path):
    """The item is there once."""
    write(tmp_path, ("ann", "a"), ("ann", "b"), ("ann", "c"), ("ann", "a"))
    assert read(tmp_path) == ["a", "c", "b"]


def test_a_limited_number_is_kept(tmp_path):
    """The oldest are removed."""
    write(tmp_path, *(("ann", f"film{n}") for n in range(RECENT_LENGTH + 5)))
    assert read(tmp_path) == [f"film{n}" for n in range(RECENT_LENGTH + 4, 4, -1)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 30).map(str)), max_size=60),
        max_size=4,
    )
)
def test_the_file_equals_a_list_in_memory(tmp_path_factory, batches):
    """Random views in random batches."""
    store = tmp_path_factory.mktemp("recent")
    expected: dict[str, list[str]] = {user: [] for user in "ABC"}
    with RecentWriter(store) as writer:
        for batch in batches:
            writer.add(batch)
            for user, item in batch:
                latest = [item, *(name for name in expected[user] if name != item)]
                expected[user] = latest[:RECENT_LENGTH]
    assert {user: read(store, user) for user in "ABC"} == expected


def test_an_empty_user_id_writes_nothing(tmp_path):
    """LMDB refuses the key; the call writes nothing, and the writer stays usable."""
    with RecentWriter(tmp_path) as writer:
        with pytest.raises(WriteError):
            writer.add([("ann", "a"), ("", "b")])
        writer.add([("bob", "x")])
    assert (read(tmp_path), read(tmp_path, "bob")) == ([], ["x"])


def test_views_that_fail_midway_write_nothing(tmp_path):
    """The source raises between two views."""

    def views():
        yield "ann", "a"
        raise ConnectionError("the stream is gone")

    with RecentWriter(tmp_path) as writer:
        with pytest.raises(ConnectionError):
            writer.add(views())
        writer.add([("ann", "b")])
    assert read(tmp_path) == ["b"]


def test_a_writer_killed_in_the_middle_writes_nothing(tmp_path):
    """SIGKILL between two views of one call."""
    write(tmp_path, ("ann", "before"))

    def views():
        yield "ann", "a"
        os.kill(os.getpid(), signal.SIGKILL)
        yield "ann", "b"

    writer = FORK.Process(target=lambda: RecentWriter(tmp_path).add(views()), daemon=True)
    writer.start()
    writer.join(10)

    assert writer.exitcode == -signal.SIGKILL
    assert read(tmp_path) == ["before"]
    write(tmp_path, ("ann", "after"))
    assert read(tmp_path) == ["after", "before"]


# Concurrent readers


@contextlib.contextmanager
def writer_process(store):
    """Run a writer in another process: `add(views)` returns when they are committed."""

    def work(pipe):
        with RecentWriter(store) as writer:
            pipe.send("open")
            while views := pipe.recv():
                writer.add(views)
                pipe.send("written")

    parent_end, child_end = FORK.Pipe()
    process = FORK.Process(target=work, args=(child_end,), daemon=True)
    process.start()
    assert parent_end.recv() == "open"

    def add(views):
        parent_end.send(views)
        assert parent_end.recv() == "written"

    try:
        yield add
        parent_end.send(None)
        process.join(10)
        assert process.exitcode == 0
    finally:
        process.kill()


def test_a_reader_sees_each_commit_at_once(tmp_path):
    """It does not reopen the file."""
    with writer_process(tmp_path) as add:
        add([("bob", "x")])
        views = RecentViews(tmp_path)
        for n in range(50):
            assert (b"film%d" % n) not in views.get(b"ann")
            add([("ann", f"film{n}")])
            assert views.get(b"ann")[0] == b"film%d" % n
        views.close()


def test_a_reader_works_while_the_file_grows(tmp_path):
    """Beyond 10 MiB, LMDB's default map size."""
    with writer_process(tmp_path) as add:
        add([("ann", "a")])
        views = RecentViews(tmp_path)
        for part in range(10):
            add([(f"{part}+{n}", "x" * 200 + str(k)) for n in range(300) for k in range(20)])
            assert views.get(b"ann") == [b"a"]
            assert len(views.get(b"%d+299" % part)) == RECENT_LENGTH
        views.close()
    assert recent_file(tmp_path).stat().st_size > 10 << 20


@pytest.mark.parametrize("is_reading", [False, True], ids=["idle", "in a transaction"])
def test_the_file_does_not_grow_after_a_reader_was_killed(tmp_path, is_reading):
    """The next write clears its reader slot, and the pages that it held are reused."""
    write(tmp_path, *MANY)

    def look(pipe):
        views = RecentViews(tmp_path)
        views.get(b"user0001")
        if is_reading:
            kept = views._environment.begin()
            kept.get(b"user0001")
        pipe.send("reading")
        signal.pause()

    sizes = []
    with writer_process(tmp_path) as add:  # a long-running writer
        parent_end, child_end = FORK.Pipe()
        reader = FORK.Process(target=look, args=(child_end,), daemon=True)
        reader.start()
        assert parent_end.recv() == "reading"
        reader.kill()
        reader.join(10)
        for _ in range(30):
            add(MANY)
            sizes.append(recent_file(tmp_path).stat().st_size)
    assert sizes[-1] == sizes[5]


def test_killed_readers_free_their_slots(tmp_path):
    """Each reader that opens the file clears the slots of killed ones, without a writer."""
    write(tmp_path, ("ann", "a"))

    def die():
        views = RecentViews(tmp_path)
        kept = views._environment.begin()
        assert kept.get(b"ann") == b"a"
        os.kill(os.getpid(), signal.SIGKILL)

    def hold(pipe):
        views = RecentViews(tmp_path)
        views.get(b"ann")
        pipe.send("open")
        signal.pause()

    parent_end, child_end = FORK.Pipe()
    # While a process has the file open, LMDB does not reset its reader table.
    holder = FORK.Process(target=hold, args=(child_end,), daemon=True)
    holder.start()
    assert parent_end.recv() == "open"
    for _ in range(5):
        dying = FORK.Process(target=die, daemon=True)
        dying.start()
        dying.join(10)
        assert dying.exitcode == -signal.SIGKILL
    n_slots = len(reader_slots(tmp_path))
    holder.kill()
    holder.join(10)
    assert n_slots <= 3  # the holder, the last killed reader, and this process


def reader_slots(store):
    """Return the reader slots in LMDB's lock file."""
    views = RecentViews(store)
    try:
        views.get(b"ann")
        return views._environment.readers().splitlines()[1:]
    finally:
        views.close()


# Missing and damaged files


def test_a_missing_file_is_none(tmp_path):
    """It is not an error, and the file is not created."""
    assert open_recent(tmp_path) is None
    assert open_recent(tmp_path / "nowhere") is None
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_opened(tmp_path):
    """With its views."""
    write(tmp_path, ("ann", "a"))
    views = open_recent(tmp_path)
    assert views is not None
    assert views.get(b"ann") == [b"a"]
    views.close()


def emptied(path):
    path.write_bytes(b"")


def garbage(path):
    path.write_bytes(random.Random(1).randbytes(60_000))


def text(path):
    path.write_text("ann\talien,brazil\n" * 1000)


def directory(path):
    path.unlink()
    path.mkdir()


def cut_to(n_bytes):
    def cut(path):
        os.truncate(path, n_bytes)

    cut.__name__ = f"cut_to_{n_bytes}"
    return cut


def cut_by_a_page(path):
    os.truncate(path, path.stat().st_size - PAGE_BYTES)


DAMAGE = pytest.mark.parametrize(
    "damage",
    [
        *(emptied, garbage, text, directory, cut_by_a_page),
        *(cut_to(n_bytes) for n_bytes in (1, 100, 4096, 5000, 8192, 20_000)),
    ],
    ids=lambda f: f.__name__,
)


@DAMAGE
def test_a_damaged_file_is_refused(tmp_path, damage):
    """The message names the file and the remedy."""
    write(tmp_path, *MANY)
    damage(recent_file(tmp_path))
    with pytest.raises(CorruptRecentError, match=r"recent\.mdb: .*remove it"):
        open_recent(tmp_path)


def test_a_file_without_read_permission_is_refused(tmp_path, as_anybody):
    """Like a damaged one."""
    write(tmp_path, ("ann", "a"))
    tmp_path.chmod(0o755)
    recent_file(tmp_path).chmod(0o600)
    with as_anybody(), pytest.raises(CorruptRecentError):
        RecentViews(tmp_path)


@pytest.mark.parametrize("fill", [bytes, random.Random(2).randbytes], ids=["zeros", "garbage"])
def test_damaged_pages_are_an_error_of_the_lookup(tmp_path, fill):
    """LMDB raises an error, which the caller handles."""
    write(tmp_path, *MANY)
    path = recent_file(tmp_path)
    with path.open("r+b") as file:
        file.seek(2 * PAGE_BYTES)
        file.write(fill(path.stat().st_size - 2 * PAGE_BYTES))
    views = RecentViews(tmp_path)
    with pytest.raises(lmdb.Error):
        views.get(b"user0001")
    views.close()


@pytest.mark.parametrize(
    "damage",
    [garbage, text, directory, cut_by_a_page, cut_to(5000), cut_to(20_000)],
    ids=lambda f: f.__name__,
)
def test_a_writer_refuses_a_damaged_file(tmp_path, damage):
    """It neither overwrites the file nor crashes."""
    write(tmp_path, *MANY)
    damage(recent_file(tmp_path))
    with pytest.raises((WriteError, CorruptRecentError), match=r"recent\.mdb"):
        RecentWriter(tmp_path)


def test_a_writer_in_a_missing_store_is_a_write_error(tmp_path):
    """The message names the cause."""
    with pytest.raises(WriteError, match="cannot be opened"):
        RecentWriter(tmp_path / "nowhere")
