"""A request for erasure, by the documented commands: nothing below `var` holds the user."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pyarrow.parquet as pq

from store.layout import generations
from store.pointer import current
from store.recent import RecentWriter
from store.snapshot import open_snapshot
from tests.histories import write_history

_ROOT = Path(__file__).resolve().parent.parent
USER = "107107"


def run(folder, *arguments):
    """Run a command of a package below a folder, and return its exit status and output."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("MARQUEE_")}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(_ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def keys_of(path):
    """Return every key of every table of an LMDB file."""
    with contextlib.closing(
        lmdb.open(str(path), subdir=False, readonly=True, lock=False, max_dbs=16)
    ) as environment:
        with environment.begin() as transaction:
            names = [key for key, _ in transaction.cursor()]
        found = list(names)
        for name in names if path.name != "recent.mdb" else []:
            with environment.begin(db=environment.open_db(name, create=False)) as transaction:
                found += [key for key, _ in transaction.cursor()]
    return found


def holds_user(path):
    """Return whether a file has a record of the user: by key, by column or in its text."""
    if path.suffix == ".mdb":
        return bool({USER.encode(), b"u/" + USER.encode()}.intersection(keys_of(path)))
    if path.suffix == ".parquet":
        return USER in pq.ParquetFile(path).read(["user_id"])["user_id"].to_pylist()
    return USER.encode() in path.read_bytes()


def places(folder):
    """Return the names of all files below a folder that hold the user."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.name for path in files if path.name != "recent.mdb-lock" and holds_user(path)}


def lists(store):
    with open_snapshot(store, current(store)) as snapshot:
        return dict(snapshot.users)


def test_user_is_nowhere_below_var_after_the_documented_commands(tmp_path):
    """Two generations, partitions, quarantine, recent views, log; all others as before."""
    history = write_history(tmp_path / "given", n_users=30)
    text = history.events.read_text().replace(",107,", f",{USER},")
    text += f"2026-03-08T10:00:01,{USER},GE /data/m/film+1+1951/1.mpg\n"
    history.events.write_text(text)
    store, var = tmp_path / "var" / "store", tmp_path / "var"
    assert run(tmp_path, "batch", "ingest", "--events", history.events)[0] == 0
    for _ in range(2):
        assert run(tmp_path, "batch", "refresh", "--events", "var/events")[0] == 0
    with RecentWriter(store) as recent:
        recent.add([(USER, "film+1+1951")])
    (var / "log").mkdir()
    line = '{"request":"GET /recommend/%s HTTP/1.1","status":200}\n'
    (var / "log" / "access.log").write_text(line % USER + line % 114)
    before = lists(store)
    assert {"recs.mdb", "factors.mdb", "recent.mdb", "access.log"} <= places(var)
    assert len(places(var)) > 6

    assert run(tmp_path, "batch", "forget", USER)[0] == 0
    assert run(tmp_path, "store", "forget", USER)[0] == 0

    assert places(var) == set()
    assert generations(store) == [3, 4]
    del before[USER.encode()]
    assert lists(store) == before
    assert run(tmp_path, "store", "verify", "--all")[0] == 0
    assert run(tmp_path, "store", "doctor")[0] == 0
    assert run(tmp_path, "store", "rollback", "--why", "look")[0] == 0
    status, output = run(tmp_path, "store", "forget", USER)
    assert (status, f"{USER} is unknown" in output) == (1, True)
    status, output = run(tmp_path, "batch", "forget", USER)
    assert (status, f"{USER}: unknown" in output) == (1, True)
