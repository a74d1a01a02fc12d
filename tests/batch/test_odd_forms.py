"""Odd inputs of the real data: JSON lines, Parquet of all kinds, users with their items."""

import pytest

from tests.batch.event_files import EventFolder

FIRST_AT, N_EVENTS = 1_600_000_000, 216


@pytest.mark.parametrize(
    ("name", "has_times", "n_rejected"),
    [
        ("events.jsonl", True, 0),
        ("times-ms.parquet", True, 0),
        ("times-ns.parquet", True, 0),
        ("event-time-text.parquet", True, 0),
        ("decimal-ids.parquet", False, 0),
        ("list-column.parquet", False, 0),
        ("one-bad-rating.parquet", False, 1),
        ("user-then-items.txt", False, 0),
    ],
)
def test_odd_input_has_its_users_items_and_times(
    shared_data, tmp_path, name, has_times, n_rejected
):
    """40 users and 30 items with their ids; one row of `one-bad-rating` is rejected."""
    events = EventFolder(tmp_path).read((shared_data / "odd-inputs" / name).read_bytes())
    tables = [table for table in (events.views, events.ratings) if len(table)]
    users, items = (
        {name for table in tables for name in table[column].to_pylist()}
        for column in ("user_id", "item_id")
    )
    assert users == {str(user) for user in range(1, 41)}
    assert items == {str(item) for item in range(100, 130)}
    assert sum(map(len, tables)) == N_EVENTS - n_rejected
    assert sum(source.n_rejected for source in events.sources) == n_rejected
    times = [
        at
        for table in tables
        for at in table["at" if "at" in table.column_names else "first_at"].to_pylist()
    ]
    assert (min(at or 0 for at in times) == FIRST_AT) if has_times else not any(times)
