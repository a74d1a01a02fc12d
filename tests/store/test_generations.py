"""A hundred generations of a million users: listing them reads manifests, never data.

The figures are shown by `.venv/bin/pytest -s tests/store/test_generations.py`;
the goal is 0.2 s above the interpreter's own start.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time

import pytest

from store.journal import write_journal
from store.layout import CHECKSUMS, FACTORS, INDEX, MANIFEST, RECS, snapshot_folder
from store.manifest import Manifest
from store.pointer import point_at
from tests.store.conftest import ROOT

N_USERS, N_ITEMS = 1_000_000, 27_000
FILES = {RECS: 900_000_000, FACTORS: 540_000_000, INDEX: 30_000_000}
GENEROUS_SECONDS = 2.0
FLAT_BYTES = 10 << 20


@pytest.fixture
def store_of(tmp_path):
    """Make a store of so many generations: sparse files, and manifests as a refresh writes them."""

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
        gate={"passed": True, "rules": [{"name": f"rule{n}", "passed": True} for n in range(10)]},
    )
    (folder / MANIFEST).write_text(json.dumps(dataclasses.asdict(about), indent=2))
    names = sorted((*FILES, MANIFEST))
    (folder / CHECKSUMS).write_text("".join(f"{'0' * 64}  {name}\n" for name in names))


def _ls(store, code=("-m", "store")):
    """Run `python -m store ls`; return its output, its seconds and the most memory it had."""
    arguments = [sys.executable, *code, "--store", store, "ls"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, text=True, env=environ, cwd=store.parent
    ) as child:
        output = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, output
    return output, seconds, used.ru_maxrss * 1024


def test_ls_shows_all_of_a_hundred_generations(store_of):
    """Each has its line, with its million users."""
    lines = _ls(store_of(100))[0].splitlines()
    assert sum("1,000,000" in line or "1000000" in line for line in lines) == 100


def test_ls_of_a_hundred_generations_is_fast(store_of):
    """It reads 100 manifests and not one of the 147 GB of data: 2 s is far more than it needs."""
    store = store_of(100)
    seconds = min(_ls(store)[1] for _ in range(3))
    nothing = min(_ls(store, ("-c", "pass"))[1] for _ in range(3))
    print(f"ls {seconds:.3f} s, of it the interpreter {nothing:.3f} s")  # noqa: T201 shown by -s
    assert seconds < GENEROUS_SECONDS


def test_ls_needs_no_more_memory_for_more_generations(store_of):
    """A hundred instead of ten: less than 10 MB more at its peak."""
    few, many = _ls(store_of(10))[2], _ls(store_of(100))[2]
    print(f"ls {few / 1e6:.1f} MB of 10, {many / 1e6:.1f} MB of 100")  # noqa: T201 shown by -s
    assert many - few < FLAT_BYTES
