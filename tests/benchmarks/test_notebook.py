"""The notebook, executed on data made here; `.ci/campaigns notebook` installs what it needs."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from tests.histories import write_history
from tests.serve.server import ROOT, Server

pytest.importorskip("nbconvert", reason="runs by `.ci/campaigns notebook`")
NOTEBOOK = ROOT / "benchmarks/notebooks/describe.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with partitions, a store, and an hour of online figures."""
    folder = tmp_path_factory.mktemp("notebook")
    history = write_history(folder / "history", n_users=50)
    assert main(["ingest", "--events", str(history.events), "--out", str(folder / "events")]) == 0
    assert main(["refresh", "--events", str(folder / "events"), "--catalogue",
                 str(history.catalogue), "--store", str(folder / "store")]) == 0  # fmt: skip
    hour = folder / "online/date=2026-03-09/hour-10.parquet"
    hour.parent.mkdir(parents=True)
    columns = {"user_id": ["100", "107", "100"], "at": [1_773_050_400] * 3, "generation": [1] * 3,
               "source": ["list"] * 3, "rank": [0, 2, 1]}  # fmt: skip
    pq.write_table(pa.table(columns), hour)
    return folder


def outputs_of(folder, url, online):
    """Execute the notebook; return all its output as text, and the number of its drawings."""
    environ = os.environ | {
        "NOTEBOOK_EVENTS": str(folder / "events"), "NOTEBOOK_STORE": str(folder / "store"),
        "NOTEBOOK_ONLINE": str(folder / online), "NOTEBOOK_URL": url,
    }  # fmt: skip
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output-dir",
               str(folder), "--output", "done.ipynb", str(NOTEBOOK)]  # fmt: skip
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cells = json.loads((folder / "done.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    texts = [one.get("text", []) for one in outputs] + [one.get("text/plain", []) for one in data]
    return "".join(map("".join, texts)), sum("image/png" in one for one in data)


def test_the_notebook_opens_everything_and_asks_the_server(folder):
    with Server(folder / "store", folder, "--workers", "1") as server:
        server.wait_for_generation(1)
        text, n_drawings = outputs_of(folder, f"http://{server.host}:{server.port}", "online")
    assert "generation 1, 50 lists" in text
    assert "0.666667" in text
    assert text.count("True") == 10
    assert "False" not in text
    assert n_drawings == 3


def test_the_notebook_says_what_is_not_there(folder):
    text, n_drawings = outputs_of(folder, "http://127.0.0.1:1", "nothing")
    assert "has no hours" in text
    assert "http://127.0.0.1:1 does not answer" in text
    assert n_drawings == 2


def test_the_notebook_is_kept_without_output():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code"] == [[]] * 7
