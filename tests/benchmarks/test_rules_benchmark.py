"""The benchmark of the rules runs on simulated data, and its figures show each rule's effect."""

import json
from collections import defaultdict

import numpy as np
import pytest

from benchmarks import rules as benchmark

METRICS = {
    "ndcg", "recall", "coverage", "novelty", "genre_likeness", "top_share", "drama", "cost",
    "adult_to_minors", "short_lists", "ndcg_minus_none",
}  # fmt: skip
SUBJECTS = {
    "none",
    "no adult titles to minors",
    "cost 0.3",
    "diversity 0.3",
    "explore 3, 80 spares",
    "cap 0.1",
}
TIMES = {"seconds_per_100k_users", "cpu_seconds_per_100k_users"}


@pytest.fixture
def figures(monkeypatch, capsys):
    """Values of a quick run without real data, by subject and metric."""
    monkeypatch.delenv("MARQUEE_SHARED_DATA", raising=False)
    assert benchmark.main(["--quick"]) == 0
    output = capsys.readouterr()
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for line in map(json.loads, output.out.splitlines()):
        assert {"benchmark", "subject", "metric", "value", "unit", "seed", "python"} <= line.keys()
        found[line["subject"]][line["metric"]] = line["value"]
    for subject in SUBJECTS:
        assert f"| {subject} " in output.err
    return found


def test_every_rule_has_its_effect(figures):
    """Every rule changes its own metric, and every metric is printed for every rule."""
    assert figures.keys() == SUBJECTS
    assert all(found.keys() >= METRICS for found in figures.values())
    none = figures["none"]
    assert figures["no adult titles to minors"]["adult_to_minors"] == 0
    assert figures["cost 0.3"]["cost"] < 0.9 * none["cost"]
    assert figures["diversity 0.3"]["genre_likeness"] < 0.8 * none["genre_likeness"]
    assert figures["explore 3, 80 spares"]["coverage"] > none["coverage"]
    assert figures["cap 0.1"]["top_share"] <= 0.1 < none["top_share"]
    assert none["ndcg_minus_none"] == 0 < none["ndcg"]
    timed = SUBJECTS - {"no adult titles to minors"}
    assert all(figures[subject][name] > 0 for subject in timed for name in TIMES)


@pytest.mark.parametrize(
    ("lists", "similarity"),
    [([[0, 1]], 1.0), ([[0, 2]], 0.0), ([[0, 1, 2]], 1 / 3), ([[0, 1], [0, -1]], 0.5)],
    ids=["same genre", "different genres", "two of three", "short"],
)
def test_genre_similarity_is_a_mean_over_pairs(lists, similarity):
    """Items 0 and 1 have one genre, item 2 has another."""
    vectors = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert benchmark._genre_similarity(np.array(lists, np.int32), vectors) == pytest.approx(
        similarity
    )
