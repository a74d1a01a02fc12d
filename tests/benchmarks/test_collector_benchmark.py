"""The collector's benchmark: what is sent is collected once, and a peer stands beside it."""

import json

from benchmarks.collector import main


def test_nothing_is_lost_and_the_figures_are_there(capsys):
    assert main(["--lines", "3000", "--rounds", "1", "--in-process"]) == 0
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ours = {f["metric"]: f for f in figures if f["subject"] == "marquee"}
    assert (ours["lost"]["value"], ours["twice"]["value"]) == (0, 0)
    assert ours["runs_unlike_the_bulk_parser"]["value"] == 0
    assert ours["lines_per_second"]["value"] > 0
    assert ours["lines_per_second"]["peer"] == "consume-loop"
    assert ours["lost"]["lines"] == 3000
