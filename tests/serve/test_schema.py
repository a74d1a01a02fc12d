"""The server against its own description: Schemathesis makes up requests and checks answers."""

import re
import subprocess
import sys

import pytest

from tests.serve.running import Server
from tests.snapshots import make_snapshot

TOKEN = "correct-horse-battery-staple"
N_EXAMPLES = 15  # of each operation and phase, besides those that are enumerated
SEED = 42
BJOERNS_OWN = (
    "unsupported_method"  # bare, its parser says 400 to a method that it has never heard of
)


@pytest.fixture(params=[False, True], ids=["bare", "front"])
def server(request, tmp_path):
    """Behind nginx with the token, so that `/admin/` is tried, too; bare without."""
    refused_by_bjoern = [] if request.param else [BJOERNS_OWN]
    make_snapshot(
        tmp_path / "store",
        {"12345": ["casablanca+1942"]},
        ["diva+1981", "alien+1979"],
        similar={"casablanca+1942": ["diva+1981"]},
        vectors={"casablanca+1942": [1.0, 0.0], "diva+1981": [0.0, 1.0]},
    )
    token = {"MARQUEE_SERVE_ADMIN_TOKEN": TOKEN} if request.param else {}
    options = "--workers", "2"
    with Server(tmp_path / "store", tmp_path, *options, front=request.param, **token) as running:
        running.wait_for_generation(1)
        running.left_out = refused_by_bjoern
        yield running


def test_the_server_does_what_its_description_says(server, tmp_path):
    """No failed check of any kind, no server error, nothing undocumented; and no worker died."""
    workers = server.workers()
    address = f"http://{server.host}:{server.port}"
    options = [
        f"--header=Authorization: Bearer {TOKEN}",
        "--checks=all",
        *(f"--exclude-checks={check}" for check in server.left_out),
        f"--max-examples={N_EXAMPLES}",
        f"--seed={SEED}",
        "--generation-database=none",
        "--no-color",
        "--continue-on-failure",
    ]
    command = [sys.executable, "-m", "schemathesis.cli", "run", *options, f"{address}/openapi.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"Tested: (\d+)", done.stdout)[1]) >= 17  # 23 with those of `/admin/`
    assert server.workers() == workers
