"""Data that is valid line by line but unusual as a whole: the refresh publishes full lists."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from store.check import broken_records
from store.snapshot import open_snapshot
from tests.histories import History, write_history


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    monkeypatch.chdir(tmp_path)
    return write_history(tmp_path / "history")


def refresh(capsys, *events: object, catalogue: object) -> tuple[int, dict[str, Any], str]:
    arguments = ["--events", *events, "--catalogue", catalogue, "--store", "store", "--json"]
    status = main(["refresh", *map(str, arguments)])
    output = capsys.readouterr()
    return status, json.loads(output.out) if output.out else {}, output.err


def lists() -> dict[str, list[str]]:
    with open_snapshot(Path("store"), 1) as snapshot:
        assert list(broken_records(snapshot)) == []
        return {user.decode(): body.decode().split(",") for user, body in snapshot.users}


def test_a_user_of_100_000_views_is_one_user(history, tmp_path, capsys):
    """A user who has seen all but five films, each many times, has a list of those five."""
    items = sorted(set().union(*history.seen.values()))
    flood = tmp_path / "flood.log"
    flood.write_text(
        "".join(
            f"2026-03-05T10:00,7,GET /data/m/{items[n % (len(items) - 5)]}/{n % 90}.mpg\n"
            for n in range(100_000)
        )
    )
    status, summary, error = refresh(capsys, history.events, flood, catalogue=history.catalogue)
    assert status == 0, error
    served = lists()
    assert set(served["7"]) == set(items[-5:])
    assert {len(body) for user, body in served.items() if user != "7"} == {20}
    assert summary["n_users"] == len(history.seen) + 1


def test_one_item_with_nearly_all_views_is_not_in_every_list(history, tmp_path, capsys):
    """500 users who all watched one film have full lists without it."""
    flood = tmp_path / "flood.log"
    film = sorted(history.item_ids)[0]
    flood.write_text(
        "".join(f"2026-03-05T10:00,{9000 + n},GET /data/m/{film}/5.mpg\n" for n in range(500))
    )
    status, summary, error = refresh(capsys, history.events, flood, catalogue=history.catalogue)
    assert status == 0, error
    served = lists()
    viewers = [served[str(9000 + n)] for n in range(500)]
    assert all(len(body) == 20 and film not in body for body in viewers)
    assert summary["gate"]["result"] == "passed"


def test_invalid_minutes_are_rejected_row_by_row(tmp_path, history, capsys):
    """Rows of a Parquet file with NaN, negative or infinite minutes are rejected, others used."""
    items = sorted(history.item_ids)
    minutes = np.tile([np.nan, -1.0, np.inf, *[30.0] * 97], 10)
    rows = len(minutes)
    pq.write_table(
        pa.table(
            {
                "user_id": [str(100 + 7 * (n % 60)) for n in range(rows)],
                "item_id": [items[n % 73] for n in range(rows)],
                "minutes": minutes,
            }
        ),
        tmp_path / "views.parquet",
    )
    status, summary, error = refresh(
        capsys, tmp_path / "views.parquet", catalogue=history.catalogue
    )
    assert status == 0, error
    assert sum(summary["rejected"].values()) == 30
    assert set(summary["rejected"]) == {"malformed minute"}
    assert lists()


def test_a_catalogue_without_runtimes_still_weighs_views(history, tmp_path, capsys):
    """A runtime that is missing, null, 0, negative or text is unknown; the lists are full."""
    invalid: list[dict[str, object]] = [
        {},
        {"runtime": None},
        {"runtime": 0},
        {"runtime": "long"},
        {"runtime": -90},
    ]
    catalogue = tmp_path / "catalogue.jsonl"
    catalogue.write_text(
        "".join(
            json.dumps({"id": item, "title": item} | invalid[n % len(invalid)]) + "\n"
            for n, item in enumerate(sorted(history.item_ids))
        )
    )
    status, _, error = refresh(capsys, history.events, catalogue=catalogue)
    assert status == 0, error
    assert {len(body) for body in lists().values()} == {20}


def test_ratings_off_the_scale_are_dropped(history, tmp_path, capsys):
    """Ratings of 0 and of a million are counted and dropped; users with only those have no list."""
    film, *_ = sorted(history.item_ids)
    off_scale = tmp_path / "off_scale.log"
    off_scale.write_text(
        "".join(
            f"2026-03-05T10:00,{user},GET /rate/{film}={rating}\n"
            for user, rating in ((8001, 0), (8002, 1_000_000), (8003, 11))
        )
    )
    status, summary, error = refresh(capsys, history.events, off_scale, catalogue=history.catalogue)
    assert status == 0, error
    assert summary["dropped"] == {"rating off the scale": 3}
    assert {"8001", "8002", "8003"}.isdisjoint(lists())
