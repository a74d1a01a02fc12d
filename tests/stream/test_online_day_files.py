"""The files that online figures are computed from, beside a collector, which folds and removes."""

import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.events.parsed import VIEWS
from batch.events.readers import make_lock, without_readers
from stream.online.events import DayFiles

DAY = datetime.date(2026, 1, 5)


@pytest.fixture
def events(tmp_path):
    """One view in the partition of a day, below the lock of a collector."""
    row = {"user_id": "u", "item_id": "i", "minute": 1, "n_events": 1, "first_at": 0, "last_at": 0}
    path = tmp_path / "views" / f"date={DAY}" / f"views-{DAY}.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([row], schema=VIEWS), path)
    make_lock(tmp_path)
    return tmp_path


def may_fold(folder):
    with without_readers(folder) as is_free:
        return is_free


def test_the_collector_removes_no_file_while_they_are_read(events):
    """Before and afterwards it may; and files are listed while it may not."""
    files = DayFiles(events)
    assert files.days("views") == []
    assert may_fold(events)
    with files:
        assert files.days("views") == [(DAY - datetime.date(1970, 1, 1)).days]
        assert not may_fold(events)
    assert may_fold(events)
