import json

import pytest

from store.check import broken_records
from store.snapshot import open_snapshot
from tests.snapshots import make_snapshot

NAMES = [f"i{n:02d}" for n in range(30)]
ITEMS = {name.encode(): json.dumps({"item_row": n}).encode() for n, name in enumerate(NAMES)}
ROWS = {b"%d" % n: name.encode() for n, name in enumerate(NAMES)}


def problems_of(store, **instead):
    """Return the problems of a sound snapshot of 30 items with the given tables replaced."""
    make_snapshot(store, {}, [], instead={"items": ITEMS, "rows": ROWS} | instead)
    with open_snapshot(store, 1) as snapshot:
        return list(broken_records(snapshot))


def body(*rows):
    return ",".join(NAMES[n] for n in rows).encode()


def test_a_sound_snapshot_has_no_broken_record(store):
    """Lists of 1 and of 20 items, spares, neighbours, segments."""
    assert (
        problems_of(
            store,
            users={b"ann": body(*range(20)), b"bob": body(3)},
            spares={b"ann": body(*range(20, 30)), b"bob": body(4)},
            similar={b"i00": body(1, 2)},
            fallback={b"popular": body(*range(20)), b"25-34/F": body(5)},
            profiles={b"ann": b"25-34/F minor"},
        )
        == []
    )


@pytest.mark.parametrize("table", ["users", "spares", "similar", "fallback"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "is empty"),
        (body(*range(21)), "has 21 items, more than 20"),
        (body(1, 2, 1), "contains an item twice"),
        (body(1) + b",nothing", "'nothing' is not in the catalogue"),
        (body(1) + b",", "'' is not in the catalogue"),
        (body(1) + b", " + body(2), "' i02' is not in the catalogue"),
        (body(1) + b"\n", r"'i01\n' is not in the catalogue"),
        (b"\xff", "'ÿ' is not in the catalogue"),
    ],
    ids=["empty", "long", "twice", "unknown", "comma", "blank", "newline", "bytes"],
)
def test_a_broken_list_is_one_problem(store, table, value, problem):
    """The problem names the table, the key and the fault."""
    assert problems_of(store, **{table: {b"i00": value}}) == [f"{table}: i00: {problem}"]


def test_only_the_broken_list_is_named(store):
    """Two bad lists among 30 are two problems."""
    users = {b"u%02d" % n: body(n) for n in range(30)}
    users |= {b"u07": b"", b"u29": body(1, 1)}
    assert problems_of(store, users=users) == [
        "users: u07: is empty",
        "users: u29: contains an item twice",
    ]


def test_a_spare_that_is_in_the_list_is_one_problem(store):
    """A takedown would put the item into the list a second time."""
    problems = problems_of(store, users={b"ann": body(1, 2)}, spares={b"ann": body(3, 2)})
    assert problems == ["spares: ann: contains an item of the user's list"]


@pytest.mark.parametrize("user_id", [b"an n", b"ann/bob", b"\xff", b"x" * 65])
def test_a_key_that_is_not_a_user_id_is_one_problem(store, user_id):
    """No request could name it."""
    problems = problems_of(store, users={user_id: body(1)})
    assert len(problems) == 1
    assert problems[0].startswith("users: ")
    assert problems[0].endswith(" is not a valid user id")


@pytest.mark.parametrize("item_id", ["a b", "a,b", "x" * 201])
def test_a_key_that_is_not_an_item_id_is_one_problem(store, item_id):
    """It could not be part of a list."""
    problems = problems_of(store, items=ITEMS | {item_id.encode(): b"{}"})
    assert problems == [f"items: {item_id!r} is not a valid item id"]


def test_an_item_id_that_is_not_text_is_one_problem(store):
    """Bytes that are not UTF-8 are reported, and do not end the check."""
    problems = problems_of(store, items=ITEMS | {b"\xff": b"{}"}, users={b"ann": b""})
    assert len(problems) == 2
    assert problems[0].startswith("items: ")
    assert problems[1] == "users: ann: is empty"


@pytest.mark.parametrize("table", ["users", "similar", "fallback"])
def test_a_broken_list_under_a_key_that_is_not_text_does_not_end_the_check(store, table):
    """The record is reported."""
    assert any(f"{table}: " in problem for problem in problems_of(store, **{table: {b"\xff": b""}}))


def test_a_row_without_its_item_is_one_problem(store):
    """A neighbour of the index must be an item."""
    problems = problems_of(store, rows=ROWS | {b"30": b"nothing"})
    assert len(problems) == 1
    assert problems[0].startswith("rows: 30: ")
    assert "nothing" in problems[0]


def test_a_row_that_is_not_text_is_one_problem(store):
    """Bytes that are not UTF-8 are reported, and do not end the check."""
    problems = problems_of(store, rows=ROWS | {b"30": b"\xff"})
    assert len(problems) == 1
    assert problems[0].startswith("rows: 30: ")


def test_an_item_whose_row_is_missing_is_one_problem(store):
    """`items` names a row that `rows` does not have."""
    problems = problems_of(store, rows={key: name for key, name in ROWS.items() if key != b"7"})
    assert len(problems) == 1
    assert "i07" in problems[0]


def test_an_item_and_a_row_that_disagree_are_reported(store):
    """Two rows are swapped: each names an item that claims another row."""
    assert problems_of(store, rows=ROWS | {b"7": b"i08", b"8": b"i07"}) != []


def test_an_item_without_interactions_needs_no_row(store):
    """The catalogue may list items that no user has watched."""
    assert problems_of(store, items=ITEMS | {b"unseen": b'{"title": "Unseen"}'}) == []
