"""What the disk refuses for a while: the server goes on, and catches up when it may."""

import pytest

from store.takedown import take_down
from tests.serve.copied import front_folder, static_list
from tests.serve.running import wait_until
from tests.snapshots import make_snapshot


@pytest.fixture
def server(serve, store, tmp_path):
    """Two workers behind nginx, with a log that is soon full."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil", "casablanca"])
    (tmp_path / "marquee.toml").write_text("[serve]\naccess_log_mib = 1\naccess_log_keep = 1\n")
    running = serve("--workers", "2", front=True)
    wait_until(lambda: static_list(running) and running.get("/recommend/ann").source == "list")
    return running


@pytest.fixture
def no_store(store, tmp_path):
    """Put something in the store's place that is none; called again, the store is back."""
    aside = tmp_path / "aside"

    def swap():
        if aside.exists():
            store.unlink()
            aside.rename(store)
        else:
            store.rename(aside)
            store.touch()

    return swap


def test_a_store_that_cannot_be_looked_at_stops_nothing(server, store, no_store):
    """It is said once, what is open is served on, and what was missed is made up for."""
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


def test_without_its_journal_what_is_current_is_served(serve, store):
    """It would only say what to go back to."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    (store / "JOURNAL").unlink()
    (store / "JOURNAL").mkdir()

    server = serve("--workers", "2")

    wait_until(lambda: server.get("/recommend/ann").body == b"alien")


def test_a_last_resort_that_cannot_be_written_is_told_in_a_line(server, store):
    """What stands there stays, and is followed again as soon as it can be."""
    blocked = front_folder(server) / "static/popular.pending"
    blocked.mkdir()
    make_snapshot(store, {"ann": ["alien"]}, ["diva"])
    server.wait_for_log("the list of last resort stays as it is")
    assert "Traceback" not in server.log.read_text()
    assert static_list(server) == b"brazil,casablanca"

    blocked.rmdir()
    wait_until(lambda: static_list(server) == b"diva")


def test_a_log_that_cannot_be_rotated_stops_nothing(server, tmp_path):
    """Something else has the name that it should get."""
    path = tmp_path / "var/log/access.log"
    (path.with_name("access.log.1") / "somebody's").mkdir(parents=True)

    with path.open("a") as log:
        log.write("{}\n" * (1 << 19))

    server.wait_for_log("tried again")
    assert server.get("/recommend/ann").body == b"alien"
    assert server.process.poll() is None
