"""Nested columns: lists become rows, and what cannot is refused by name, row and value."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from batch.errors import InputError
from batch.events.nested import flatten, plan_flat


def flat(given=None, **columns):
    """Return the columns by role, and the positions of their origins."""
    table = pa.table(columns)
    plan = plan_flat("file", table.schema, given or {})
    found = flatten(Path("file"), table, 11 + np.arange(len(table)), plan)
    return {role: column.to_pylist() for role, column in found.columns.items()}, [*found.positions]


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
@pytest.mark.parametrize("name", ["item_id", "items", "movies"])
def test_each_element_of_a_list_is_a_row(kind, name):
    """A row without elements has no rows; a list may have the plural of the name."""
    columns, positions = flat(user_id=[1, 2, 3, 4], **{name: pa.array(ITEMS, kind)})
    assert columns == {"user": [1, 1, 4], "item": ["a", "b", "c"]}
    assert positions == [0, 0, 3]


def test_lists_of_one_row_belong_together():
    """Lists and other nested columns that are not needed are left out."""
    columns, _ = flat(
        user_id=[1, 2], item_id=[["a", "b"], ["c"]], rating=[[4, 5], [3]],
        helpful=[[2, 3], [9]], scores=[[], []], person=[{"name": "x"}, None],
    )  # fmt: skip
    assert columns == {"user": [1, 1, 2], "item": ["a", "b", "c"], "rating": [4, 5, 3]}


def test_objects_of_a_list_are_rows_with_their_fields():
    """As Steam has them: a user and the played games. An inner field replaces an outer one."""
    games = [[{"item_id": "10", "minutes": 6}, {"item_id": "20", "minutes": 0}], []]
    columns, positions = flat(user_id=["u", "v"], minutes=[6, 0], items=games, items_count=[2, 0])
    assert columns == {"user": ["u", "u"], "item": ["10", "20"], "minutes": [6, 0]}
    assert positions == [0, 0]


def test_objects_are_not_needed_where_the_row_has_all():
    columns, _ = flat(user_id=["u"], item_id=["10"], images=[[{"item": "x"}, {"item": "y"}]])
    assert columns == {"user": ["u"], "item": ["10"]}


def test_given_columns_may_be_lists():
    columns, _ = flat({"user": "who", "item": "what"}, who=["u"], what=[["a", "b"]])
    assert columns == {"user": ["u", "u"], "item": ["a", "b"]}


def test_plain_table_stays_as_it_is():
    assert flat(user_id=[1], item_id=["a"]) == ({"user": [1], "item": ["a"]}, [0])


def test_later_rows_may_lack_columns():
    """Of JSON, a block may have no value of a column, or no list at all."""
    plan = plan_flat("file", pa.table({"user": [1], "items": [["a"]], "rating": [3]}).schema, {})
    later = pa.table({"user": [2, 3], "items": pa.array([["b"], None])})
    found = flatten(Path("file"), later, np.arange(2), plan)
    assert [column.to_pylist() for column in found.columns.values()] == [[2], ["b"], [None]]
    none = flatten(Path("file"), pa.table({"user": [2]}), np.arange(1), plan)
    assert none.columns["item"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": [None, {"id": 5}]}, r"column user_id is nested .*: row 12 has {'id': 5}"),
        ({"item_id": [[[1]], [[2]]]}, r"column item_id is nested .*: row 11 has \[1\]"),
        ({"item_id": [["a"], ["b"]], "rating": [[1], [2, 3]]}, "row 12: item_id has 1 .*rating 2"),
        ({"item_id": [[], []], "rating": [[1], []]}, "row 11: item_id has 0 val.*rating 1"),
        ({"item_id": pa.nulls(2), "user_id": pa.nulls(2, pa.struct({"a": pa.int8()}))}, "nested"),
        ({"item_id": None, "things": [[{"x": 1}], []]}, "no column of items"),
    ],
)
def test_other_nested_columns_are_refused_with_row_and_value(columns, message):
    table = {"user_id": [1, 2], "item_id": [1, 2], **columns}
    with pytest.raises(InputError, match=message):
        flat(**{name: column for name, column in table.items() if column is not None})
