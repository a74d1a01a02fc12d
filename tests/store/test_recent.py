"""Recent views: newest first, capped, all or none; readers and writer in processes of their own."""

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
FORK = multiprocessing.get_context("fork")  # LMDB opens a file once in a process
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


# What is written


def test_the_newest_stands_first(tmp_path):
    """In one call and in several."""
    write(tmp_path, ("ann", "a"), ("bob", "x"), ("ann", "b"))
    write(tmp_path, ("ann", "c"))
    assert read(tmp_path) == ["c", "b", "a"]
    assert read(tmp_path, "bob") == ["x"]
    assert read(tmp_path, "nobody") == []


def test_a_film_seen_again_moves_to_the_front(tmp_path):
    """It stands there once."""
    write(tmp_path, ("ann", "a"), ("ann", "b"), ("ann", "c"), ("ann", "a"))
    assert read(tmp_path) == ["a", "c", "b"]


def test_so_many_are_kept(tmp_path):
    """The oldest go."""
    write(tmp_path, *(("ann", f"film{n}") for n in range(RECENT_LENGTH + 5)))
    assert read(tmp_path) == [f"film{n}" for n in range(RECENT_LENGTH + 4, 4, -1)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 30).map(str)), max_size=60),
        max_size=4,
    )
)
def test_the_file_is_what_a_list_would_be(tmp_path_factory, batches):
    """Whatever is added, and in how many calls."""
    store = tmp_path_factory.mktemp("recent")
    expected = {user: [] for user in "ABC"}
    with RecentWriter(store) as writer:
        for batch in batches:
            writer.add(batch)
            for user, item in batch:
                latest = [item, *(name for name in expected[user] if name != item)]
                expected[user] = latest[:RECENT_LENGTH]
    assert {user: read(store, user) for user in "ABC"} == expected


def test_a_user_without_a_name_writes_nothing(tmp_path):
    """LMDB refuses the key; of the whole call nothing is written, and the writer lives on."""
    with RecentWriter(tmp_path) as writer:
        with pytest.raises(WriteError):
            writer.add([("ann", "a"), ("", "b")])
        writer.add([("bob", "x")])
    assert (read(tmp_path), read(tmp_path, "bob")) == ([], ["x"])


def test_views_that_break_off_write_nothing(tmp_path):
    """The source fails in the middle: all or none."""

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


# Somebody reads meanwhile


@contextlib.contextmanager
def writing_elsewhere(store):
    """A writer in another process: `add(views)` returns once they are committed."""

    def work(orders):
        with RecentWriter(store) as writer:
            orders.send("open")
            while views := orders.recv():
                writer.add(views)
                orders.send("written")

    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=work, args=(theirs,), daemon=True)
    process.start()
    assert ours.recv() == "open"

    def add(views):
        ours.send(views)
        assert ours.recv() == "written"

    try:
        yield add
        ours.send(None)
        process.join(10)
        assert process.exitcode == 0
    finally:
        process.kill()


def test_a_reader_sees_each_commit_at_once(tmp_path):
    """It never opens the file again."""
    with writing_elsewhere(tmp_path) as add:
        add([("bob", "x")])
        views = RecentViews(tmp_path)
        for n in range(50):
            assert (b"film%d" % n) not in views.get(b"ann")
            add([("ann", f"film{n}")])
            assert views.get(b"ann")[0] == b"film%d" % n
        views.close()


def test_a_reader_goes_on_while_the_file_grows(tmp_path):
    """Past 10 MiB, with which LMDB maps a file when nobody says how much."""
    with writing_elsewhere(tmp_path) as add:
        add([("ann", "a")])
        views = RecentViews(tmp_path)
        for part in range(10):
            add([(f"{part}+{n}", "x" * 200 + str(k)) for n in range(300) for k in range(20)])
            assert views.get(b"ann") == [b"a"]
            assert len(views.get(b"%d+299" % part)) == RECENT_LENGTH
        views.close()
    assert recent_file(tmp_path).stat().st_size > 10 << 20


@pytest.mark.parametrize("is_reading", [False, True], ids=["idle", "in a transaction"])
def test_a_killed_reader_leaves_no_growth(tmp_path, is_reading):
    """Its place is cleared with the next write, and the pages that it held are used again."""
    write(tmp_path, *MANY)

    def look(told):
        views = RecentViews(tmp_path)
        views.get(b"user0001")
        if is_reading:
            kept = views._environment.begin()
            kept.get(b"user0001")
        told.send("reading")
        signal.pause()

    sizes = []
    with writing_elsewhere(tmp_path) as add:  # a collector that has been running for long
        ours, theirs = FORK.Pipe()
        reader = FORK.Process(target=look, args=(theirs,), daemon=True)
        reader.start()
        assert ours.recv() == "reading"
        reader.kill()
        reader.join(10)
        for _ in range(30):
            add(MANY)
            sizes.append(recent_file(tmp_path).stat().st_size)
    assert sizes[-1] == sizes[5]


def test_readers_that_are_killed_leave_room_for_others(tmp_path):
    """Each that opens the file clears the places of the dead; no writer need come."""
    write(tmp_path, ("ann", "a"))

    def die():
        views = RecentViews(tmp_path)
        kept = views._environment.begin()
        assert kept.get(b"ann") == b"a"
        os.kill(os.getpid(), signal.SIGKILL)

    def hold(told):
        views = RecentViews(tmp_path)
        views.get(b"ann")
        told.send("open")
        signal.pause()

    ours, theirs = FORK.Pipe()
    # While somebody holds the file, LMDB does not begin the table of readers anew.
    holder = FORK.Process(target=hold, args=(theirs,), daemon=True)
    holder.start()
    assert ours.recv() == "open"
    for _ in range(5):
        dying = FORK.Process(target=die, daemon=True)
        dying.start()
        dying.join(10)
        assert dying.exitcode == -signal.SIGKILL
    n_places = len(places(tmp_path))
    holder.kill()
    holder.join(10)
    assert n_places <= 3  # the holder, the last that died, and this one that looks


def places(store):
    """The readers that LMDB's lock file knows of."""
    views = RecentViews(store)
    try:
        views.get(b"ann")
        return views._environment.readers().splitlines()[1:]
    finally:
        views.close()


# What is no file of recent views


def test_where_nobody_collects_there_is_none(tmp_path):
    """No file is no error, and none is made."""
    assert open_recent(tmp_path) is None
    assert open_recent(tmp_path / "nowhere") is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_recent_views_is_opened(tmp_path):
    """The twin."""
    write(tmp_path, ("ann", "a"))
    views = open_recent(tmp_path)
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


HARM = pytest.mark.parametrize(
    "harm",
    [
        *(emptied, garbage, text, directory, cut_by_a_page),
        *(cut_to(n_bytes) for n_bytes in (1, 100, 4096, 5000, 8192, 20_000)),
    ],
    ids=lambda f: f.__name__,
)


@HARM
def test_what_is_no_such_file_is_refused(tmp_path, harm):
    """With the file's name and the way out, and without harm to this process."""
    write(tmp_path, *MANY)
    harm(recent_file(tmp_path))
    with pytest.raises(CorruptRecentError, match=r"recent\.mdb: .*remove it"):
        open_recent(tmp_path)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, as_anybody):
    """As any other that cannot be."""
    write(tmp_path, ("ann", "a"))
    tmp_path.chmod(0o755)
    recent_file(tmp_path).chmod(0o600)
    with as_anybody(), pytest.raises(CorruptRecentError):
        RecentViews(tmp_path)


@pytest.mark.parametrize("fill", [bytes, random.Random(2).randbytes], ids=["zeros", "garbage"])
def test_broken_pages_are_an_error_of_the_lookup(tmp_path, fill):
    """LMDB notices most; the caller goes on without."""
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
    "harm",
    [garbage, text, directory, cut_by_a_page, cut_to(5000), cut_to(20_000)],
    ids=lambda f: f.__name__,
)
def test_a_writer_refuses_it_too(tmp_path, harm):
    """Rather than write over what may be somebody's, or die of what is missing."""
    write(tmp_path, *MANY)
    harm(recent_file(tmp_path))
    with pytest.raises((WriteError, CorruptRecentError), match=r"recent\.mdb"):
        RecentWriter(tmp_path)


def test_a_store_that_may_not_be_written_to(tmp_path):
    """Is said, and nothing is left there."""
    with pytest.raises(WriteError, match="cannot be opened"):
        RecentWriter(tmp_path / "nowhere")
