"""The nightly refresh as a DAG of Airflow 3, in the place of `python -m cron`.

    new_events ─► refresh ─► served
    a sensor      the gate    a sensor: the server answers from the new generation
                  decides

Marquee lies on the worker's machine, in the directory that the Airflow variable `marquee_dir`
names; `marquee_url` is the address of its server. A snapshot that the gate refused fails the
run at once: the same events would be refused again. Any other failure is tried again.
"""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

from airflow.sdk import Variable, dag, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

_REFUSED = 3  # exit status of a refresh whose snapshot the gate refused


def _folder() -> Path:
    return Path(Variable.get("marquee_dir", default="/srv/marquee"))


@dag(
    schedule="30 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    tags=["marquee"],
)
def marquee_refresh() -> None:
    """Publish new lists once there are new events."""

    @task.sensor(poke_interval=300, timeout=6 * 3600, mode="reschedule")
    def new_events() -> bool:
        """Whether a file of events is newer than the current snapshot."""
        events, current = _folder() / "var/events", _folder() / "var/store/CURRENT"
        files = (file for file in events.rglob("*") if file.is_file())
        newest = max((file.stat().st_mtime for file in files), default=0.0)
        return newest > (current.stat().st_mtime if current.exists() else 0.0)

    @task(retries=3, retry_delay=timedelta(minutes=30), execution_timeout=timedelta(hours=4))
    def refresh() -> None:
        """Run the refresh, and fail as the gate or the refresh does."""
        command = [_folder() / ".venv/bin/python", "-m", "batch", "refresh"]
        status = subprocess.run(command, cwd=_folder(), check=False).returncode
        if status == _REFUSED:
            raise AirflowFailException("the gate refused the snapshot; the old one is served")
        if status:
            raise AirflowException(f"the refresh ended with exit status {status}")

    @task.sensor(poke_interval=5, timeout=600)
    def served() -> bool:
        """Whether the server answers from the current generation."""
        url = Variable.get("marquee_url", default="http://127.0.0.1:8080")
        with urlopen(f"{url}/model/status", timeout=10) as answer:  # noqa: S310 an http address
            generation = json.load(answer)["generation"]
        return bool(generation == int((_folder() / "var/store/CURRENT").read_text()))

    new_events() >> refresh() >> served()


marquee_refresh()
