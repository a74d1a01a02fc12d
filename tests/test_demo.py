"""`make demo`'s program, run as a newcomer runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def test_the_demo_shows_every_kind_of_answer_and_live_users_and_ends_cleanly(tmp_path):
    """From simulated events to clicks and a second snapshot, in one command that exits 0."""
    end = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(_ROOT), "CI": "1"},
        capture_output=True,
        text=True,
        timeout=100,
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
    for generation in ("000001", "000002"):
        assert (tmp_path / "var/demo/store/snapshots" / generation / "recs.mdb").exists()
    assert "(100 %) within 600 ms" in end.stdout
    report = json.loads((tmp_path / "var/demo/live/report.json").read_text())
    assert report["n_failed"] == 0
    assert report["servers"][0]["n_requests"] > 500
    assert (tmp_path / "var/demo/live/events.log").stat().st_size > 100_000
