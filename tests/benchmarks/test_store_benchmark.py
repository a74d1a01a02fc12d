"""The benchmark of the store runs, and its figures have the fields that programs read."""

import json
import shutil

import pytest

from benchmarks.store.__main__ import main
from benchmarks.store.data import choose_keys, make_records


def figures(capsys, folder, *more):
    arguments = ["--quick", "--users", "2000", "--folder", str(folder), *more]
    assert main(arguments) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_figure_has_its_inputs(capsys, tmp_path):
    """Each line holds benchmark, subject, metric, value and unit, inputs, seed and versions."""
    lines = figures(capsys, tmp_path)
    fields = {"benchmark", "subject", "metric", "value", "unit", "n_users", "seed", "version"}
    assert [line for line in lines if not fields <= line.keys()] == []
    assert {(line["benchmark"], line["n_users"]) for line in lines} == {("store", 2000)}
    assert [line for line in lines if line["value"] <= 0] == []


@pytest.mark.parametrize("metric", ["lists_per_second", "lookups_per_second", "open_seconds"])
def test_marquee_is_compared_with_every_peer(capsys, tmp_path, metric):
    """One line per installed peer, with the ratio."""
    lines = [line for line in figures(capsys, tmp_path) if line["metric"] == metric]
    ratios = {line["peer"]: line["ratio"] for line in lines if line["subject"] == "marquee"}
    redis = {"redis", "redis-unpinned"} if shutil.which("redis-server") else set()
    assert ratios.keys() == {"sqlite", "pickle"} | redis
    assert all(ratio > 0 for ratio in ratios.values())


def test_a_missing_peer_is_reported_as_skipped(capsys, tmp_path, monkeypatch):
    """--quick installs nothing, reports the missing peer, and measures the others."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["--quick", "--users", "2000", "--folder", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert "redis SKIPPED" in output.err
    subjects = {json.loads(line)["subject"] for line in output.out.splitlines()}
    assert subjects == {"marquee", "sqlite", "pickle"}


def test_nothing_is_left_behind(capsys, tmp_path):
    """Files, sockets and servers are removed at the end of each round."""
    figures(capsys, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_records_are_sorted_and_as_long_as_real_ones():
    """Keys are sorted by bytes; a list has 20 different items and about 550 bytes."""
    records = make_records(2000, seed=1)
    keys = [key for key, _ in records]
    assert keys == sorted(set(keys))
    assert {len(set(body.split(b","))) for _, body in records} == {20}
    assert 500 < sum(len(body) for _, body in records) / len(records) < 600
    assert set(choose_keys(records, 100, seed=2)) <= set(keys)


def test_a_seed_determines_the_records():
    """The same seed gives the same records, another seed gives others."""
    assert make_records(100, seed=1) == make_records(100, seed=1) != make_records(100, seed=2)
