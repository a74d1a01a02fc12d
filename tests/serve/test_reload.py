"""SIGHUP: new code and configuration, if they start, and no request lost."""

import os
import signal
import time

import pytest

from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load
from store.publish import rollback
from tests.serve.copied import Code, nginx
from tests.serve.running import wait_until
from tests.snapshots import make_snapshot

N_USERS = 300


@pytest.fixture
def configure(tmp_path):
    """Write `marquee.toml` anew, whole."""

    def write(*lines):
        pending = tmp_path / "marquee.pending"
        pending.write_text("\n".join(["[serve]", *lines]))
        pending.replace(tmp_path / "marquee.toml")

    return write


@pytest.fixture
def server(serve, store, configure):
    """Two workers behind nginx, as the configuration says, and lists that a load can judge."""
    write_snapshot(store, N_USERS)
    configure("workers = 2")
    running = serve(front=True)
    wait_until(lambda: running.get("/recommend/1").source == "list")
    running.wait_for_workers()
    return running


def address(server):
    return server.host, server.port


def hang_up(server):
    """Send SIGHUP."""
    server.process.send_signal(signal.SIGHUP)


def reload(server, n_workers=None):
    """Send SIGHUP, and return when every worker is another."""
    old = server.workers()
    hang_up(server)
    server.n_workers = n_workers or server.n_workers
    return server.wait_for_workers(other_than=old)


def test_no_request_is_lost(server, tmp_path):
    """Two new programs and all workers replaced under load: all 200, all right."""
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        reload(server)
        reload(server)

    assert load.seen.n_answers > 0
    assert (load.seen.n_failed, load.seen.n_refused) == (0, 0), load.seen.examples


def test_the_front_and_the_address_stay(server):
    """The same nginx, the same port, the same supervisor."""
    before = nginx(server)

    reload(server)

    assert nginx(server) == before
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ("line", "named"),
    [("wokers = 2", "wokers"), ("port = 70000", "70000"), ("workers = [", "TOML")],
    ids=["unknown key", "impossible value", "no TOML"],
)
def test_a_broken_configuration_keeps_the_old_program(server, configure, line, named):
    """The log says what is wrong; the workers are the same and answer."""
    before = server.workers()
    configure(line)

    hang_up(server)

    server.wait_for_log("the old goes on")
    assert named in server.log.read_text()
    assert server.workers() == before
    assert server.get("/recommend/1").status == 200


def test_after_a_broken_configuration_a_mended_one_is_taken(server, configure):
    """A refusal changes nothing about the next SIGHUP."""
    configure("wokers = 2")
    hang_up(server)
    server.wait_for_log("the old goes on")
    configure("workers = 1")

    assert len(reload(server, n_workers=1)) == 1


@pytest.mark.parametrize("n_workers", [1, 3])
def test_more_and_fewer_workers_take_effect(server, configure, tmp_path, n_workers):
    """Without a request lost, either; and nginx has as many."""
    configure(f"workers = {n_workers}")
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        reload(server, n_workers)
        wait_until(lambda: len(nginx(server)[1]) == n_workers)

    seen = load.seen  # nginx closes idle connections when it reads a new configuration
    cut = [example for example in seen.examples if "closed after 0 bytes" not in example]
    assert not [example for example in cut if "ConnectionReset" not in example]
    assert len(server.workers()) == n_workers


def test_new_code_is_taken(serve, store, tmp_path):
    """A string changed in the source stands in the next answer."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = Code(tmp_path / "code")
    server = serve("--workers", "2", front=True, **code.environ)
    wait_until(lambda: server.get("/readyz").status == 200)
    code.change("serve/resources/status.py", '"status": "ready"', '"status": "new and ready"')

    reload(server)

    wait_until(lambda: b"new and ready" in server.get("/readyz").body)


def test_code_that_does_not_start_is_not_taken(serve, store, tmp_path):
    """A syntax error stays outside; the old code answers on."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = Code(tmp_path / "code")
    server = serve("--workers", "1", front=True, **code.environ)
    [before] = server.wait_for_workers()
    code.change("serve/resources/status.py", "class Ready:", "class Ready")

    hang_up(server)

    server.wait_for_log("the old goes on")
    assert server.workers() == [before]
    assert server.get("/readyz").status == 200


def test_a_changed_access_log_reaches_nginx(server, configure, tmp_path):
    """The same nginx reads its configuration anew and writes where it is told to."""
    configure("workers = 2", 'access_log = "other.log"')
    [master], _ = nginx(server)

    reload(server)

    def is_written():
        server.get("/recommend/1")
        path = tmp_path / "other.log"
        return path.exists() and path.stat().st_size

    wait_until(is_written)
    assert nginx(server)[0] == [master]


def test_a_publish_meanwhile_is_followed(server, store, tmp_path):
    """Publish and SIGHUP at once, each way round, with no mixed answer."""
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        old = server.workers()
        hang_up(server)
        write_snapshot(store, N_USERS)
        server.wait_for_workers(other_than=old)
        wait_until(lambda: server.get("/recommend/1").generation == 2)
        rollback(store, why="a test")
        reload(server)
        wait_until(lambda: server.get("/recommend/1").generation == 1)

    assert (load.seen.n_failed, load.seen.n_mixed) == (0, 0), load.seen.examples


def test_twice_in_quick_succession(server, tmp_path):
    """However they fall, the server ends up with its workers, all other than before."""
    old = server.workers()
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        for pause in (0, 0.02, 0.3, 0.6):
            hang_up(server)
            time.sleep(pause)
        server.wait_for_workers(other_than=old)

    assert load.seen.n_failed == 0, load.seen.examples
    assert server.process.poll() is None


def test_it_still_stops_cleanly_afterwards(server):
    """The new program knows all that it has to end."""
    reload(server)

    server.process.terminate()

    assert server.process.wait(20) == 0
    assert server.processes() == []


def test_workers_that_die_meanwhile_are_replaced(server):
    """A death during the replacement is no special case."""
    old = server.workers()
    hang_up(server)
    server.wait_for_log("takes over")
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)

    server.wait_for_workers(other_than=old)
    wait_until(lambda: server.get("/recommend/1").source == "list")
