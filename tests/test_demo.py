"""The demo, run as a newcomer runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.alone
def test_demo_shows_every_kind_of_response_and_live_traffic_and_exits_0(tmp_path):
    """One command makes events, serves, sends traffic and publishes a second snapshot."""
    end = subprocess.run(
        [sys.executable, "-m", "benchmarks.scenarios.demo"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(_ROOT), "CI": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert end.returncode == 0, end.stderr
    for source in (
        "200  source list",
        "200  source popular",
        "200  source history",
        "400  source -",
    ):
        assert source in end.stdout
    assert '"status": "ok"' in end.stdout
    assert re.search(r"first answer \d+\.\d s after the start", end.stdout)
    assert re.search(r"requests, success 100 %, p50 .* generation 2 is served", end.stdout)
    for generation in ("000001", "000002"):
        assert (tmp_path / "var/demo/store/snapshots" / generation / "recs.mdb").exists()
    assert re.search(r"fresh lists: [\d,]+ the newest \d+\.\d s old", end.stdout)
    assert re.search(r"personalised .*fresh \d+", end.stdout)
    assert "(100 %) within 600 ms" in end.stdout
    pages = re.findall(r"a page for the browser: (\S+/000002/report\.html)", end.stdout)
    assert len(pages) == 1
    assert (tmp_path / pages[0]).stat().st_size > 10_000
    report = json.loads((tmp_path / "var/demo/live/report.json").read_text())
    assert report["n_failed"] == 0
    assert report["servers"][0]["n_requests"] > 500
    assert (tmp_path / "var/demo/live/events.log").stat().st_size > 100_000
