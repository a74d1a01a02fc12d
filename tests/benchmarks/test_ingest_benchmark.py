"""The benchmark of the ingest: all subjects produce the same rows from a simulated log."""

import json
import subprocess
import sys


def test_all_subjects_agree_and_are_measured():
    """A log that a peer reads differently would make the benchmark fail."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    speeds = {f["subject"] for f in figures if f["metric"] == "lines_per_cpu_second"}
    assert speeds == {"marquee", "marquee-4x", "python-re", "pandas"}
    assert all(figure["value"] > 0 for figure in figures)
