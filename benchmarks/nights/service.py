"""The service whose nights are lived: its configuration, its events, its first snapshot."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.processes import clean_environment
from benchmarks.nights.plan import FETCH_AT, REFRESH_AT, ZONE

CONFIG: Final = Path("marquee.toml")
STORE: Final = Path("var/store")
LANDING: Final = Path("landing")  # folder of batches of events
_POST: Final = """
import os, urllib.request
name, level = os.environ["MARQUEE_ALARM_NAME"], os.environ["MARQUEE_ALARM_LEVEL"]
night = open("fault").read().partition(" ")[0]
text = f"{{night}} {{name}}{{'' if level != '0' else ' over'}}"
urllib.request.urlopen({url!r}, data=text.encode())
"""
_SETTINGS: Final = """\
[batch]
model = "popularity"
events = ["events"]
catalogue = ["catalogue.jsonl"]

[cron]
timezone = "{zone}"
at = "{refresh_at}"

[notify]
command = {command}
min_free_mib = 0.001

[cron.jobs.fetch]
enabled = true
command = {fetch}
at = "{fetch_at}"
timeout_minutes = 0.1
nice = 0
retries = 1
retry_minutes = 60

[cron.jobs.refresh]
command = {refresh}
retries = 1
retry_minutes = 60
memory_mib = 3000
nice = 0
data = ["landing"]
data_mib = 1

[cron.jobs.verify]
enabled = true
nice = 0
"""


def make_service(folder: Path, url: str) -> None:
    """Make the events, the configuration and a first snapshot of a service.

    Args:
        folder: Directory of the service, empty.
        url: URL to which messages are posted.

    Raises:
        BenchmarkError: A command failed.
    """
    job = [sys.executable, "-m", "benchmarks.nights.job"]
    values = {
        "zone": ZONE,
        "fetch_at": FETCH_AT,
        "refresh_at": REFRESH_AT,
        "command": json.dumps([sys.executable, "-c", _POST.format(url=url)]),
        "fetch": json.dumps([*job, "fetch", str(CONFIG)]),
        "refresh": json.dumps([*job, "refresh", str(CONFIG)]),
    }
    (folder / CONFIG).write_text(_SETTINGS.format(**values))
    (folder / LANDING).mkdir()
    for command in (
        ["benchmarks.simulator", "history", "--users", "500", "--items", "100", "--out", "."],
        ["batch", "refresh"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, env=clean_environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise BenchmarkError(command[0], done.stderr.strip()[-400:], "see its message")
