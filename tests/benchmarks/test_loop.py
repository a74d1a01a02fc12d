"""The feedback loop: a small world, two generations, and the picture."""

import json
import re

from benchmarks.loop.__main__ import main


def test_two_generations_of_a_small_world(tmp_path, capsys):
    """Each figure comes once a generation; the second learns from what the first showed."""
    file = tmp_path / "loop.svg"
    arguments = ["--users", "300", "--items", "80", "--generations", "2", "--rules", "none"]
    assert main([*arguments, "--model", "popularity", "--picture", str(file)]) == 0
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {(figure["metric"], figure["generation"]): figure["value"] for figure in figures}
    assert len(found) == len(figures) == 12
    assert abs(found["uplift", 1]) < 0.5  # the popular list by counted views
    assert found["correlation", 2] != found["correlation", 1]
    assert 0 < found["click_through", 1] < 1
    assert len(re.findall("<polyline", file.read_text())) == 6
