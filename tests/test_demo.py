"""`make demo`'s program, run as a newcomer runs it."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def test_the_demo_shows_every_kind_of_answer_and_ends_cleanly(tmp_path):
    """From simulated events to answers, in one command that exits 0."""
    end = subprocess.run(
        [sys.executable, "-m", "benchmarks.demo"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(_ROOT)},
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
    assert (tmp_path / "var/demo/store/snapshots/000001/recs.mdb").exists()
