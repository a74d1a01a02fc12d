"""The latency benchmark measures the real server, and refuses answers of another source."""

import json
import os
import shutil

import pytest

from benchmarks.serving.latency import main
from benchmarks.serving.targets import KINDS, Kind, popular

pytestmark = [
    pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed"),
    pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler is installed"),
    pytest.mark.skipif(
        len(os.sched_getaffinity(0)) < 2, reason="only one core: none is left for the load"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


def run(folder, *options):
    sizes = ["--users", "300", "--items", "400", "--rounds", "1", "--seconds", "1"]
    subject = ["--subject", "marquee-bare", "--folder", str(folder)]
    return main(["--quick", *sizes, *subject, *options])


def test_each_kind_of_request_has_its_figures(capsys, folder):
    """Rising percentiles in nanoseconds, and counts of failures, also for the baseline."""
    status = run(folder, "--kinds", "known,segment")
    output = capsys.readouterr()
    assert status == 0, output.err
    lines = [json.loads(line) for line in output.out.splitlines()]
    fields = {"benchmark", "subject", "metric", "value", "unit", "n_users", "seed", "version"}
    assert [line for line in lines if not fields <= line.keys()] == []
    found = {(line["request"], line["metric"]): line["value"] for line in lines}
    baseline = {"nginx-static"} if shutil.which("nginx") else set()
    assert {request for request, _ in found} == {"known", "segment"} | baseline
    for request in ("known", "segment"):
        times = [found[request, f"{name}_ns"] for name in ("p50", "p99", "p99_9", "max")]
        assert times == sorted(times)
        assert times[0] > 0
        assert found[request, "n_failed"] == 0 < found[request, "n_due"]
    goals = {(line["request"], line["metric"]): line.get("goal") for line in lines}
    assert (goals["known", "p50_ns"], goals["segment", "p99_ns"]) == (200_000, None)


def test_answers_of_another_source_are_refused(capsys, folder, monkeypatch):
    """A popular list in place of one by history gives no figure."""
    monkeypatch.setitem(KINDS, "history", Kind("history", popular))
    assert run(folder, "--kinds", "history") == 1
    output = capsys.readouterr()
    assert "source popular, not history" in output.err
    assert output.out == ""
