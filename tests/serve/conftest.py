"""A store and a server for each test, and shared servers for tests that only read."""

import contextlib
import os
import signal

import pytest

from tests.serve.server import Server
from tests.snapshots import make_snapshot

LISTS = {"ann": ["alien+1979", "brazil+1985"], "0": ["zulu+1964"], "7" * 64: ["seven+1995"]}
POPULAR = ["casablanca+1942", "diva+1981", "alien+1979"]


@pytest.fixture
def store(tmp_path):
    """The path of a store that does not exist yet."""
    return tmp_path / "store"


@pytest.fixture
def serve(store, tmp_path):
    """Start servers of `store`: `serve("--workers", "2", nginx=True, MARQUEE_SERVE_...="...")`."""
    with contextlib.ExitStack() as running:
        yield lambda *options, **more: running.enter_context(
            Server(store, tmp_path, *options, **more)
        )


@pytest.fixture(scope="module")
def answering(tmp_path_factory):
    """A bare server of generation 1, shared by tests that change nothing."""
    folder = tmp_path_factory.mktemp("answering")
    make_snapshot(folder / "store", LISTS, POPULAR)
    with Server(folder / "store", folder, "--workers", "2") as server:
        server.wait_for_generation(1)
        yield server


@pytest.fixture(scope="module")
def behind_nginx(tmp_path_factory):
    """The same server behind nginx; skipped without nginx."""
    folder = tmp_path_factory.mktemp("behind_nginx")
    make_snapshot(folder / "store", LISTS, POPULAR)
    with Server(folder / "store", folder, "--workers", "2", nginx=True) as server:
        server.wait_for_generation(1)
        yield server


@pytest.fixture
def connection(answering):
    """A keep-alive connection to `answering`."""
    with answering.connect() as opened:
        yield opened


@pytest.fixture
def kill_all_workers():
    """Kill every worker of a server, and return when new ones run."""

    def kill(server):
        old = server.wait_for_workers()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        server.wait_for_workers(other_than=old)

    return kill
