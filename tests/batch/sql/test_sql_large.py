"""Many events: the lists of a refresh from each database are those from Parquet, byte by byte.

`.ci/campaigns databases` runs this with 5 million events, and shows rates and memory.
"""

import contextlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.events.events import EventCollector
from batch.events.fold import DAY_SECONDS
from batch.events.parsed import Parsed, view_table
from batch.settings import BatchSettings
from batch.sql.connection import connect
from batch.sql.events import open_table
from batch.sql.source import database_inputs
from batch.sql.target import open_target
from batch.sql.url import parse_url
from tests.refreshes import run_refresh

_N_EVENTS = int(os.environ.get("DATABASES_CAMPAIGN") or 0)
_PIECE_ROWS = 1 << 18


@pytest.fixture(scope="session")
def large_views():
    """Views of 5,000 items in 60 days, about 20 a user, each pair once a day."""
    if not _N_EVENTS:
        pytest.skip("many events: run `.ci/campaigns databases`")
    rng = np.random.default_rng(5)
    users = rng.integers(0, _N_EVENTS // 20, _N_EVENTS)
    items = (rng.pareto(0.9, _N_EVENTS) * 3).astype(np.int64) % 5_000
    days = rng.integers(20_400, 20_460, _N_EVENTS)
    key = np.unique((users * 5_000 + items) * 100_000 + days)
    users, items, days = key // 100_000 // 5_000, key // 100_000 % 5_000, key % 100_000
    first_at = days * DAY_SECONDS + rng.integers(0, 80_000, len(key))
    columns = [pa.array(ids).cast(pa.string()) for ids in (users, items)]
    columns += [pa.array(rng.integers(0, 120, len(key))), pa.array(first_at)]
    names = ["user_id", "item_id", "minutes", "first_at", "last_at"]
    table = pa.table([*columns, pa.array(first_at + 3_000)], names=names)
    return table.take(rng.permutation(len(table)))


@pytest.mark.timeout(3600)
def test_lists_of_many_events_are_those_of_parquet(
    database, large_views, settings_file, tmp_path, capsys
):
    """The database lies in the order of its key, the Parquet file in none."""
    pq.write_table(large_views, "views.parquet")
    figures = {"dialect": database.dialect, "rows": len(large_views)}
    opening = open_target(connect(parse_url(database.url), "", creates=True))
    with _timed(figures, "write_seconds"), opening as target:
        for begin in range(0, len(large_views), _PIECE_ROWS):
            piece = large_views.slice(begin, _PIECE_ROWS).columns
            columns = (pa.concat_arrays(column.chunks) for column in piece)
            target.add(Parsed(views=view_table(*columns)))
        target.commit()
    with _timed(figures, "read_seconds"):
        _read(database.url, lambda parsed: None)
    collector = EventCollector()
    with _timed(figures, "read_and_fold_seconds"):
        _read(database.url, collector.add)
    figures["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    made = ("--override-gate", "made data")  # whose best model is popularity
    run_refresh(capsys, "--events", "views.parquet", "--store", "a", *made)
    run_refresh(capsys, "--events", database.url, "--store", "b", *made)
    assert _lists(Path("a")) == _lists(Path("b"))
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(figures)}\n")


@contextlib.contextmanager
def _timed(figures, name):
    """Add the seconds of a block, and its processor seconds, to figures."""
    began = time.monotonic(), time.process_time()
    yield
    now = time.monotonic(), time.process_time()
    figures[name], figures[f"cpu_{name}"] = (
        round(after - before, 2) for after, before in zip(now, began, strict=True)
    )


def _read(url, add):
    for source in database_inputs(url, BatchSettings()):
        for piece in open_table(source).pieces:
            add(piece.parsed)


def _lists(folder):
    return next((folder / "snapshots").iterdir()).joinpath("recs.mdb").read_bytes()
