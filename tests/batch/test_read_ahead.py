"""Reading ahead: the same pieces in the same order, and no error lost."""

import threading
import weakref

import pytest

from batch.events.ahead import read_ahead


def numbered(n_files, n_pieces):
    """Return files of pieces that say where they belong."""
    return [(file, iter([(file, piece) for piece in range(n_pieces)])) for file in range(n_files)]


def read(files, n_threads):
    """Return what comes of them."""
    return [(name, list(pieces)) for name, pieces in read_ahead(files, n_threads)]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize(("n_files", "n_pieces"), [(0, 0), (1, 7), (9, 1), (9, 0), (5, 4)])
def test_pieces_come_in_the_order_of_the_files(n_files, n_pieces, n_threads):
    """However many make them."""
    plain = [(name, list(pieces)) for name, pieces in numbered(n_files, n_pieces)]
    assert read(numbered(n_files, n_pieces), n_threads) == plain


def test_the_next_piece_is_made_while_this_one_is_used():
    """And the next file's first: a piece that waits for it to have begun is given."""
    begun = threading.Event()

    def second():
        begun.set()
        yield "second"

    files = [("a", iter(["first"])), ("b", second())]
    for name, pieces in read_ahead(files, 2):
        for _ in pieces:
            assert name == "b" or begun.wait(30)


def test_few_files_are_open_at_once():
    """A folder of a thousand files is not read before the first is used."""
    opened = []

    def files():
        for file in range(1000):
            opened.append(file)
            yield file, iter([file])

    for name, pieces in read_ahead(files(), 2):
        assert list(pieces) == [name]
        assert len(opened) <= name + 4


@pytest.mark.parametrize("n_threads", [1, 2])
def test_what_goes_wrong_is_raised_where_it_belongs(n_threads):
    """After all that came before it."""

    def broken():
        yield 1
        raise ValueError("broken")

    seen = []

    def use(files):
        for name, pieces in read_ahead(files, n_threads):
            for piece in pieces:
                seen.append((name, piece))

    with pytest.raises(ValueError, match="broken"):
        use([("a", iter([0])), ("b", broken()), ("c", iter([2]))])
    assert seen == [("a", 0), ("b", 1)]


def test_a_reader_who_stops_half_way_is_let_go():
    """Closing waits for what was begun, and asks for no more."""
    asked = []

    def pieces(file):
        for piece in range(100):
            asked.append((file, piece))
            yield piece

    reading = read_ahead([(file, pieces(file)) for file in range(5)], 2)
    _, first = next(reading)
    assert next(first) == 0
    reading.close()
    n_asked = len(asked)
    assert n_asked <= 5
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]
    assert len(asked) == n_asked


def test_a_piece_that_was_used_is_held_by_nobody():
    """Of a large file no piece but the next one lies in memory."""

    class Heavy:
        pass

    seen = []
    for _, pieces in read_ahead([("a", (Heavy() for _ in range(5)))], 2):
        for piece in pieces:
            assert not [ref for ref in seen[:-1] if ref() is not None]
            seen.append(weakref.ref(piece))
            del piece
    assert len(seen) == 5
