"""Reading ahead: the same pieces in the same order, and every error raised."""

import threading
import weakref
from collections.abc import Generator

import pytest

from batch.errors import RejectedError
from batch.events.ahead import read_ahead
from batch.events.read import read_events
from batch.settings import BatchSettings


def numbered(n_files, n_pieces):
    """Return files whose pieces are (file, piece) numbers."""
    return [(file, iter([(file, piece) for piece in range(n_pieces)])) for file in range(n_files)]


def read(files, n_threads):
    """Return the labels and all pieces."""
    return [(name, list(pieces)) for name, pieces in read_ahead(files, n_threads)]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize(("n_files", "n_pieces"), [(0, 0), (1, 7), (9, 1), (9, 0), (5, 4)])
def test_pieces_come_in_the_order_of_the_files(n_files, n_pieces, n_threads):
    """The order does not depend on the number of threads."""
    plain = [(name, list(pieces)) for name, pieces in numbered(n_files, n_pieces)]
    assert read(numbered(n_files, n_pieces), n_threads) == plain


def test_the_next_piece_is_made_while_this_one_is_used():
    """The next file's first piece is started while a piece of this file is in use."""
    started = threading.Event()

    def second():
        started.set()
        yield "second"

    files = [("a", iter(["first"])), ("b", second())]
    for name, pieces in read_ahead(files, 2):
        for _ in pieces:
            assert name == "b" or started.wait(30)


def test_few_files_are_open_at_once():
    """Of a thousand files only a few are open before the first is used up."""
    opened = []

    def files():
        for file in range(1000):
            opened.append(file)
            yield file, iter([file])

    for name, pieces in read_ahead(files(), 2):
        assert list(pieces) == [name]
        assert len(opened) <= name + 4


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_is_raised_at_its_piece(n_threads):
    """All pieces before the broken one are read first."""

    def broken():
        yield 1
        raise ValueError("broken")

    seen: list[tuple[str, int]] = []

    def use(files):
        for name, pieces in read_ahead(files, n_threads):
            for piece in pieces:
                seen.append((name, piece))

    with pytest.raises(ValueError, match="broken"):
        use([("a", iter([0])), ("b", broken()), ("c", iter([2]))])
    assert seen == [("a", 0), ("b", 1)]


def test_closing_early_stops_reading_ahead():
    """Closing waits for the pieces that were started, and starts no others."""
    made = []

    def pieces(file):
        for piece in range(100):
            made.append((file, piece))
            yield piece

    reading = read_ahead([(file, pieces(file)) for file in range(5)], 2)
    _, first = next(reading)
    assert next(first) == 0
    assert isinstance(reading, Generator)
    reading.close()
    n_made = len(made)
    assert n_made <= 5
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]
    assert len(made) == n_made


def test_a_used_piece_is_freed():
    """Of a large file only the current and the next piece are in memory."""

    class Heavy:
        pass

    seen: list[weakref.ref[Heavy]] = []
    for _, pieces in read_ahead([("a", (Heavy() for _ in range(5)))], 2):
        for piece in pieces:
            assert not [ref for ref in seen[:-1] if ref() is not None]
            seen.append(weakref.ref(piece))
            del piece
    assert len(seen) == 5


def test_a_rejected_file_leaves_no_thread(tmp_path):
    """The threads that read ahead have ended when the error is raised, not at some later time."""
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text("2026-03-01 10:00,1,GET /data/m/x/1.mpg\n" * 300_000)
    settings = BatchSettings(
        events=(str(tmp_path),), quarantine=str(tmp_path / "quarantine"), n_threads=3
    )
    before = set(threading.enumerate())
    with pytest.raises(RejectedError) as raised:  # whose traceback keeps all that it passed
        read_events(settings)
    assert set(threading.enumerate()) == before
    assert "a.log" in str(raised.value)
