"""Fresh lists in `fresh.mdb`: what is written is read, what is damaged is not."""

import itertools
import subprocess
import sys
from zlib import crc32

import pytest

from store.assignment import Assignment
from store.errors import CorruptFreshError, WriteError
from store.forget_files import forget_recent
from store.fresh import (
    FILTER_MASK,
    FILTER_SHIFT,
    FreshList,
    FreshLists,
    FreshWriter,
    check_fresh,
    decode,
    encode,
    forget_fresh,
    fresh_file,
    open_fresh,
)

BODY = b"heat,alien,brazil"
MADE = FreshList(42, 1_700_000_000.5, BODY, b"diva")
MANY = [(b"u%05d" % n, FreshList(1, float(n), BODY + b"%d" % n), b"h%d" % n) for n in range(900)]


@pytest.fixture
def filled(store):
    """A store with fresh lists of 900 users."""
    store.mkdir(parents=True)
    with FreshWriter(store) as writer:
        writer.assign(Assignment((1,)))
        writer.depend_on(b"rules")
        writer.put(MANY)
    return store


def put_zoe_in_another_process(store, made):
    """LMDB does not allow two uses of a file in one process."""
    code = (
        "import pathlib, sys; from store.fresh import FreshList, FreshWriter\n"
        "with FreshWriter(pathlib.Path(sys.argv[1])) as writer:\n"
        f"    writer.put([(b'zoe', {made!r}, b'history')])\n"
    )
    subprocess.run([sys.executable, "-c", code, store], check=True)


def test_a_list_is_read_as_it_was_written():
    assert decode(b"ann", encode(b"ann", MADE)) == MADE
    assert decode(b"ann", encode(b"ann", MADE._replace(spares=b""))) == MADE._replace(spares=b"")


def test_no_flipped_bit_is_served():
    """Each bit of a value, cut values, and the value of another user."""
    value = encode(b"ann", MADE)
    for bit in range(8 * len(value)):
        flipped = bytearray(value)
        flipped[bit // 8] ^= 1 << bit % 8
        assert decode(b"ann", bytes(flipped)) is None
    assert all(decode(b"ann", value[:n]) is None for n in range(len(value)))
    assert decode(b"rex", value) is None
    assert decode(b"ann", encode(b"ann", MADE._replace(body=b"", spares=b""))) is None


def test_a_reader_finds_new_lists_after_renewing(filled):
    lists = FreshLists(filled)
    put_zoe_in_another_process(filled, MADE)
    assert lists.get(b"zoe") is None
    lists.renew()
    assert decode(b"zoe", lists.get(b"zoe") or b"") == MADE
    put_zoe_in_another_process(filled, None)
    assert lists.get(b"zoe") is not None
    lists.renew()
    assert lists.get(b"zoe") is None
    lists.close()
    with FreshWriter(filled) as writer:
        assert writer.histories([b"zoe", b"rex"]) == [b"history", None]


def test_clearing_removes_all_and_names_the_generation(filled):
    with FreshWriter(filled) as writer:
        assert (writer.assignment, writer.depends_on) == (Assignment((1,)), b"rules")
        assert writer.n_lists == len(MANY)
        assert [*itertools.chain(*writer.users(250))] == [user for user, _, _ in MANY]
        writer.depend_on(b"others")
        assert (writer.assignment, writer.depends_on) == (Assignment((1,)), b"others")
        writer.assign(Assignment((2,)))
        writer.depend_on(b"rules")
        assert (writer.assignment, writer.depends_on) == (Assignment((2,)), b"rules")
        assert writer.n_lists == 0
        assert not list(writer.users(250))
    check_fresh(filled)


def may_have(lists, user):
    return lists.filter[crc32(user) & FILTER_MASK] >> (crc32(user) >> FILTER_SHIFT) & 1


def test_the_filter_passes_each_user_with_a_list(filled):
    """And few others; after clearing none."""
    lists = FreshLists(filled)
    assert all(may_have(lists, user) for user, _, _ in MANY)
    assert sum(may_have(lists, b"other%d" % n) for n in range(1000)) < 10
    lists.close()
    with FreshWriter(filled) as writer:  # opened anew, it adds to what is there
        writer.put([(b"zoe", MADE, b"")])
    lists = FreshLists(filled)
    assert all(may_have(lists, user) for user in (b"zoe", MANY[0][0]))
    lists.close()
    with FreshWriter(filled) as writer:
        writer.assign(Assignment((2,)))
        writer.put([(b"zoe", MADE, b"")])
    lists = FreshLists(filled)
    assert [may_have(lists, user) for user in (b"zoe", MANY[0][0])] == [1, 0]
    lists.close()


def test_a_store_without_the_file_has_no_fresh_lists(store):
    store.mkdir(parents=True)
    assert open_fresh(store) is None
    assert forget_fresh(store, ["ann"]) == []
    assert not fresh_file(store).exists()


def test_forgetting_removes_list_and_history(filled):
    assert forget_recent(filled, ["u00007", "nobody"]) == {"u00007": 1, "nobody": 0}
    with FreshWriter(filled) as writer:
        assert writer.histories([b"u00007", b"u00008"]) == [None, b"h8"]
        assert writer.n_lists == len(MANY) - 1


@pytest.mark.parametrize("content", [b"", b"not a database at all", bytes(8192)])
def test_what_is_no_database_is_an_error(store, content):
    store.mkdir(parents=True)
    fresh_file(store).write_bytes(content)
    with pytest.raises(CorruptFreshError):
        check_fresh(store)


def test_a_truncated_file_is_an_error(filled):
    content = fresh_file(filled).read_bytes()
    fresh_file(filled).write_bytes(content[: len(content) // 2])
    with pytest.raises(CorruptFreshError, match="truncated"):
        open_fresh(filled)
    with pytest.raises(CorruptFreshError, match="truncated"):
        FreshWriter(filled)


def damage(store, text):
    """Change a bit of a text, and of its copies in free pages, which LMDB does not notice."""
    content = fresh_file(store).read_bytes()
    assert text in content
    fresh_file(store).write_bytes(content.replace(text, bytes([text[0] ^ 1]) + text[1:]))


def test_a_damaged_list_is_counted_and_the_others_are_read(filled):
    """The check does not fail: only what is not in order makes the file unusable."""
    assert check_fresh(filled) == (len(MANY), 0)
    damage(filled, MANY[777][1].body)
    n_lists, n_damaged = check_fresh(filled)
    assert (n_lists, n_damaged) == (len(MANY), 1)
    lists = FreshLists(filled)
    made = {user: decode(user, lists.get(user) or b"") for user, _, _ in MANY}
    lists.close()
    assert [user for user, one in made.items() if one is None] == [MANY[777][0]]
    assert all(made[user] in (one, None) for user, one, _ in MANY)


def test_a_damaged_history_counts_as_a_missing_one(filled):
    """It is removed with its list; the others stay."""
    damage(filled, b"h123")
    with FreshWriter(filled) as writer:
        names = [user for user, _, _ in MANY]
        found = writer.histories(names)
        assert [user for user, one in zip(names, found, strict=True) if one is None] == [names[123]]
        assert writer.damaged == {names[123]}
        assert writer.remove_damaged() == 1
        assert writer.damaged == set()
        assert writer.n_lists == len(MANY) - 1
        assert [*itertools.chain(*writer.users(250))] == names[:123] + names[124:]


def test_a_store_that_cannot_be_written_to_is_an_error(tmp_path):
    with pytest.raises(WriteError):
        FreshWriter(tmp_path / "missing")
