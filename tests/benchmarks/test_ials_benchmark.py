"""The benchmark of iALS runs, and its figures have the fields that programs read."""

import importlib.util
import json

import numpy as np
import pytest

from batch.models.factors import Factors
from benchmarks import ials


def figures(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [json.loads(line) for line in lines]


def test_every_subject_has_its_figures(capsys):
    """Times, the objective and whether the bits are the same, with their inputs."""
    assert ials.main(["--quick"]) == 0
    lines = figures(capsys)
    fields = {"benchmark", "subject", "metric", "value", "unit", "data", "factors", "seed"}
    assert [line for line in lines if not fields <= line.keys()] == []
    for subject in ("marquee", "als"):
        metrics = {line["metric"] for line in lines if line["subject"] == subject}
        assert {"train_seconds_2_threads", "processor_seconds", "same_bits"} <= metrics
    ratios = {line["peer"]: line["ratio"] for line in lines if "peer" in line}
    assert ratios["als"] > 0


def test_a_missing_peer_is_reported_as_skipped(capsys, monkeypatch):
    """Without irspack the others are measured."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert ials.main(["--quick"]) == 0
    found = capsys.readouterr()
    assert "irspack SKIPPED" in found.err
    assert '"marquee"' in found.out
    assert '"irspack"' not in found.out


def test_other_bits_on_two_threads_give_exit_status_1(capsys, monkeypatch):
    """Factors that depend on the number of threads are reported."""

    def train(weights, n_factors, n_threads):
        users, items = (np.full((n, n_factors), n_threads, np.float32) for n in weights.shape)
        return Factors(users, items)

    monkeypatch.setattr(ials, "_marquee", train)
    assert ials.main(["--quick"]) == 1
    same = {x["subject"]: x["value"] for x in figures(capsys) if x["metric"] == "same_bits"}
    assert same["marquee"] == 0
    assert same["als"] == 1


@pytest.mark.parametrize("scale", [0.9, 1.1])
def test_the_objective_is_lowest_at_the_trained_factors(scale):
    """Factors a tenth longer or shorter have a larger one."""
    weights = next(ials._data(None, quick=True))[1]
    factors = ials._marquee(weights, 8, 1)
    scaled = Factors(*(np.float32(scale) * side for side in factors))
    assert ials._objective(scaled, weights) > ials._objective(factors, weights)
