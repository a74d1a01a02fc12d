"""The benchmark of freshness runs with the real server and the real speed layer."""

import json

from benchmarks.freshness.__main__ import main


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


def test_hours_with_and_without_the_speed_layer(capsys):
    """Half an hour: the same requests twice; what users watch is the same only before any view."""
    options = [
        "--hours",
        "0.2",
        "--users",
        "300",
        "--items",
        "60",
        "--requests",
        "10",
        "--model",
        "ials",
    ]
    assert main(options) == 0
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    values = {(one["requests_of"], one["metric"]): one for one in figures}
    assert 0 < values["all", "click_through"]["low"] < values["all", "click_through"]["high"] < 1
    first, last = (values[f"minutes {part}", "uplift_gain"] for part in ("0 to 3", "9 to 12"))
    assert first["value"] != last["value"] != 0
    of_new = [one["requests"] for one in figures if one["requests_of"] == "new users of 1 views"]
    assert of_new[0] > 0
    assert ("new users of 1 views", "click_through_without") not in values
