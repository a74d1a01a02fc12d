"""Limits: what one client, one worker and the front may take, and what happens beyond."""

import contextlib
import resource
import subprocess

import pytest

from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load
from tests.serve.running import ask, command, environment, need_nginx, wait_until
from tests.snapshots import make_snapshot

FEW = 24  # descriptors


@pytest.fixture
def limited(serve, store):
    """Start a server behind nginx whose one list is ann's: `limited(MARQUEE_SERVE_...="...")`."""

    def start(*options, **environ):
        make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
        server = serve("--workers", "2", *options, front=True, **environ)
        wait_until(lambda: server.get("/healthz").status == 200)
        return server

    return start


@pytest.fixture
def check(tmp_path):
    """Run `--check` with a configuration, and return how it ended."""

    def run(*lines, options=()):
        (tmp_path / "marquee.toml").write_text("\n".join(["[serve]", *lines]))
        return subprocess.run(
            command("--check", *options),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
        )

    return run


def statuses(server, n, target="/recommend/ann"):
    """Ask as fast as one connection can."""
    with server.connect() as connection:
        return [ask(connection, target).status for _ in range(n)]


# Of a client


def test_without_a_rate_limit_nobody_is_held_back(limited):
    """It is off by default."""
    assert statuses(limited(), 300) == [200] * 300


def test_a_client_beyond_the_rate_limit_gets_429(limited):
    """What the limit grants is answered, the rest is refused, and soon all is well again."""
    server = limited(MARQUEE_SERVE_RATE_LIMIT="5")

    seen = statuses(server, 60)

    assert set(seen) == {200, 429}
    assert 1 <= seen.count(200) < 60
    wait_until(lambda: server.get("/recommend/ann").status == 200)


def test_requests_of_one_client_at_the_same_time_are_limited(limited):
    """Two unfinished bodies are as many as are granted here: the third request is refused."""
    server = limited(MARQUEE_SERVE_CONCURRENT_REQUESTS_PER_CLIENT="2")
    half = b"POST /recommendations HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"
    with contextlib.ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(server.dial()).sendall(half)
        wait_until(lambda: server.get("/recommend/ann").status == 429)

    wait_until(lambda: server.get("/recommend/ann").status == 200)


def test_connections_beyond_those_of_the_front_wait_or_close(limited):
    """More clients than it takes are no harm to it once they have gone."""
    server = limited(MARQUEE_SERVE_CONNECTIONS="16")
    with contextlib.ExitStack() as opened:
        for _ in range(120):
            with contextlib.suppress(OSError):
                opened.enter_context(server.dial())

    wait_until(lambda: answers(server))


def answers(server):
    """Whether it does; a connection may be cut off while there are too few."""
    with contextlib.suppress(OSError):
        return server.get("/recommend/ann").body == b"alien"
    return False


# Of a worker


def test_a_worker_has_as_many_descriptors_as_configured(limited):
    """And the memory that is its own is limited, too."""
    server = limited(MARQUEE_SERVE_WORKER_DESCRIPTORS="100", MARQUEE_SERVE_WORKER_MEMORY_MIB="300")

    for pid in server.wait_for_workers():
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == 100
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[0] == 300 << 20


def test_workers_with_few_descriptors_serve_many_clients(serve, store, tmp_path):
    """What they cannot accept waits in the socket's queue, or another tries."""
    write_snapshot(store, 300)
    server = serve("--workers", "2", front=True, MARQUEE_SERVE_WORKER_DESCRIPTORS=str(FEW))
    wait_until(lambda: server.get("/recommend/1").source == "list")
    with Load((server.host, server.port), 300, tmp_path, rate=300, n_clients=60) as load:
        for _ in range(100):
            server.get("/recommend/1")

    assert load.seen.n_failed == 0, load.seen.examples
    wait_until(lambda: server.get("/recommend/1").source == "list")


def test_workers_out_of_descriptors_recover_by_themselves(limited):
    """None of them can accept for a while: the static list, and then the lists again."""
    server = limited()
    wait_until(lambda: server.get("/recommend/ann").source == "list")
    workers = server.workers()
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in workers}
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    with contextlib.ExitStack() as opened:  # more than the connections that are kept
        for n in range(20):
            connection = opened.enter_context(server.connect())
            assert ask(connection, f"/recommend/{n}").status == 200
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)

    wait_until(lambda: server.get("/recommend/ann").source == "list")
    assert server.workers() == workers


# --check


def test_check_says_that_all_is_in_order(check):
    """Status 0, and nothing is started."""
    need_nginx()
    ended = check("workers = 3", "rate_limit = 100")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "in order" in ended.stdout


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("wokers = 3", "wokers"),
        ("rate_limit = -1", "rate_limit"),
        ('admin_token = "short"', "16 visible"),
        ('admin_token_file = "nowhere"', "nowhere"),
        ('access_log = "/proc/nowhere/access.log"', "nowhere"),
        ('host = "no host"', "host not found"),
    ],
)
def test_check_says_what_is_wrong(check, line, named):
    """Status 1, one message, no traceback."""
    need_nginx()
    ended = check(line)

    assert ended.returncode == 1
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_misses_nginx(check):
    """Unless the server is to be bare."""
    missing = 'nginx = "/nowhere/nginx"'

    assert check(missing).returncode == 1
    assert check(missing, options=["--bare"]).returncode == 0


def test_check_does_not_mind_a_running_server(check, limited):
    """The port may be in use: by the very server that is to be reloaded."""
    server = limited()

    assert check(f"port = {server.port}").returncode == 0
