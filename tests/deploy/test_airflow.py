"""The DAG, run by a real Airflow beside a real server."""

import os
import shutil
import subprocess

import pytest

from tests.deploy.files import DEPLOY
from tests.deploy.small_marquee import make_marquee, write_events
from tests.serve.server import Server

_DAG = "marquee_refresh"


@pytest.fixture
def airflow(tmp_path, marquee):
    """Run a command of an Airflow with a database of its own; return status and output."""
    program = shutil.which("airflow")
    if program is None:
        pytest.skip("airflow is not installed: `.ci/campaigns deploy` installs it")
    folder, server = marquee
    environ = {
        **{key: text for key, text in os.environ.items() if not key.startswith("MARQUEE_")},
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DEPLOY / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_VAR_MARQUEE_DIR": str(folder),
        "AIRFLOW_VAR_MARQUEE_URL": f"http://{server.host}:{server.port}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(*arguments):
        done = subprocess.run(
            [program, *arguments], env=environ, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    status, text = run("db", "migrate")
    assert status == 0, text
    return run


@pytest.fixture
def marquee(tmp_path):
    """A directory as the DAG expects it, and a server of its empty store."""
    make_marquee(folder := tmp_path / "marquee")
    with Server(folder / "var" / "store", tmp_path, "--workers", "1") as server:
        yield folder, server


def test_a_run_publishes_and_a_refused_snapshot_fails_the_run(airflow, marquee):
    """New events are published and served; then most users are gone, and the gate refuses."""
    folder, server = marquee
    write_events(folder, n_users=120)
    status, text = airflow("dags", "test", _DAG, "2026-11-26")
    assert status == 0, text
    assert (folder / "var" / "store" / "CURRENT").read_text().strip() == "1"
    assert server.get("/recommend/u7").source == "list"

    write_events(folder, n_users=40)
    status, text = airflow("dags", "test", _DAG, "2026-11-27")
    assert status != 0
    assert "the gate refused the snapshot" in text
    assert "up_for_retry" not in text
    assert (folder / "var" / "store" / "CURRENT").read_text().strip() == "1"
