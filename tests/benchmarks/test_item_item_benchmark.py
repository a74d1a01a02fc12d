"""The benchmark of item–item models runs, and its figures have the fields that programs read."""

import json

from benchmarks.item_item import MODELS, main


def test_every_model_has_four_figures_with_their_inputs(capsys):
    """And the lists of item_knn are those of implicit."""
    assert main(["--users", "150", "--items", "80", "--views", "3000"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    metrics = {"training_seconds", "lists_seconds", "one_user_ms", "peak_mib"}
    assert {(line["subject"], line["metric"]) for line in lines} == {
        (model, metric) for model in MODELS for metric in metrics
    }
    assert all(line["value"] > 0 and line["users"] == 150 for line in lines)
    assert [(line["subject"], line["differing"]) for line in lines if "ratio" in line] == [
        ("item_knn", 0)
    ]
