"""The user that the server runs as, and the rights of what it makes."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.harness.processes import processes_of
from tests.serve.nginx_parts import runtime_dir
from tests.serve.server import ROOT, Server, command, environment, wait_until
from tests.snapshots import make_snapshot

NOBODY = 65534
SYSTEM_PYTHON = f"/usr/bin/python3.{sys.version_info.minor}"
PACKAGES = os.pathsep.join([str(ROOT), *(path for path in sys.path if "site-packages" in path)])
TOKEN = {"MARQUEE_SERVE_ADMIN_TOKEN": "correct-horse-battery-staple"}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start it as root")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def others_may(path):
    return mode(path) & stat.S_IRWXO


@pytest.fixture
def folder_of_nobody():
    """A folder of another user with a published store, below folders that it may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        make_snapshot(folder / "store", {"ann": ["alien"]}, ["brazil"])
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        yield folder


@pytest.fixture
def interpreter(monkeypatch):
    """Start servers by an interpreter that every user may run."""
    ran = shutil.which(SYSTEM_PYTHON) and subprocess.run(
        [SYSTEM_PYTHON, "-c", "import bjoern, falcon, lmdb, annoy, serve.__main__"],
        env={"PYTHONPATH": PACKAGES}, cwd="/", capture_output=True, check=False,
        user=NOBODY, group=NOBODY, extra_groups=[],
    )  # fmt: skip
    if not ran or ran.returncode:
        pytest.skip(f"{SYSTEM_PYTHON} is not there, or nobody cannot import the server by it")
    monkeypatch.setattr(sys, "executable", SYSTEM_PYTHON)


@as_root
def test_root_without_a_user_is_refused(tmp_path):
    """With one line that names the setting, bare and with `--check` too."""
    for options in ([], ["--bare"], ["--check"]):
        ended = subprocess.run(
            command(*options, store=tmp_path / "store"), cwd=tmp_path,
            env=environment(MARQUEE_SERVE_USER=""), capture_output=True, text=True, timeout=30,
        )  # fmt: skip

        assert ended.returncode == 1
        assert ended.stderr.startswith("cannot serve: user: is not set, and root must not")
        assert ended.stderr.count("\n") == 1


@as_root
def test_an_unknown_user_is_refused(tmp_path):
    """A typing error must not leave it root."""
    ended = subprocess.run(
        command("--bare", store=tmp_path / "store"), cwd=tmp_path,
        env=environment(MARQUEE_SERVE_USER="nobdy"), capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "user: 'nobdy' does not exist" in ended.stderr


@as_root
@pytest.mark.parametrize("nginx", [True, False], ids=["nginx", "bare"])
def test_no_process_stays_root(folder_of_nobody, interpreter, nginx):
    """Supervisor, nginx, workers and admin processes run as the user; it serves, and reloads."""
    started = {"MARQUEE_SERVE_USER": "nobody", "PYTHONPATH": PACKAGES, **(TOKEN if nginx else {})}
    store = folder_of_nobody / "store"
    with Server(store, folder_of_nobody, "--workers", "1", nginx=nginx, **started) as server:
        old = server.wait_for_workers()
        wait_until(lambda: server.get("/recommend/ann").text == "alien")
        server.process.send_signal(1)
        server.wait_for_workers(other_than=old)
        wait_until(lambda: server.get("/recommend/ann").text == "alien")
        owners = {
            (one.name, Path(f"/proc/{one.pid}").stat().st_uid)
            for one in processes_of(server.process.pid)
        }

    assert {uid for _, uid in owners} == {NOBODY}, owners


@pytest.fixture
def server(serve, store):
    """A server with all its sockets."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    running = serve("--workers", "1", nginx=True, **TOKEN)
    wait_until(lambda: running.get("/recommend/ann").source == "list")
    return running


def test_the_runtime_directory_is_closed_to_other_users(server):
    """nginx's workers enter it by its group; no socket of ours is open to all."""
    folder = runtime_dir(server)

    assert not others_may(folder)
    assert {"workers", "side_workers", "admin", "verifying", "events", "pages"} == {
        path.stem for path in folder.glob("*.sock") if not others_may(path)
    }


def test_the_access_log_is_closed_to_other_users(server, tmp_path):
    """The file and the folder that is made for it: they may pass through that at most."""
    log = tmp_path / "var" / "log" / "access.log"
    wait_until(lambda: server.get("/recommend/ann").status == 200 and log.stat().st_size)

    assert mode(log) == 0o640
    assert others_may(log.parent) in (0, stat.S_IXOTH)


def test_older_logs_are_closed_too(serve, store, tmp_path):
    """Those of an earlier version were open to all."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    (tmp_path / "var/log").mkdir(parents=True)
    logs = [tmp_path / "var/log" / name for name in ("access.log", "access.log.1")]
    for log in logs:
        log.touch()
        log.chmod(0o644)
    running = serve("--workers", "1", nginx=True)
    wait_until(lambda: running.get("/recommend/ann").source == "list")

    assert [mode(log) for log in logs] == [0o640] * 2
