"""Temporary disk errors: the server continues, and catches up afterwards."""

import pytest

from store.takedown import take_down
from tests.serve.nginx_parts import runtime_dir, static_list
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot


@pytest.fixture
def server(serve, store, tmp_path):
    """Two workers behind nginx, with a small limit of the access log."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil", "casablanca"])
    (tmp_path / "marquee.toml").write_text("[serve]\naccess_log_mib = 1\naccess_log_keep = 1\n")
    running = serve("--workers", "2", nginx=True)
    wait_until(lambda: static_list(running) and running.get("/recommend/ann").source == "list")
    return running


@pytest.fixture
def no_store(store, tmp_path):
    """Replace the store by a file; a second call restores it."""
    aside = tmp_path / "aside"

    def swap():
        if aside.exists():
            store.unlink()
            aside.rename(store)
        else:
            store.rename(aside)
            store.touch()

    return swap


def test_an_unreadable_store_does_not_stop_the_server(server, store, no_store):
    """The error is logged, the open snapshot is served, and later changes are followed."""
    no_store()
    server.wait_for_log("does not hold a generation")
    wait_until(lambda: "cannot be read" in server.log.read_text())

    assert server.get("/recommend/ann").body == b"alien"
    assert "Traceback" not in server.log.read_text()

    no_store()
    take_down(store, ["brazil"], "a test")
    wait_until(lambda: static_list(server) == b"casablanca")
    make_snapshot(store, {"ann": ["diva"]}, ["eraserhead"])
    wait_until(lambda: server.get("/recommend/ann").body == b"diva")
    assert server.process.poll() is None


def test_the_current_snapshot_is_served_without_a_journal(serve, store):
    """The journal only matters for a fallback."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    (store / "JOURNAL").unlink()
    (store / "JOURNAL").mkdir()

    server = serve("--workers", "2")

    wait_until(lambda: server.get("/recommend/ann").body == b"alien")


def test_a_static_list_that_cannot_be_written_is_logged(server, store):
    """The old one stays, and is updated once that is possible."""
    blocked = runtime_dir(server) / "static/popular.pending"
    blocked.mkdir()
    make_snapshot(store, {"ann": ["alien"]}, ["diva"])
    server.wait_for_log("static list: unchanged, will retry")
    assert "Traceback" not in server.log.read_text()
    assert static_list(server) == b"brazil,casablanca"

    blocked.rmdir()
    wait_until(lambda: static_list(server) == b"diva")


def test_a_failed_log_rotation_does_not_stop_the_server(server, tmp_path):
    """A directory occupies the name of the rotated file."""
    path = tmp_path / "var/log/access.log"
    (path.with_name("access.log.1") / "occupied").mkdir(parents=True)

    with path.open("a") as log:
        log.write("{}\n" * (1 << 19))

    server.wait_for_log("disk error, will retry")
    assert server.get("/recommend/ann").body == b"alien"
    assert server.process.poll() is None
