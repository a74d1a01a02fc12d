"""The benchmark of freshness runs with the real server and the real speed layer."""

import json

from benchmarks.freshness import main


def test_a_tiny_run_prints_seconds_and_uplift(capsys):
    """The programs that read it find both metrics, of the subject `marquee`."""
    sizes = {"users": 600, "items": 120, "evaluated": 30, "segments": 2, "views": 40}
    options = [part for name, n in sizes.items() for part in (f"--{name}", str(n))]
    assert main([*options, "--model", "popularity"]) == 0
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    values = {one["metric"]: one["value"] for one in figures}
    assert {one["subject"] for one in figures} == {"marquee"}
    assert 0 < values["seconds_p50"] <= values["seconds_p99"] < 30
    assert -1 <= values["uplift_gain"] <= 1
