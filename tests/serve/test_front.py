"""nginx before the workers: what it lets through, and what it answers when nobody else does."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from store.takedown import restore, take_down
from tests.serve.copied import nginx, no_workers, static_list
from tests.serve.running import ask, stand_still, wait_until
from tests.snapshots import make_snapshot

LISTED = {"ann": ["alien", "brazil"]}
CONDITIONS = [
    {"Range": "bytes=0-1"},
    {"If-None-Match": '"abc"'},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"},
    {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"If-Match": '"abc"'},
    {"If-Match": "0"},  # which nginx takes for false, too
    {"If-Range": '"abc"', "Range": "bytes=0-1"},
]


@pytest.fixture
def server(serve, store):
    """Two workers of generation 1 behind nginx."""
    make_snapshot(store, LISTED, ["casablanca", "diva"])
    return served(serve)


def served(serve, *options, **more):
    server = serve("--workers", "2", *options, front=True, **more)
    wait_until(lambda: static_list(server))
    server.wait_for_workers()
    return server


def named(headers):
    return ", ".join(f"{name}: {text}" for name, text in headers.items())


def log_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# What it lets through


def test_an_answer_passes_as_the_worker_made_it(fronted):
    """Status, list, and the headers that name its origin."""
    answer = fronted.get("/recommend/ann")

    assert (answer.status, answer.body) == (200, b"alien+1979,brazil+1985")
    assert (answer.source, answer.generation) == ("list", 1)
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_head_has_the_length_and_no_body(fronted):
    """Two requests on one connection: the second would find a body left over."""
    with fronted.connect() as connection:
        for _ in range(2):
            answer = ask(connection, "/recommend/ann", "HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["Content-Length"] == str(len("alien+1979,brazil+1985"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_a_recommendation_is_got_and_nothing_else(fronted, method):
    """405, the methods that there are, and no worker is asked."""
    answer = fronted.get("/recommend/ann", method)

    assert answer.status == 405
    assert answer.source is None
    if method != "TRACE":  # nginx itself refuses that one, everywhere
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("target", ["/", "/metrics", "/predict"])
def test_the_rest_is_got_or_posted(fronted, target, method):
    """405 as problem+json."""
    answer = fronted.get(target, method)

    assert answer.status == 405
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert json.loads(answer.body)["status"] == 405


@pytest.mark.parametrize("target", ["/recommend/ann", "/recommend/nobody"])
@pytest.mark.parametrize("conditions", CONDITIONS, ids=named)
def test_conditions_and_ranges_change_nothing(fronted, conditions, target):
    """200 and the whole list, whatever a client has in its cache."""
    plain = fronted.get(target)

    answer = fronted.get(target, headers=conditions)

    assert (answer.status, answer.body) == (200, plain.body)


def test_a_body_of_16_kib_is_read_and_a_larger_one_is_not(fronted):
    """413, before the whole body has come."""
    json_type = {"Content-Type": "application/json"}
    body = b'{"user_id": "ann"}'

    assert fronted.get("/recommendations", "POST", json_type, body.ljust(16384)).status == 200
    assert fronted.get("/recommendations", "POST", json_type, body.ljust(16385)).status == 413


def test_headers_that_are_too_long_are_refused(fronted):
    """Ones that real clients send pass; megabytes do not."""
    assert fronted.get("/recommend/ann", headers={"Cookie": "x" * 4000}).status == 200
    answer = fronted.exchange(
        b"GET /recommend/ann HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n" % (b"x" * 9000)
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_target_that_is_too_long_is_refused(fronted):
    """414, by the front."""
    assert fronted.get("/recommend/" + "x" * 9000).status == 414


def test_a_second_request_in_two_packets_is_answered(fronted):
    """What crashes bjoern when it is bare."""
    request = b"GET /recommend/ann HTTP/1.1\r\nHost: a\r\n"
    with fronted.dial() as peer:
        peer.sendall(request + b"\r\n")
        assert b"alien+1979" in peer.recv(65536)
        peer.sendall(request)
        peer.sendall(b"Connection: close\r\n\r\n")
        assert b"alien+1979" in b"".join(iter(lambda: peer.recv(65536), b""))


def test_its_workers_are_not_root(fronted):
    """Whoever may have started it."""
    _, workers = nginx(fronted)

    assert workers
    assert all(Path(f"/proc/{pid}").stat().st_uid for pid in workers)


# The last resort


def test_with_every_worker_dead_there_is_still_a_list(server):
    """200, the popular list, and where it comes from; to HEAD its length."""
    with no_workers(server):
        answer = server.get("/recommend/ann")
        head = server.get("/recommend/ann", "HEAD")

    assert (answer.status, answer.source, answer.body) == (200, "static", b"casablanca,diva")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "15", b"")
    wait_until(lambda: server.get("/recommend/ann").source == "list")


def test_with_every_worker_stopped_there_is_still_a_list(server):
    """A client waits no longer than for any slow answer, and later gets its own list again."""
    for pid in server.workers():
        stand_still(pid)

    answer = server.get("/recommend/ann")

    assert (answer.status, answer.source, answer.body) == (200, "static", b"casablanca,diva")
    wait_until(lambda: server.get("/recommend/ann").source == "list")


def test_conditions_and_ranges_change_nothing_of_the_last_resort(server):
    """It is a file, but nobody may notice; a front that took another's place knows it as well."""
    [master], _ = nginx(server)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: nginx(server)[0] not in ([], [master]))
    with no_workers(server):
        got = {named(one): server.get("/recommend/ann", headers=one) for one in CONDITIONS}
        head = {named(one): server.get("/recommend/ann", "HEAD", one) for one in CONDITIONS}

    whole = (200, "static", b"casablanca,diva", "text/plain; charset=utf-8")
    for name, answer in got.items():
        content_type = answer.headers["Content-Type"]
        assert (answer.status, answer.source, answer.body, content_type) == whole, name
    for name, answer in head.items():
        assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "15", b""), (
            name
        )


def test_conditions_without_any_list_are_told_so_too(serve):
    """503 in words, as without them."""
    server = serve("--workers", "2", front=True)
    wait_until(lambda: server.get("/healthz").status == 200)
    with no_workers(server):
        answer = server.get("/recommend/ann", headers={"If-None-Match": "*"})

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.text.startswith("no list to serve yet")


def test_the_last_resort_is_never_not_modified(server):
    """A client that has just this file, by its own date, gets it all the same."""
    with no_workers(server):
        dated = server.get("/recommend/ann").headers["Last-Modified"] or "none"
        answer = server.get("/recommend/ann", headers={"If-Modified-Since": dated})

    assert (answer.status, answer.body) == (200, b"casablanca,diva")


def test_the_last_resort_follows_the_generation(server, store):
    """A publish changes it as well."""
    make_snapshot(store, LISTED, ["eraserhead"])

    wait_until(lambda: static_list(server) == b"eraserhead")


def test_the_last_resort_follows_takedowns(server, store):
    """What is taken down vanishes from it, and comes back."""
    take_down(store, ["casablanca"], "a test")
    wait_until(lambda: static_list(server) == b"diva")

    restore(store, ["casablanca"], "a test")
    wait_until(lambda: static_list(server) == b"casablanca,diva")


def test_the_last_resort_has_no_adult_title(serve, store):
    """Nobody is left who could tell a minor from an adult."""
    adult = {"casablanca": {"adult": True}}
    make_snapshot(store, LISTED, ["alien", "casablanca", "diva"], about=adult)

    assert static_list(served(serve)) == b"alien,diva"


def test_the_last_resort_without_a_snapshot_is_the_configured_list(serve, tmp_path):
    """An empty store, and still an answer."""
    (tmp_path / "marquee.toml").write_text('[serve]\nemergency_list = ["fargo", "gattaca"]\n')
    server = served(serve)

    with no_workers(server):
        answer = server.get("/recommend/ann")

    assert (answer.status, answer.source, answer.body) == (200, "static", b"fargo,gattaca")


def test_without_any_list_it_says_so(serve):
    """Workers dead, store empty, nothing configured: 503 in words, and when to come back."""
    server = serve("--workers", "2", front=True)
    wait_until(lambda: server.get("/healthz").status == 200)
    with no_workers(server):
        answer = server.get("/recommend/ann")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.text.startswith("no list to serve yet")


def test_the_rest_has_no_last_resort(server):
    """A problem in JSON, which does not name what stands behind the front."""
    with no_workers(server):
        answer = server.get("/model/status")

    assert answer.status in (502, 504)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert json.loads(answer.body)["status"] == answer.status


# The access log


def test_the_access_log_has_a_json_line_for_each_request(server, tmp_path):
    """Who, what, how long, and what made the answer."""
    path = tmp_path / "var/log/access.log"
    server.get("/recommend/ann")
    server.get("/recommend/a,b")

    lines = wait_until(lambda: found if len(found := log_lines(path)) == 2 else None)

    assert [line["status"] for line in lines] == [200, 400]
    assert (lines[0]["source"], lines[0]["generation"]) == ("list", "1")
    assert lines[0]["request"] == "GET /recommend/ann HTTP/1.1"
    assert {"time", "client", "bytes", "seconds"} <= lines[0].keys()
    assert stat.S_ISREG(path.stat().st_mode)


def test_the_access_log_names_the_last_resort(server, tmp_path):
    """So an operator sees who was answered without any worker."""
    with no_workers(server):
        server.get("/recommend/ann")
        server.get("/recommend/ann", headers={"If-None-Match": "*"})

    lines = wait_until(
        lambda: found if len(found := log_lines(tmp_path / "var/log/access.log")) == 2 else None
    )

    assert [line["source"] for line in lines] == ["static", "static"]


def test_the_access_log_survives_a_hostile_request(server, tmp_path):
    """Bytes that are no text, and quotes, are escaped: each line is JSON."""
    server.exchange(
        b'GET /recommend/%22"\xff\xfe"} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    )
    path = tmp_path / "var/log/access.log"

    [line] = wait_until(
        lambda: [json.loads(raw) for raw in path.read_bytes().decode("latin-1").splitlines()]
    )

    assert line["status"] in (200, 400)


def test_the_access_log_is_rotated_by_size(serve, store, tmp_path):
    """Full, it moves aside, the oldest goes, and the front writes into a new one."""
    make_snapshot(store, LISTED, ["casablanca"])
    config = '[serve]\naccess_log_mib = 1\naccess_log_keep = 2\n[store]\npath = "store"\n'
    (tmp_path / "marquee.toml").write_text(config)
    server = served(serve)
    path = tmp_path / "var/log/access.log"
    rotated = [path.with_name(f"access.log.{n}") for n in (1, 2, 3)]

    for n in range(3):
        with path.open("a") as log:
            log.write(f'{{"filled": {n}}}\n' * (1 << 17))
        wait_until(lambda: path.exists() and path.stat().st_size < 1 << 20)

    assert [one.exists() for one in rotated] == [True, True, False]

    def is_written():
        server.get("/recommend/ann")
        return [line.get("status") for line in log_lines(path)][-1:] == [200]

    wait_until(is_written)


def test_the_access_log_can_be_left_out(serve, store, tmp_path):
    """An empty name means none, and none is made."""
    make_snapshot(store, LISTED, ["casablanca"])
    server = served(serve, MARQUEE_SERVE_ACCESS_LOG="")

    assert server.get("/recommend/ann").status == 200
    assert not (tmp_path / "var").exists()
