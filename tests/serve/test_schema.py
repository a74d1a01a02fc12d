"""The server against its own description: Schemathesis generates requests and checks answers."""

import re
import subprocess
import sys

import pytest

from tests.serve.server import Server
from tests.snapshots import make_snapshot

TOKEN = "correct-horse-battery-staple"
N_EXAMPLES = 15  # of each operation and phase, besides those that are enumerated
SEED = 42
pytestmark = pytest.mark.alone
# Bare, bjoern's parser disconnects at a method that it cannot parse, such as QUERY: the answer may
# be lost in the reset. Only methods that it parses are tried there.
BARE_CONFIGURATION = """
[phases.coverage]
unexpected-methods = ["get", "put", "post", "delete", "options", "patch", "trace"]
"""


@pytest.fixture(params=[False, True], ids=["bare", "nginx"])
def server(request, tmp_path):
    """Behind nginx with a token, which adds `/admin/`, and bare without one."""
    make_snapshot(
        tmp_path / "store",
        {"12345": ["casablanca+1942"]},
        ["diva+1981", "alien+1979"],
        similar={"casablanca+1942": ["diva+1981"]},
        vectors={"casablanca+1942": [1.0, 0.0], "diva+1981": [0.0, 1.0]},
    )
    token = {"MARQUEE_SERVE_ADMIN_TOKEN": TOKEN} if request.param else {}
    options = "--workers", "2"
    with Server(tmp_path / "store", tmp_path, *options, nginx=request.param, **token) as running:
        running.wait_for_generation(1)
        yield running


def test_the_server_conforms_to_its_description(server, tmp_path, request):
    """No failed check, no server error, nothing undocumented; and no worker died."""
    workers = server.wait_for_workers()
    address = f"http://{server.host}:{server.port}"
    if "bare" in request.node.name:
        (tmp_path / "schemathesis.toml").write_text(BARE_CONFIGURATION)
    options = [
        f"--header=Authorization: Bearer {TOKEN}",
        "--checks=all",
        f"--max-examples={N_EXAMPLES}",
        f"--seed={SEED}",
        "--generation-database=none",
        "--no-color",
        "--continue-on-failure",
    ]
    command = [sys.executable, "-m", "schemathesis.cli", "run", *options, f"{address}/openapi.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    n_tested = re.findall(r"Tested: (\d+)", done.stdout)
    assert int(n_tested[0]) >= 17  # 24 with those of `/admin/`
    assert server.workers() == workers
