"""Limits of clients, workers and nginx, and what happens beyond them."""

import contextlib
import resource
import subprocess

import pytest

from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load
from tests.serve.server import ask, command, environment, skip_without_nginx, wait_until
from tests.snapshots import make_snapshot

N_FEW_DESCRIPTORS = 24


@pytest.fixture
def limited(serve, store):
    """Start a server behind nginx whose one list is ann's: `limited(MARQUEE_SERVE_...="...")`."""

    def start(*options, **environ):
        make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
        server = serve("--workers", "2", *options, nginx=True, **environ)
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
    """Send n requests on one connection, as fast as possible."""
    with server.connect() as connection:
        return [ask(connection, target).status for _ in range(n)]


# Limits of a client


def test_the_rate_limit_is_off_by_default(limited):
    """300 requests in a row are answered."""
    assert statuses(limited(), 300) == [200] * 300


def test_a_client_beyond_the_rate_limit_gets_429(limited):
    """Requests within the limit are answered, and later ones again."""
    server = limited(MARQUEE_SERVE_RATE_LIMIT="5")

    seen = statuses(server, 60)

    assert set(seen) == {200, 429}
    assert 1 <= seen.count(200) < 60
    wait_until(lambda: server.get("/recommend/ann").status == 200)


def test_concurrent_requests_of_one_client_are_limited(limited):
    """Two unfinished bodies reach the limit; a third request gets 429."""
    server = limited(MARQUEE_SERVE_CONCURRENT_REQUESTS_PER_CLIENT="2")
    half = b"POST /recommendations HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"
    with contextlib.ExitStack() as opened:
        for _ in range(2):
            opened.enter_context(server.dial()).sendall(half)
        wait_until(lambda: server.get("/recommend/ann").status == 429)

    wait_until(lambda: server.get("/recommend/ann").status == 200)


def test_nginx_survives_more_connections_than_its_limit(limited):
    """It answers again once they have closed."""
    server = limited(MARQUEE_SERVE_CONNECTIONS="16")
    with contextlib.ExitStack() as opened:
        for _ in range(120):
            with contextlib.suppress(OSError):
                opened.enter_context(server.dial())

    wait_until(lambda: answers(server))


def answers(server):
    """Whether it answers; a connection may be closed while too few are free."""
    with contextlib.suppress(OSError):
        return server.get("/recommend/ann").body == b"alien"
    return False


# Limits of a worker


def test_a_workers_descriptors_and_memory_are_limited(limited):
    """As configured."""
    server = limited(MARQUEE_SERVE_WORKER_DESCRIPTORS="100", MARQUEE_SERVE_WORKER_MEMORY_MIB="300")

    for pid in server.wait_for_workers():
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == 100
        assert resource.prlimit(pid, resource.RLIMIT_DATA)[0] == 300 << 20


def test_workers_with_few_descriptors_serve_many_clients(serve, store, tmp_path):
    """Connections wait in the socket's backlog, or reach another worker."""
    write_snapshot(store, 300)
    server = serve(
        "--workers", "2", nginx=True, MARQUEE_SERVE_WORKER_DESCRIPTORS=str(N_FEW_DESCRIPTORS)
    )
    wait_until(lambda: server.get("/recommend/1").source == "list")
    with Load((server.host, server.port), 300, tmp_path, rate=300, n_clients=60) as load:
        for _ in range(100):
            server.get("/recommend/1")

    assert load.seen.n_failed == 0, load.seen.examples
    wait_until(lambda: server.get("/recommend/1").source == "list")


def test_workers_out_of_descriptors_recover_by_themselves(limited):
    """Meanwhile the static list is served."""
    server = limited()
    server.wait_for_generation(1)  # in every worker: none opens files later
    workers = server.wait_for_workers()
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


def test_check_accepts_a_valid_configuration(check):
    """Status 0, and nothing is started."""
    skip_without_nginx()
    ended = check("workers = 3", "rate_limit = 100")

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "no problems found" in ended.stdout


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("wokers = 3", "wokers"),
        ("rate_limit = -1", "rate_limit"),
        ('admin_token = "short"', "16 visible"),
        ('admin_token_file = "nowhere"', "nowhere"),
        ('access_log = "/proc/nowhere/access.log"', "nowhere"),
        ('host = "no.host.invalid"', "host not found"),
    ],
)
def test_check_names_the_problem(check, line, named):
    """Status 1, one message, no traceback."""
    skip_without_nginx()
    ended = check(line)

    assert ended.returncode == 1
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_requires_nginx(check):
    """Unless the server is bare."""
    missing = 'nginx = "/nowhere/nginx"'

    assert check(missing).returncode == 1
    assert check(missing, options=["--bare"]).returncode == 0


def test_check_works_beside_a_running_server(check, limited):
    """The port may be in use: by the server to be reloaded."""
    server = limited()

    assert check(f"port = {server.port}").returncode == 0
