"""SIGHUP: new code and configuration take effect if they start, and no request is lost."""

import os
import signal
import time

import pytest

from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load
from store.publish import rollback
from tests.serve.code_copy import CodeCopy
from tests.serve.nginx_parts import nginx_pids
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot

N_USERS = 300


@pytest.fixture
def configure(tmp_path):
    """Replace `marquee.toml`."""

    def write(*lines):
        pending = tmp_path / "marquee.pending"
        pending.write_text("\n".join(["[serve]", *lines]))
        pending.replace(tmp_path / "marquee.toml")

    return write


@pytest.fixture
def server(serve, store, configure):
    """Two workers behind nginx, as configured, with lists that `Load` can check."""
    write_snapshot(store, N_USERS)
    configure("workers = 2")
    running = serve(nginx=True)
    wait_until(lambda: running.get("/recommend/1").source == "list")
    running.wait_for_workers()
    return running


def address(server):
    return server.host, server.port


def send_sighup(server):
    """Send SIGHUP."""
    server.process.send_signal(signal.SIGHUP)


def reload(server, n_workers=None):
    """Send SIGHUP, and return when every worker is new."""
    old = server.wait_for_workers()
    send_sighup(server)
    if n_workers:
        server.n_workers = n_workers + server.n_side_workers
    return server.wait_for_workers(other_than=old)


def test_no_request_is_lost(server, tmp_path):
    """Two reloads under load: all answers are 200 and right."""
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        reload(server)
        reload(server)

    assert load.seen.n_answers > 0
    assert (load.seen.n_failed, load.seen.n_refused) == (0, 0), load.seen.examples


def test_nginx_and_the_address_stay(server):
    """The same nginx, the same port, the same supervisor."""
    before = nginx_pids(server)

    reload(server)

    assert nginx_pids(server) == before
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ("line", "named"),
    [("wokers = 2", "wokers"), ("port = 70000", "70000"), ("workers = [", "TOML")],
    ids=["unknown key", "impossible value", "not TOML"],
)
def test_a_broken_configuration_is_rejected(server, configure, line, named):
    """The log names the problem; the same workers answer."""
    before = server.wait_for_workers()
    configure(line)

    send_sighup(server)

    server.wait_for_log("reload rejected, the running version stays")
    assert named in server.log.read_text()
    assert server.workers() == before
    assert server.get("/recommend/1").status == 200


def test_a_corrected_configuration_is_accepted(server, configure):
    """A rejected reload does not affect the next one."""
    configure("wokers = 2")
    send_sighup(server)
    server.wait_for_log("reload rejected, the running version stays")
    configure("workers = 1")

    reload(server, n_workers=1)

    assert len(server.list_workers()) == 1


@pytest.mark.parametrize("n_workers", [1, 3])
def test_the_number_of_workers_changes(server, configure, tmp_path, n_workers):
    """Without a lost request, and nginx changes its workers, too."""
    configure(f"workers = {n_workers}")
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        reload(server, n_workers)
        wait_until(lambda: len(nginx_pids(server)[1]) == n_workers)

    seen = load.seen  # nginx closes idle connections when it reads a new configuration
    cut = [example for example in seen.examples if "closed after 0 bytes" not in example]
    assert not [example for example in cut if "ConnectionReset" not in example]
    assert len(server.list_workers()) == n_workers


def test_new_code_takes_effect(serve, store, tmp_path):
    """A string changed in the source appears in the next answer."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = CodeCopy(tmp_path / "code")
    server = serve("--workers", "2", nginx=True, **code.environ)
    wait_until(lambda: server.get("/readyz").status == 200)
    code.change("serve/resources/status.py", '"status": "ready"', '"status": "new and ready"')

    reload(server)

    wait_until(lambda: b"new and ready" in server.get("/readyz").body)


def test_code_that_does_not_start_is_rejected(serve, store, tmp_path):
    """After a syntax error the old code continues."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    code = CodeCopy(tmp_path / "code")
    server = serve("--workers", "1", nginx=True, **code.environ)
    before = server.wait_for_workers()
    code.change("serve/resources/status.py", "class Ready:", "class Ready")

    send_sighup(server)

    server.wait_for_log("reload rejected, the running version stays")
    assert server.workers() == before
    assert server.get("/readyz").status == 200


def test_a_changed_access_log_takes_effect(server, configure, tmp_path):
    """The same nginx reads its configuration again."""
    configure("workers = 2", 'access_log = "other.log"')
    [master], _ = nginx_pids(server)

    reload(server)

    def is_written():
        server.get("/recommend/1")
        path = tmp_path / "other.log"
        return path.exists() and path.stat().st_size

    wait_until(is_written)
    assert nginx_pids(server)[0] == [master]


def test_a_publish_during_a_reload_is_followed(server, store, tmp_path):
    """In either order, and no answer is mixed."""
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        old = server.wait_for_workers()
        send_sighup(server)
        write_snapshot(store, N_USERS)
        server.wait_for_workers(other_than=old)
        wait_until(lambda: server.get("/recommend/1").generation == 2)
        rollback(store, why="a test")
        reload(server)
        wait_until(lambda: server.get("/recommend/1").generation == 1)

    assert (load.seen.n_failed, load.seen.n_mixed) == (0, 0), load.seen.examples


def test_reloads_in_quick_succession(server, tmp_path):
    """In the end every worker is new, and no request is lost."""
    old = server.wait_for_workers()
    with Load(address(server), N_USERS, tmp_path, rate=200) as load:
        for pause in (0, 0.02, 0.3, 0.6):
            send_sighup(server)
            time.sleep(pause)
        server.wait_for_workers(other_than=old)

    assert load.seen.n_failed == 0, load.seen.examples
    assert server.process.poll() is None


def test_the_server_stops_cleanly_after_a_reload(server):
    """The new program ends all processes."""
    reload(server)

    server.process.terminate()

    assert server.process.wait(20) == 0
    assert server.processes() == []


def test_workers_that_die_during_a_reload_are_replaced(server):
    """All of them are killed at once."""
    old = server.wait_for_workers()
    send_sighup(server)
    server.wait_for_log("takes over")
    for pid in server.wait_for_workers():
        os.kill(pid, signal.SIGKILL)

    server.wait_for_workers(other_than=old)
    wait_until(lambda: server.get("/recommend/1").source == "list")
