"""nginx's runtime directory: removed by its server, or by the next server that starts."""

import errno
import os
import resource
import shutil
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from serve.errors import ServeError
from serve.settings import ServeSettings
from serve.supervisor import nginx as nginx_module
from serve.supervisor.nginx import ReverseProxy, check_nginx
from serve.supervisor.runtime_dir import make_runtime_dir, remove_abandoned, runtime_parent
from tests.serve.nginx_parts import nginx_pids, runtime_dir
from tests.serve.server import suspend, wait_until
from tests.snapshots import make_snapshot


@pytest.fixture
def start(serve, store):
    """Start a server behind nginx that answers."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])

    def run():
        server = serve("--workers", "1", nginx=True)
        wait_until(lambda: server.get("/recommend/ann").source == "list")
        return server

    return run


def kill(server):
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not server.processes())


def test_the_next_server_removes_the_directory_of_a_killed_one(start):
    """SIGKILL leaves it behind."""
    killed = start()
    folder = runtime_dir(killed)
    kill(killed)
    assert folder.exists()

    start()

    assert not folder.exists()


def test_the_directory_of_a_living_server_stays(start):
    """Another server that starts leaves it in place."""
    living = start()
    folder = runtime_dir(living)

    start()

    assert (folder / "nginx.conf").exists()
    assert living.get("/recommend/ann").body == b"alien"


def test_the_directory_survives_a_reload(start):
    """After SIGHUP, with every worker and nginx replaced, the new program holds the lock."""
    server = start()
    folder = runtime_dir(server)
    [master], _ = nginx_pids(server)
    old = server.wait_for_workers()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_workers(other_than=old)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: nginx_pids(server)[0] not in ([], [master]))

    start()

    assert (folder / "nginx.conf").exists()


def test_an_error_names_the_directory_that_cannot_be_written(tmp_path):
    """It names the directory, the problem and the remedy."""
    with pytest.raises(ServeError, match=r"gone/marquee-.*cannot be written: No such file.*room"):
        check_nginx(ServeSettings(), parent=tmp_path / "gone")


def test_a_directory_that_cannot_be_completed_is_removed(tmp_path):
    """The process's limit of a file's size stands for a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(ServeError, match="cannot be written: File too large"):
            check_nginx(ServeSettings(), parent=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert not list(tmp_path.iterdir())


def test_a_directory_without_its_configuration_is_removed(tmp_path, monkeypatch):
    """The disk is full at the last file."""

    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(nginx_module, "replace_durable", full)
    is_full = pytest.raises(ServeError, match=r"nginx\.conf: cannot be written: No space left")
    with socket.create_server(("127.0.0.1", 0)) as listener, is_full:
        ReverseProxy(ServeSettings(), listener, n_workers=1, parent=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def foreign():
    """A directory with such a name that no server has made."""
    folder = Path(tempfile.mkdtemp(prefix="marquee-", dir="/tmp"))
    yield folder
    folder.rmdir()


def test_a_directory_without_an_owner_file_stays(foreign):
    """The name alone does not make it a server's."""
    remove_abandoned(Path("/tmp"))

    assert foreign.exists()


# What is not a server's


def test_a_users_own_folder_of_such_a_name_stays(tmp_path):
    """Notes with a file `owner`, also where the name has the length of a server's."""
    for name in ("marquee-notes-2026", "marquee-mynotes1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "owner").write_text("mine\n")
        (tmp_path / name / "notes").touch()
    remove_abandoned(tmp_path)

    assert len(list(tmp_path.glob("marquee-*/notes"))) == 2


def test_a_dead_servers_directory_is_removed(tmp_path):
    """The counterpart: the marker is of a server, and nobody holds its lock."""
    folder = make_runtime_dir(tmp_path)
    marker = (folder / "owner").read_bytes()
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "owner").write_bytes(marker)
    remove_abandoned(tmp_path)

    assert not folder.exists()


@pytest.mark.parametrize("link", ["folder", "marker"])
def test_links_are_not_followed(tmp_path, link):
    """Neither to a folder with a marker nor to a marker."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    marker = (make_runtime_dir(tmp_path) / "owner").read_bytes()
    (elsewhere / "owner").write_bytes(marker)
    made = tmp_path / "marquee-abcdefgh"
    if link == "folder":
        made.symlink_to(elsewhere)
    else:
        made.mkdir()
        (made / "owner").symlink_to(elsewhere / "owner")
    remove_abandoned(tmp_path)

    assert made.exists()
    assert (elsewhere / "owner").exists()


# Where it lies


def test_the_users_own_runtime_directory_is_preferred(monkeypatch):
    """Where it is set and ours; root's nginx could not enter root's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        if os.geteuid() == 0:
            os.chown(name, 1000, -1)
            assert runtime_parent({"XDG_RUNTIME_DIR": name}) == Path("/tmp")
        owner = Path(name).stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner)
        assert runtime_parent({"XDG_RUNTIME_DIR": name}) == Path(name)


@pytest.mark.parametrize("text", ["", "relative", "/nowhere", "/tmp/a;b", "/" + "x" * 99, "/proc"])
def test_an_unfit_runtime_directory_is_not_used(text, monkeypatch):
    """Missing, another user's, too long for a socket, or not fit for nginx.conf."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert runtime_parent({"XDG_RUNTIME_DIR": text}) == Path("/tmp")


# A cleaner of old files


@pytest.mark.parametrize(
    "part",
    ["workers.sock", "static.sock", "static/popular", "nginx.conf", "static", "owner", "."],
)
def test_a_removed_part_is_made_anew(start, part):
    """Whole or in parts, while requests are answered."""
    server = start()
    folder = runtime_dir(server)
    names = {
        "workers.sock",
        "static.sock",
        "static/popular",
        "nginx.conf",
        "owner",
    }
    wait_until(lambda: all((folder / name).exists() for name in names))
    removed = folder / part
    before = {path: path.stat().st_ino for path in [removed, *removed.rglob("*")]}
    if removed.is_dir():
        shutil.rmtree(removed, ignore_errors=True)  # the server may be making it anew already
    else:
        removed.unlink()

    def is_whole():
        try:
            answer = server.get("/recommend/ann")
        except ConnectionResetError:  # with or without RemoteDisconnected
            # nginx restarts for its own socket, and closes connections without a request yet.
            assert part in ("static.sock", ".")
            return False
        assert (answer.status, answer.body) in ((200, b"alien"), (200, b"brazil"))
        return all((folder / name).exists() for name in names)

    assert before
    wait_until(is_whole)
    wait_until(lambda: server.get("/recommend/ann").source == "list")
    server.wait_for_workers()
    remove_abandoned(folder.parent)
    assert (folder / "owner").exists()


def test_all_paths_answer_after_the_sockets_were_removed(start):
    """New workers accept from the new socket, and kept connections are not needed."""
    server = start()
    folder = runtime_dir(server)
    old = set(server.wait_for_workers())
    wait_until(lambda: (folder / "static/popular").exists())
    for name in ("workers.sock", "side_workers.sock"):
        (folder / name).unlink()
    server.wait_for_workers(other_than=old)

    wait_until(lambda: server.get("/model/status").status == 200)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a directory away")
def test_a_directory_that_another_user_has_made_instead_is_not_used(start):
    """It is named in the log, and the server goes on without it."""
    server = start()
    folder = runtime_dir(server)
    suspend(server.process.pid)
    shutil.rmtree(folder)
    folder.mkdir()
    os.chown(folder, 1000, -1)
    os.kill(server.process.pid, signal.SIGCONT)
    server.wait_for_log("is not this server's any more")

    assert server.process.poll() is None
    assert not list(folder.iterdir())
    shutil.rmtree(folder)
    wait_until(lambda: (folder / "workers.sock").exists())
    wait_until(lambda: server.get("/recommend/ann").source == "list")
