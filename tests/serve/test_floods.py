"""Expensive requests and many connections: lists are answered as before."""

import contextlib
import http.client
import json
import os
import select
import signal
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.resilience.floods import Flood, worst_requests
from benchmarks.resilience.lists import write_snapshot
from benchmarks.resilience.load import Load
from serve.resources.metrics import Metrics
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.state import WorkerState
from tests.serve.code_copy import CodeCopy
from tests.serve.nginx_parts import nginx_pids, runtime_dir, static_list
from tests.serve.server import ask, suspend, wait_until
from tests.snapshots import make_snapshot

CHEAP = [
    ("/recommend/ann", "GET", None),
    ("/recommend/ann?", "GET", None),
    ("/recommend/ann?n=1", "GET", None),
    ("/recommend/ann?format=json", "GET", None),
    ("/recommend/ann?format=json&n=1", "GET", None),
    ("/recommend/ann", "HEAD", None),
    ("/recommendations", "POST", b'{"user_id": "ann"}'),
    ("/healthz", "GET", None),
    ("/readyz", "GET", None),
]
EXPENSIVE = [
    ("/similar/alien", "GET", None),
    ("/predict", "POST", b'{"user_id": "ann", "movie_id": "alien"}'),
    ("/model/status", "GET", None),
    ("/metrics", "GET", None),
    ("/openapi.json", "GET", None),
    ("/", "GET", None),
    ("/nowhere", "GET", None),
]
HISTORY = "/recommend/ann?history=alien"
HALF_BODY = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"


@pytest.fixture
def server(serve, store):
    """Two workers and a side worker behind nginx, which all serve generation 1."""
    return started(serve, store)


def started(serve, store, **environ):
    make_snapshot(store, {"ann": ["alien", "brazil"]}, ["casablanca"], similar={"alien": ["diva"]})
    server = serve("--workers", "2", nginx=True, **environ)
    wait_until(lambda: static_list(server))
    server.wait_for_workers()
    wait_until(lambda: server.get("/recommend/ann").source == "list")
    wait_until(lambda: server.get("/similar/alien").status == 200)
    return server


def get_from(server, client, target):
    """Send a request from another address of the loopback network."""
    with connect_from(server, client) as connection:
        return ask(connection, target)


def connect_from(server, client):
    return contextlib.closing(
        http.client.HTTPConnection(server.host, server.port, 10, source_address=(client, 0))
    )


def readable(peers):
    """Return the connections on which an answer has arrived."""
    return select.select(peers, [], [], 0)[0]


# Side workers


def test_lists_do_not_wait_for_expensive_requests(server):
    """While every side worker is busy, lists and health are answered; histories get a list too."""
    [side] = server.side_workers()
    suspend(side)

    cheap = {target: server.get(target, method, None, body) for target, method, body in CHEAP}
    history = server.get(HISTORY)
    similar = server.get("/similar/alien")

    with contextlib.suppress(ProcessLookupError):  # it has been replaced
        os.kill(side, signal.SIGCONT)
    assert [answer.status for answer in cheap.values()] == [200] * len(cheap)
    assert {answer.source for answer in cheap.values()} == {"list", None}
    assert (history.status, history.source, history.body) == (200, "static", b"casablanca")
    assert similar.status == 504
    assert json.loads(similar.body) == {"status": 504, "title": "504 Gateway Timeout"}


def test_expensive_requests_do_not_need_the_list_workers(server):
    """They are answered while all of those hang."""
    for pid in server.list_workers():
        suspend(pid)

    statuses = {
        target: server.get(target, method, None, b).status for target, method, b in EXPENSIVE
    }
    history = server.get(HISTORY)

    for pid in server.list_workers():
        os.kill(pid, signal.SIGCONT)
    assert statuses.pop("/nowhere") == 404
    assert set(statuses.values()) == {200}
    assert (history.source, history.body) == ("list", b"brazil,casablanca")


def test_an_expensive_request_is_not_sent_twice(serve, store, tmp_path):
    """Not even if a worker answers too late; the next one is answered again."""
    code = CodeCopy(tmp_path / "code")
    code.change(
        "serve/resources/similar.py",
        "        query = Query.of(req)\n",
        "        query = Query.of(req)\n"
        "        if item_id == 'slow':\n"
        "            import sys, time; print('asked', file=sys.stderr); time.sleep(0.5)\n",
    )
    server = started(serve, store, **code.environ)

    assert server.get("/similar/slow").status == 504

    wait_until(lambda: server.get("/similar/alien").status == 200)
    assert server.log.read_text().count("asked") == 1


def test_a_killed_side_worker_is_replaced(server):
    """By another side worker; its counts stay."""
    [killed] = server.side_workers()
    server.wait_for_ticks()

    os.kill(killed, signal.SIGKILL)

    server.wait_for_workers(other_than=[killed])
    [new] = wait_until(server.side_workers)
    assert new != killed
    found = wait_until(lambda: server.get("/metrics").text)
    assert 'marquee_requests_total{source="similar",status="200"} 0.0' not in found


def test_a_reload_replaces_side_workers(serve, store, tmp_path):
    """Each pool keeps its size, also when the sizes change."""
    (tmp_path / "marquee.toml").write_text("[serve]\nworkers = 2\n")
    make_snapshot(store, {"ann": ["alien"]}, ["casablanca"], similar={"alien": ["diva"]})
    server = serve(nginx=True)
    for workers, side in ((2, 1), (1, 3), (3, 1)):
        (tmp_path / "marquee.toml").write_text(
            f"[serve]\nworkers = {workers}\nside_workers = {side}\n"
        )
        old = server.workers()
        server.process.send_signal(signal.SIGHUP)

        wait_until(
            lambda w=workers, s=side, o=old: (
                len(server.workers()) == w + s
                and len(server.side_workers()) == s
                and not set(server.workers()) & set(o)
            )
        )
        wait_until(lambda: server.get("/recommend/ann").source == "list")
        wait_until(lambda: server.get("/similar/alien").body == b"diva")


def test_a_bare_server_has_no_side_workers(answering):
    """It has one listener, and every worker answers everything."""
    assert answering.side_workers() == []
    assert answering.get("/recommend/ann?history=alien+1979").source == "list"


# Floods


def test_floods_of_the_worst_requests_fail_no_list(serve, store, tmp_path):
    """32 connections for each route; every other client's answer is right."""
    generation = write_snapshot(store, 300)
    server = serve("--workers", "2", nginx=True, MARQUEE_SERVE_EXPENSIVE_RATE_LIMIT="0")
    wait_until(lambda: server.get("/recommend/1").source == "list")
    address, statuses = (server.host, server.port), {}
    with Load(address, 300, tmp_path, rate=100, client="127.0.0.2") as load:
        for route, request in worst_requests(generation).items():
            with Flood(address, request, 32) as flood:
                wait_until(lambda f=flood: f.n_answers >= 100)
            statuses[route] = flood.statuses

    assert load.seen.n_failed == 0, load.seen.examples
    assert load.seen.sources["list"] > 0
    assert statuses["history"][200] >= 100
    assert "ended with" not in server.log.read_text()
    wait_until(lambda: server.get("/recommend/1").source == "list")


# Histories


def test_the_first_100_ids_of_a_history_are_used(serve, store):
    """Repeated and malformed ones do not count; the number of ignored ones is in a header."""
    own = [f"own{n}" for n in range(20)]
    make_snapshot(store, {"ann": own}, ["casablanca"])
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    seen = [f"seen{n}" for n in range(99)]

    def ask_with(history):
        answer = server.get(f"/recommend/ann?history={','.join(history)}&n=1")
        return answer.text, answer.headers["X-Marquee-Ignored"]

    assert ask_with([*seen, "own0"]) == ("own1", None)
    assert ask_with([*seen, *seen, "%22", "", "own0"]) == ("own1", None)
    assert ask_with([*seen, "own0", "own1"]) == ("own1", "1 history ids")
    assert ask_with([*seen, "own0", *(f"more{n}" for n in range(500))]) == (
        "own1",
        "500 history ids",
    )


def test_the_first_16_parameters_of_a_query_are_used(answering):
    """Those behind them are ignored."""
    assert answering.get(f"/recommend/ann?{'a=b&' * 15}n=1").text == "alien+1979"
    assert answering.get(f"/recommend/ann?{'a=b&' * 16}n=1").text == "alien+1979,brazil+1985"


# Limits of expensive requests


def statuses_of(server, target, n, client="127.0.0.1"):
    with connect_from(server, client) as connection:
        return Counter(ask(connection, target).status for _ in range(n))


def test_expensive_requests_have_a_rate_limit_by_default(server):
    """The excess gets 429; lists of the same client have no limit.

    Each target is asked by a client of its own, who has not used up the limit of both.
    """
    for target, client in (("/similar/alien", "127.0.0.3"), (HISTORY, "127.0.0.4")):
        assert statuses_of(server, target, 200, client).keys() == {200, 429}
        assert statuses_of(server, "/recommend/ann", 200, client) == {200: 200}
    assert statuses_of(server, "/metrics", 200) == {200: 200}


def test_the_form_of_429_is_that_of_the_route(serve, store):
    """One line of text for a list, problem+json elsewhere."""
    server = started(serve, store, MARQUEE_SERVE_EXPENSIVE_RATE_LIMIT="1")
    refused = {
        target: wait_until(
            lambda t=target: found if (found := server.get(t)).status == 429 else None
        )
        for target in (HISTORY, "/similar/alien")
    }

    assert refused[HISTORY].text == "429 Too Many Requests: slow down\n"
    assert refused["/similar/alien"].headers["Content-Type"] == "application/problem+json"
    assert json.loads(refused["/similar/alien"].body)["title"] == "429 Too Many Requests"
    assert get_from(server, "127.0.0.2", "/similar/alien").status == 200


def test_the_rate_limit_of_expensive_requests_can_be_disabled(serve, store):
    """With 0."""
    server = started(serve, store, MARQUEE_SERVE_EXPENSIVE_RATE_LIMIT="0")

    assert statuses_of(server, HISTORY, 200) == {200: 200}


def test_clients_of_one_ipv6_network_share_their_limits(serve, store, tmp_path):
    """All addresses of a /64 are one client; an IPv4 address is one alone."""
    code = CodeCopy(tmp_path / "code")
    code.change("serve/supervisor/nginx_config.py", '"$client" if ":" in host', '"$client" if host')
    code.change(
        "serve/supervisor/nginx.conf",
        "    @client_network@\n",
        "    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Client;\n    @client_network@\n",
    )
    server = started(serve, store, MARQUEE_SERVE_EXPENSIVE_RATE_LIMIT="1", **code.environ)

    def n_answered(*clients):
        answers = [server.get("/similar/alien", headers={"X-Client": one}) for one in clients]
        return sum(answer.status == 200 for answer in answers)

    assert n_answered(*(f"2001:db8:0:1::{n:x}" for n in range(1, 40))) < 30
    assert n_answered(*(f"2001:db8:0:{n:x}::1" for n in range(2, 40))) == 38
    assert n_answered(*(f"::ffff:10.0.0.{n}" for n in range(1, 40))) == 39
    assert n_answered(*(f"10.0.1.{n}" for n in range(1, 40))) == 39


# Metrics


def test_metrics_are_for_loopback_by_default(server):
    """Other addresses get 403."""
    refused = get_from(server, "127.0.0.2", "/metrics")

    assert server.get("/metrics").status == 200
    assert refused.status == 403
    assert json.loads(refused.body) == {"status": 403, "title": "403 Forbidden"}


def test_networks_may_be_allowed_to_read_metrics(serve, store, tmp_path):
    """As configured."""
    (tmp_path / "marquee.toml").write_text('[serve]\nmetrics_allow = ["127.0.0.0/24", "::1"]\n')
    server = started(serve, store)

    assert get_from(server, "127.0.0.2", "/metrics").status == 200
    assert get_from(server, "127.0.1.2", "/metrics").status == 403


@pytest.mark.parametrize("network", ["all", "127.0.0.1/8", "127.0.0.1; allow all", ""])
def test_only_addresses_and_networks_may_be_allowed(network):
    """Others are refused when the settings are read."""
    with pytest.raises(ValueError, match="metrics_allow"):
        ServeSettings(metrics_allow=(network,))


def test_metrics_are_rendered_once_a_second():
    """Within it a scrape gets the same text; later another."""
    state = WorkerState(ServeSettings(), Scoreboard(1))
    cached, fresh = Metrics(state, max_age_seconds=3600.0), Metrics(state, max_age_seconds=0.0)
    before = cached.text()
    state.scoreboard.count("swaps")

    assert cached.text() == before
    assert fresh.text() != before


# Connections


def test_refused_bodies_hold_no_file(serve, store):
    """A refused request whose body never ends costs nginx one descriptor, its connection."""
    server = started(serve, store, MARQUEE_SERVE_CONCURRENT_REQUESTS_PER_CLIENT="2")
    folder = str(runtime_dir(server))

    def open_files():
        _, workers = nginx_pids(server)
        entries = [entry for pid in workers for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return [str(entry.readlink()) for entry in entries if entry.exists()]

    with contextlib.ExitStack() as opened:
        peers = [opened.enter_context(server.dial()) for _ in range(40)]
        for peer in peers:
            peer.sendall(HALF_BODY)
        answered = wait_until(lambda: len(found := readable(peers)) >= 38 and found)
        answers = {peer.recv(12) for peer in answered}
        held = {name for name in open_files() if name.startswith(folder)}

    assert answers == {b"HTTP/1.1 429"}
    assert held == {f"{folder}/owner"}  # the lock, which each process holds


def test_half_sent_bodies_of_one_client_leave_room_for_others(serve, store):
    """Twice as many as connections are allowed for: others are answered, nginx logs no error."""
    server = started(
        serve,
        store,
        MARQUEE_SERVE_CONNECTIONS="200",
        MARQUEE_SERVE_CONCURRENT_REQUESTS_PER_CLIENT="100",
    )
    with contextlib.ExitStack() as opened:
        for _ in range(300):
            opened.enter_context(server.dial()).sendall(HALF_BODY)
        answers = [get_from(server, "127.0.0.2", "/recommend/ann") for _ in range(50)]

    assert {answer.source for answer in answers} == {"list"}
    assert "accept4" not in server.log.read_text()


def test_idle_connections_leave_room_for_others(serve, store):
    """More than nginx has room for: it closes the idle ones."""
    server = started(serve, store, MARQUEE_SERVE_CONNECTIONS="100")
    with contextlib.ExitStack() as opened:
        for _ in range(1000):
            opened.enter_context(server.dial())
        answers = [get_from(server, "127.0.0.2", "/recommend/ann") for _ in range(50)]

    assert {answer.source for answer in answers} == {"list"}
    assert "accept4" not in server.log.read_text()


def test_half_sent_headers_are_closed_soon(server):
    """After 3 seconds, without an answer."""
    with server.dial() as peer:
        peer.settimeout(8)
        peer.sendall(b"GET /recommend/ann HTTP/1.1\r\nHost: a\r\nX-Half: ")

        with contextlib.suppress(ConnectionResetError):
            assert peer.recv(4096) == b""
