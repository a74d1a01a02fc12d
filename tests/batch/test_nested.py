"""Nested columns: lists become rows, and what cannot is refused by name, row and value."""

from pathlib import Path

import pyarrow as pa
import pytest

from batch.errors import InputError
from batch.events.nested import flatten

NEEDED = {"user_id", "item_id", "rating", "minutes"}


def flat(first_number=1, **columns):
    return flatten(Path("file"), pa.table(columns), first_number, NEEDED.__contains__)


ITEMS = [["a", "b"], None, [], ["c"]]


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.string()),
        pa.list_view(pa.string()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
)
def test_each_element_of_a_list_is_a_row(kind):
    """A row without elements has no rows."""
    found = flat(user_id=[1, 2, 3, 4], item_id=pa.array(ITEMS, kind))
    assert found.table.to_pydict() == {"user_id": [1, 1, 4], "item_id": ["a", "b", "c"]}
    assert found.positions.tolist() == [0, 0, 3]


def test_lists_of_one_row_belong_together():
    """Lists and other nested columns that are not needed are left out."""
    found = flat(
        user_id=[1, 2], item_id=[["a", "b"], ["c"]], rating=[[4, 5], [3]],
        helpful=[[2, 3], [9]], scores=[[], []], product=[{"name": "x"}, None],
    )  # fmt: skip
    assert found.table.to_pylist() == [
        {"user_id": 1, "item_id": "a", "rating": 4},
        {"user_id": 1, "item_id": "b", "rating": 5},
        {"user_id": 2, "item_id": "c", "rating": 3},
    ]


def test_objects_of_a_list_are_rows_with_their_fields():
    """As Steam has them: a user and the played games. An inner field replaces an outer one."""
    games = [[{"item_id": "10", "minutes": 6}, {"item_id": "20", "minutes": 0}], []]
    found = flat(user_id=["u", "v"], minutes=[6, 0], items=games)
    assert found.table.to_pylist() == [
        {"user_id": "u", "item_id": "10", "minutes": 6},
        {"user_id": "u", "item_id": "20", "minutes": 0},
    ]


def test_plain_table_stays_as_it_is():
    found = flat(user_id=[1], item_id=["a"])
    assert found.table.to_pylist() == [{"user_id": 1, "item_id": "a"}]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": [None, {"id": 5}]}, r"column user_id is nested .*: row 12 has {'id': 5}"),
        ({"item_id": [[[1]], [[2]]]}, r"column item_id is nested .*: row 11 has \[1\]"),
        ({"item_id": [["a"], ["b"]], "rating": [[1], [2, 3]]}, "row 12: item_id has 1 .*rating 2"),
        ({"item_id": [[], []], "rating": [[1], []]}, "row 11: item_id has 0 val.*rating 1"),
    ],
)  # fmt: skip
def test_other_nested_columns_are_refused_with_row_and_value(columns, message):
    with pytest.raises(InputError, match=message):
        flat(11, **{"user_id": [1, 2], "item_id": [1, 2], **columns})
