"""nginx's runtime directory: removed by its server, or by the next server that starts."""

import errno
import os
import resource
import signal
import socket
import tempfile
from pathlib import Path

import pytest

from serve.errors import ServeError
from serve.settings import ServeSettings
from serve.supervisor import nginx as nginx_module
from serve.supervisor.nginx import ReverseProxy, check_nginx
from serve.supervisor.runtime_dir import remove_abandoned
from tests.serve.nginx_parts import nginx_pids, runtime_dir
from tests.serve.server import wait_until
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
    remove_abandoned()

    assert foreign.exists()
