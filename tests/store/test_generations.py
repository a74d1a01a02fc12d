"""A hundred generations of a million users: listing them reads manifests, never data.

`.venv/bin/pytest -s tests/store/test_generations.py` prints the figures; the goal is
0.2 s above the start of the interpreter.
"""

import json
import os
import subprocess
import sys
import time

import pytest

from store.gate_result import GateCheck, GateResult
from store.journal import write_journal
from store.layout import CHECKSUMS, FACTORS, INDEX, MANIFEST, RECS, snapshot_folder
from store.manifest import Manifest
from store.pointer import point_at
from tests.store.conftest import ROOT

N_USERS, N_ITEMS = 1_000_000, 27_000
FILES = {RECS: 900_000_000, FACTORS: 540_000_000, INDEX: 30_000_000}
MAX_MORE_BYTES = 10 << 20
LIST_OPENED = """
import sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, given: opened.append(given[0]) if event == "open" else None)
from store.__main__ import main
status = main(sys.argv[1:])
for path in opened:
    if isinstance(path, str) and "snapshots" in Path(path).parts:
        print("opened", Path(path).name)
sys.exit(status)
"""


@pytest.fixture
def store_of(tmp_path):
    """Make a store of `n_generations`: sparse data files, and manifests like those of a refresh."""

    def make(n_generations):
        store = tmp_path / f"{n_generations}"
        for generation in range(1, n_generations + 1):
            _make_sparse(store, generation)
            write_journal(store, generation, "publish", "refresh")
        point_at(store, n_generations)
        return store

    return make


def _make_sparse(store, generation):
    folder = snapshot_folder(store, generation)
    folder.mkdir(parents=True)
    for name, n_bytes in FILES.items():
        (folder / name).touch()
        os.truncate(folder / name, n_bytes)
    about = Manifest(
        format_version=1,
        generation=generation,
        parent=generation - 1 or None,
        began_at="2026-03-01T02:30:00+00:00",
        finished_at="2026-03-01T02:47:11+00:00",
        code_version="test",
        counts={"recs.mdb/users": N_USERS, "recs.mdb/items": N_ITEMS, "factors.mdb/users": N_USERS},
        files=FILES,
        inputs=[{"name": "ratings.csv", "kind": "csv", "bytes": 500_000_000, "sha256": "0" * 64}],
        parameters={f"parameter{n}": n for n in range(40)},
        metrics={f"metric{n}": n / 7 for n in range(40)},
        gate=GateResult(
            [
                GateCheck(f"rule{n}", 1.0, 0.9, is_ok=True, note="1.0, at least 0.9")
                for n in range(10)
            ]
        ),
    )
    (folder / MANIFEST).write_text(json.dumps(about.as_json(), indent=2))
    names = sorted((*FILES, MANIFEST))
    (folder / CHECKSUMS).write_text("".join(f"{'0' * 64}  {name}\n" for name in names))


def _ls(store, code=("-m", "store")):
    """Run `python -m store ls`; return its output, its seconds and its peak memory in bytes."""
    arguments = [sys.executable, *code, "--store", store, "ls"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, env=environ, cwd=store.parent
    ) as child:
        assert child.stdout is not None
        output = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, output
    return output, seconds, used.ru_maxrss * 1024


def test_ls_shows_all_of_a_hundred_generations(store_of):
    """Each has a line with its million users."""
    lines = _ls(store_of(100))[0].splitlines()
    assert sum("1,000,000" in line or "1000000" in line for line in lines) == 100


def test_ls_of_a_hundred_generations_opens_manifests_alone(store_of):
    """It opens each of the 100 manifests once, and none of the 147 GB of data."""
    store = store_of(100)
    opened = [line for line in _ls(store, ("-c", LIST_OPENED))[0].splitlines() if "opened" in line]
    assert opened == [f"opened {MANIFEST}"] * 100
    seconds, start = _ls(store)[1], _ls(store, ("-c", "pass"))[1]
    print(f"ls {seconds:.3f} s, of it the interpreter {start:.3f} s")  # noqa: T201 shown by -s


def test_ls_needs_no_more_memory_for_more_generations(store_of):
    """100 instead of 10: less than 10 MB more peak memory."""
    few, many = _ls(store_of(10))[2], _ls(store_of(100))[2]
    print(f"ls {few / 1e6:.1f} MB of 10, {many / 1e6:.1f} MB of 100")  # noqa: T201 shown by -s
    assert many - few < MAX_MORE_BYTES
