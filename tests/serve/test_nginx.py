"""nginx in front of the workers: what it passes on, and what it answers by itself."""

import json
import os
import shutil
import signal
import stat
import tempfile
from pathlib import Path

import pytest

from store.takedown import restore, take_down
from tests.serve.nginx_parts import nginx_pids, no_workers, static_list
from tests.serve.server import ask, suspend, wait_until
from tests.snapshots import make_snapshot

LISTED = {"ann": ["alien", "brazil"]}
CONDITIONS = [
    {"Range": "bytes=0-1"},
    {"If-None-Match": '"abc"'},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Fri, 31 Dec 2100 23:59:59 GMT"},
    {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"If-Match": '"abc"'},
    {"If-Match": "0"},  # which nginx takes for false
    {"If-Range": '"abc"', "Range": "bytes=0-1"},
]


@pytest.fixture
def server(serve, store):
    """Two workers of generation 1 behind nginx."""
    make_snapshot(store, LISTED, ["casablanca", "diva"])
    return served(serve)


def served(serve, *options, **more):
    server = serve("--workers", "2", *options, nginx=True, **more)
    wait_until(lambda: static_list(server))
    server.wait_for_workers()
    return server


def named(headers):
    return ", ".join(f"{name}: {text}" for name, text in headers.items())


def log_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# Requests that it passes on or refuses


def test_an_answer_passes_unchanged(behind_nginx):
    """Status, list, and the headers that name its source."""
    answer = behind_nginx.get("/recommend/ann")

    assert (answer.status, answer.body) == (200, b"alien+1979,brazil+1985")
    assert (answer.source, answer.generation) == ("list", 1)
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_head_has_the_length_and_no_body(behind_nginx):
    """On one connection, where a body left over would break the second answer."""
    with behind_nginx.connect() as connection:
        for _ in range(2):
            answer = ask(connection, "/recommend/ann", "HEAD")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["Content-Length"] == str(len("alien+1979,brazil+1985"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_recommendations_accept_only_get_and_head(behind_nginx, method):
    """Others get 405 from nginx, without a worker."""
    answer = behind_nginx.get("/recommend/ann", method)

    assert answer.status == 405
    assert answer.source is None
    if method != "TRACE":  # nginx itself refuses that one, everywhere
        assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("target", ["/", "/metrics", "/predict"])
def test_other_paths_accept_only_get_head_and_post(behind_nginx, target, method):
    """Others get 405 as problem+json."""
    answer = behind_nginx.get(target, method)

    assert answer.status == 405
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert json.loads(answer.body)["status"] == 405


@pytest.mark.parametrize("target", ["/recommend/ann", "/recommend/nobody"])
@pytest.mark.parametrize("conditions", CONDITIONS, ids=named)
def test_conditional_and_range_requests_get_the_whole_list(behind_nginx, conditions, target):
    """The answer is 200, whatever the client has cached."""
    plain = behind_nginx.get(target)

    answer = behind_nginx.get(target, headers=conditions)

    assert (answer.status, answer.body) == (200, plain.body)


@pytest.mark.parametrize("target", ["/recommendations", "/predict"])
def test_bodies_are_limited(behind_nginx, target):
    """A larger one gets 413."""
    json_type = {"Content-Type": "application/json"}
    body, n_bytes = b'{"user_id": "ann", "movie_id": "alien+1979"}', 16_384

    assert behind_nginx.get(target, "POST", json_type, body.ljust(n_bytes)).status == 200
    assert behind_nginx.get(target, "POST", json_type, body.ljust(n_bytes + 1)).status == 413


def test_headers_are_limited(behind_nginx):
    """4 KB pass, 9 KB get 400."""
    assert behind_nginx.get("/recommend/ann", headers={"Cookie": "x" * 4000}).status == 200
    answer = behind_nginx.exchange(
        b"GET /recommend/ann HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n" % (b"x" * 9000)
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_the_length_of_a_target_is_limited(behind_nginx):
    """Beyond 8 KiB nginx answers 414."""
    assert behind_nginx.get("/recommend/" + "x" * 9000).status == 414


def test_a_second_request_in_two_packets_is_answered(behind_nginx):
    """Bare bjoern crashes at it."""
    request = b"GET /recommend/ann HTTP/1.1\r\nHost: a\r\n"
    with behind_nginx.dial() as peer:
        peer.sendall(request + b"\r\n")
        assert b"alien+1979" in peer.recv(65536)
        peer.sendall(request)
        peer.sendall(b"Connection: close\r\n\r\n")
        assert b"alien+1979" in b"".join(iter(lambda: peer.recv(65536), b""))


def test_nginx_workers_are_not_root(behind_nginx):
    """Also if root has started the server."""
    _, workers = nginx_pids(behind_nginx)

    assert workers
    assert all(Path(f"/proc/{pid}").stat().st_uid for pid in workers)


# The static list


def test_with_every_worker_dead_the_static_list_is_served(server):
    """200, the popular list and its source; HEAD gets its length."""
    with no_workers(server):
        answer = server.get("/recommend/ann")
        head = server.get("/recommend/ann", "HEAD")

    assert (answer.status, answer.source, answer.body) == (200, "static", b"casablanca,diva")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "15", b"")
    wait_until(lambda: server.get("/recommend/ann").source == "list")


def test_with_every_worker_hung_the_static_list_is_served(server):
    """Within the client's patience; later the user's own list is back."""
    for pid in server.wait_for_workers():
        suspend(pid)

    answer = server.get("/recommend/ann")

    assert (answer.status, answer.source, answer.body) == (200, "static", b"casablanca,diva")
    wait_until(lambda: server.get("/recommend/ann").source == "list")


def test_conditional_and_range_requests_get_the_whole_static_list(server):
    """Also from an nginx that has replaced a killed one."""
    [master], _ = nginx_pids(server)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: nginx_pids(server)[0] not in ([], [master]))
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


def test_a_conditional_request_without_any_list_gets_503(serve):
    """With the text of unconditional requests."""
    server = serve("--workers", "2", nginx=True)
    wait_until(lambda: server.get("/healthz").status == 200)
    with no_workers(server):
        answer = server.get("/recommend/ann", headers={"If-None-Match": "*"})

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.text.startswith("no list to serve yet")


def test_the_static_list_is_never_304(server):
    """A client that has cached this very file gets it again."""
    with no_workers(server):
        dated = server.get("/recommend/ann").headers["Last-Modified"] or "none"
        answer = server.get("/recommend/ann", headers={"If-Modified-Since": dated})

    assert (answer.status, answer.body) == (200, b"casablanca,diva")


def test_the_static_list_follows_the_generation(server, store):
    """A publish changes it."""
    make_snapshot(store, LISTED, ["eraserhead"])

    wait_until(lambda: static_list(server) == b"eraserhead")


def test_the_static_list_follows_takedowns(server, store):
    """Items taken down vanish from it, and return when restored."""
    take_down(store, ["casablanca"], "a test")
    wait_until(lambda: static_list(server) == b"diva")

    restore(store, ["casablanca"], "a test")
    wait_until(lambda: static_list(server) == b"casablanca,diva")


def test_the_static_list_has_no_adult_title(serve, store):
    """Without a worker a minor cannot be told from an adult."""
    adult = {"casablanca": {"adult": True}}
    make_snapshot(store, LISTED, ["alien", "casablanca", "diva"], about=adult)

    assert static_list(served(serve)) == b"alien,diva"


def test_without_a_snapshot_the_static_list_is_the_emergency_list(serve, tmp_path):
    """The store is empty."""
    (tmp_path / "marquee.toml").write_text('[serve]\nemergency_list = ["fargo", "gattaca"]\n')
    server = served(serve)

    with no_workers(server):
        answer = server.get("/recommend/ann")

    assert (answer.status, answer.source, answer.body) == (200, "static", b"fargo,gattaca")


def test_without_any_list_the_answer_is_503(serve):
    """In words, with Retry-After: no worker, empty store, no emergency list."""
    server = serve("--workers", "2", nginx=True)
    wait_until(lambda: server.get("/healthz").status == 200)
    with no_workers(server):
        answer = server.get("/recommend/ann")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.text.startswith("no list to serve yet")


def test_other_paths_have_no_static_answer(server):
    """They get 502 or 504 as problem+json, which does not name the upstream."""
    with no_workers(server):
        answer = server.get("/model/status")

    assert answer.status in (502, 504)
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert json.loads(answer.body)["status"] == answer.status


# The access log


def test_the_access_log_has_a_json_line_for_each_request(server, tmp_path):
    """Client, request, time, source and generation."""
    path = tmp_path / "var/log/access.log"
    server.get("/recommend/ann")
    server.get("/recommend/a,b")

    lines = wait_until(lambda: found if len(found := log_lines(path)) == 2 else None)

    assert [line["status"] for line in lines] == [200, 400]
    assert (lines[0]["source"], lines[0]["generation"]) == ("list", "1")
    assert lines[0]["request"] == "GET /recommend/ann HTTP/1.1"
    assert {"time", "client", "bytes", "seconds"} <= lines[0].keys()
    assert stat.S_ISREG(path.stat().st_mode)


def test_the_access_log_names_the_static_list(server, tmp_path):
    """An operator sees which requests no worker answered."""
    with no_workers(server):
        server.get("/recommend/ann")
        server.get("/recommend/ann", headers={"If-None-Match": "*"})

    lines = wait_until(
        lambda: found if len(found := log_lines(tmp_path / "var/log/access.log")) == 2 else None
    )

    assert [line["source"] for line in lines] == ["static", "static"]


def test_the_access_log_escapes_hostile_bytes(server, tmp_path):
    """Each line is valid JSON."""
    server.exchange(
        b'GET /recommend/%22"\xff\xfe"} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    )
    path = tmp_path / "var/log/access.log"

    [line] = wait_until(
        lambda: [json.loads(raw) for raw in path.read_bytes().decode("latin-1").splitlines()]
    )

    assert line["status"] in (200, 400)


def test_the_access_log_is_rotated_by_size(serve, store, tmp_path):
    """The oldest file goes, and nginx writes into a new one."""
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


def test_a_rotation_closes_no_connection(serve, store, request):
    """Even as root, whose nginx workers are `nobody`: they pass through the folders it makes."""
    make_snapshot(store, LISTED, ["casablanca"])
    folder = Path(tempfile.mkdtemp())  # pytest's own is closed to others
    request.addfinalizer(lambda: shutil.rmtree(folder))
    folder.chmod(0o755)
    path = folder / "var/log/access.log"
    log = {"MARQUEE_SERVE_ACCESS_LOG": str(path), "MARQUEE_SERVE_ACCESS_LOG_MIB": "1"}
    server = served(serve, **log)
    with server.connect() as connection:
        assert ask(connection, "/recommend/ann").status == 200
        before = connection.sock

        path.write_text("{}\n" * (1 << 19))
        wait_until(lambda: path.with_name("access.log.1").exists() and path.exists())

        wait_until(lambda: ask(connection, "/recommend/ann").status == 200 and log_lines(path))
        assert connection.sock is before


def test_the_access_log_can_be_disabled(serve, store, tmp_path):
    """With an empty name no file is made."""
    make_snapshot(store, LISTED, ["casablanca"])
    server = served(serve, MARQUEE_SERVE_ACCESS_LOG="")

    assert server.get("/recommend/ann").status == 200
    assert not (tmp_path / "var").exists()
