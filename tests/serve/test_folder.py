"""The front's directory: it goes with its server, or with the next one that starts."""

import errno
import os
import resource
import signal
import tempfile
from pathlib import Path

import pytest

from serve.errors import ServeError
from serve.settings import ServeSettings
from serve.supervisor import nginx as front_module
from serve.supervisor import runtime_dir as folder_module
from serve.supervisor.nginx import ReverseProxy, check_front
from serve.supervisor.runtime_dir import remove_left_over
from tests.serve.copied import front_folder, nginx
from tests.serve.running import wait_until
from tests.snapshots import make_snapshot


@pytest.fixture
def start(serve, store):
    """Start a server behind nginx that answers."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])

    def run():
        server = serve("--workers", "1", front=True)
        wait_until(lambda: server.get("/recommend/ann").source == "list")
        return server

    return run


def kill(server):
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    wait_until(lambda: not server.processes())


def test_that_of_a_killed_server_goes_with_the_next_start(start):
    """SIGKILL leaves it behind, and the next server cleans up."""
    killed = start()
    folder = front_folder(killed)
    kill(killed)
    assert folder.exists()

    start()

    assert not folder.exists()


def test_that_of_a_server_that_lives_stays(start):
    """However many others start beside it."""
    living = start()
    folder = front_folder(living)

    start()

    assert (folder / "nginx.conf").exists()
    assert living.get("/recommend/ann").body == b"alien"


def test_it_stays_when_nobody_of_the_first_program_is_left(start):
    """SIGHUP, every worker another, and nginx too: the new program holds it as the old one did."""
    server = start()
    folder = front_folder(server)
    [master], _ = nginx(server)
    old = server.workers()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_workers(other_than=old)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: nginx(server)[0] not in ([], [master]))

    start()

    assert (folder / "nginx.conf").exists()


def test_without_room_for_it_the_start_says_so(tmp_path, monkeypatch):
    """Which directory, what is wrong, and what to do; and nothing is left there."""
    monkeypatch.setattr(folder_module, "PARENT", tmp_path / "gone")
    with pytest.raises(ServeError, match=r"gone/marquee-.*cannot be written: No such file.*room"):
        check_front(ServeSettings())


def test_what_was_made_before_the_room_ended_is_removed(tmp_path, monkeypatch):
    """A file of ours cannot be longer than the limit of the process."""
    monkeypatch.setattr(folder_module, "PARENT", tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with pytest.raises(ServeError, match="cannot be written: File too large"):
            check_front(ServeSettings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert not list(tmp_path.iterdir())


def test_a_front_without_room_for_its_configuration_leaves_nothing(tmp_path, monkeypatch):
    """The directory was made, the last file of it did not fit."""
    monkeypatch.setattr(folder_module, "PARENT", tmp_path)

    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(front_module, "replace_durable", full)
    with pytest.raises(ServeError, match=r"nginx\.conf: cannot be written: No space left"):
        ReverseProxy(ServeSettings(), ("127.0.0.1", 0), 0, n_workers=1)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def foreign():
    """A directory of that name that no server has made."""
    folder = Path(tempfile.mkdtemp(prefix="marquee-", dir="/tmp"))
    yield folder
    folder.rmdir()


def test_what_nobody_of_ours_made_stays(foreign):
    """A name alone proves nothing."""
    remove_left_over()

    assert foreign.exists()
