"""The rating model in a refresh: its tables in the snapshot, and the effect of bad ratings."""

import gzip
import json
from pathlib import Path

import pytest

from batch.__main__ import main
from store.check import broken_records
from store.snapshot import open_factors, open_snapshot
from tests.histories import write_history

TABLES = ("biases", "rating_users", "rating_items")


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_history(tmp_path / "history", n_users=150)


def refreshed(capsys, store, events, *more):
    """Refresh and return the summary, the manifest's metrics and the model's tables."""
    assert main(["refresh", "--json", "--events", str(events), "--store", str(store), *more]) == 0
    summary = json.loads(capsys.readouterr().out)
    with open_snapshot(Path(store), summary["generation"]) as snapshot:
        assert list(broken_records(snapshot)) == []
        with open_factors(snapshot) as env:
            tables = {}
            for name in TABLES:
                with env.begin(db=env.open_db(name.encode(), create=False)) as txn:
                    tables[name] = dict(txn.cursor())
        return summary, snapshot.manifest.metrics, tables


def rated_in(path):
    pairs = [line.split(",") for line in path.read_text().splitlines() if "GET /rate/" in line]
    users = {user.encode() for _, user, _ in pairs}
    return users, {what.split("/")[2].split("=")[0].encode() for *_, what in pairs}


def test_exactly_rated_users_and_items_have_bias_and_factors(history, tmp_path, capsys):
    """The scale is in the tables, and the errors are in the manifest."""
    known = ("--catalogue", str(history.catalogue))  # without one, films of one user are dropped
    _, metrics, tables = refreshed(capsys, tmp_path / "store", history.events, *known)
    users, items = rated_in(history.events)
    assert 0 < len(users) < 150, "some users must have no ratings"
    assert (set(tables["rating_users"]), set(tables["rating_items"])) == (users, items)
    biases = {b"u/" + name for name in users} | {b"i/" + name for name in items}
    assert set(tables["biases"]) == biases | {b"mean", b"scale"}
    assert tables["biases"][b"scale"] == b"1 5"
    assert {len(vector) for vector in tables["rating_users"].values()} == {4 * 8}
    assert 1 < metrics["rating_rmse"] < 2, (
        "uniform ratings from 1 to 5 have a standard deviation of 1.41"
    )
    assert metrics["rating_mae"] < metrics["rating_rmse"]


def test_without_ratings_the_tables_are_empty(history, tmp_path, capsys):
    """The manifest has no metric of the rating model."""
    views = tmp_path / "views.log"
    lines = history.events.read_text().splitlines(keepends=True)
    views.write_text("".join(line for line in lines if "GET /rate/" not in line))
    _, metrics, tables = refreshed(capsys, tmp_path / "store", views)
    assert tables == {name: {} for name in TABLES}
    assert not [name for name in metrics if name.startswith("rating_")]


def test_number_of_factors_is_a_setting(history, tmp_path, capsys):
    """With 0 factors a vector has no bytes, and the model has biases alone."""
    for n_factors in (0, 3):
        config = tmp_path / "few.toml"
        config.write_text(f"[batch]\nn_rating_factors = {n_factors}\n")
        *_, tables = refreshed(
            capsys, tmp_path / f"store{n_factors}", history.events, "--config", str(config)
        )
        assert {len(vector) for vector in tables["rating_items"].values()} == {4 * n_factors}


def test_too_many_factors_are_refused(history, tmp_path, capsys):
    """Memory grows with their square, so the setting has a maximum."""
    config = tmp_path / "many.toml"
    config.write_text("[batch]\nn_rating_factors = 33\n")
    command = ["refresh", "--events", str(history.events), "--config", str(config)]
    assert main(command) == 1
    assert "n_rating_factors must lie between 0 and 32, not 33" in capsys.readouterr().err


def test_scale_starts_at_half_a_star(tmp_path, monkeypatch, capsys):
    """Ratings of MovieLens start at 0.5, and so may predictions."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ratings.csv"
    rows = [f"{u},{i},{0.5 * (1 + (u * i) % 10)},{u}\n" for u in range(1, 40) for i in range(1, 20)]
    path.write_text("userId,movieId,rating,timestamp\n" + "".join(rows))
    *_, tables = refreshed(capsys, tmp_path / "store", path)
    assert tables["biases"][b"scale"] == b"0.5 5"


@pytest.mark.parametrize("rating", ["nan", "inf", "-inf", "-3", "1e30", "999", "0", "five"])
def test_bad_ratings_are_counted_and_change_no_byte_of_the_model(
    tmp_path, monkeypatch, capsys, rating
):
    monkeypatch.chdir(tmp_path)
    sound = [f"{u}\t{i}\t{1 + (u + i) % 5}\t{u}\n" for u in range(60) for i in range(u % 2, 30, 2)]
    bad = [f"{u}\t{(u + 1) % 2}\t{rating}\t9\n" for u in range(5)]
    (tmp_path / "sound").write_text("".join(sound))
    (tmp_path / "mixed.gz").write_bytes(gzip.compress("".join(sound + bad).encode()))
    _, _, expected = refreshed(capsys, tmp_path / "a", tmp_path / "sound")
    summary, _, tables = refreshed(capsys, tmp_path / "b", tmp_path / "mixed.gz")
    assert tables == expected
    assert sum(summary["rejected"].values()) + sum(summary["dropped"].values()) == 5
