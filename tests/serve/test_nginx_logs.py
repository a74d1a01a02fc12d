"""What nginx logs and what it adds: no query, no old lines, and headers for browsers."""

import base64
import hashlib
import os
import re

import pytest

from tests.serve.nginx_parts import no_workers
from tests.serve.server import wait_until
from tests.serve.test_nginx import LISTED, log_lines, served
from tests.snapshots import make_snapshot


@pytest.fixture
def server(serve, store):
    """Two workers of generation 1 behind nginx."""
    make_snapshot(store, LISTED, ["casablanca", "diva"])
    return served(serve)


# The logs


def test_the_access_log_leaves_out_the_query(server, tmp_path):
    """A viewing history stands there; also where nginx itself answers."""
    for target in (
        "/recommend/ann?history=secret1",
        "/recommend/a,b?history=secret2",
        "/similar/secret3?n=0",
        "/problems/404.json?secret4",
        "/recommend/ann?secret5?secret6",
    ):
        server.get(target)
    server.exchange(b"BREW /?secret7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    path = tmp_path / "var/log/access.log"
    lines = wait_until(lambda: found if len(found := log_lines(path)) == 6 else None)

    assert sorted(line["request"] for line in lines) == [  # each nginx worker writes by itself
        "BREW / HTTP/1.1",
        "GET /problems/404.json HTTP/1.1",
        "GET /recommend/a,b HTTP/1.1",
        "GET /recommend/ann HTTP/1.1",
        "GET /recommend/ann HTTP/1.1",
        "GET /similar/secret3 HTTP/1.1",
    ]
    assert "secret" not in server.log.read_text() + path.read_text().replace("secret3", "")


def test_the_servers_log_leaves_out_the_query(server):
    """nginx's error lines would hold it, where no worker answers."""
    with no_workers(server):
        assert server.get("/recommend/ann?history=secret").source == "static"
        assert server.get("/similar/ann?history=secret").status in (502, 504)

    assert "secret" not in server.log.read_text()


def test_old_access_logs_are_rotated_and_removed(serve, store, tmp_path):
    """By the time of the first line, and of the last change."""
    make_snapshot(store, LISTED, ["casablanca"])
    path = tmp_path / "var/log/access.log"
    path.parent.mkdir(parents=True)
    logs = [path, *(path.with_name(f"access.log.{n}") for n in (1, 2))]
    path.write_text('{"time":"2020-01-01T00:00:00+00:00","request":"old"}\n')
    logs[1].write_text("recent\n")
    logs[2].write_text("old\n")
    os.utime(logs[2], (0, 0))
    server = served(serve, MARQUEE_SERVE_ACCESS_LOG_DAYS="1")

    wait_until(lambda: "old" in logs[1].read_text())
    assert logs[2].read_text() == "recent\n"
    assert not path.with_name("access.log.3").exists()
    server.get("/recommend/ann")
    wait_until(lambda: path.exists() and "old" not in path.read_text())


def test_without_an_age_limit_old_access_logs_stay(serve, store, tmp_path):
    """The counterpart: 0 keeps them."""
    make_snapshot(store, LISTED, ["casablanca"])
    path = tmp_path / "var/log/access.log"
    path.parent.mkdir(parents=True)
    path.write_text('{"time":"2020-01-01T00:00:00+00:00","request":"old"}\n')
    server = served(serve, MARQUEE_SERVE_ACCESS_LOG_DAYS="0")
    server.get("/recommend/ann")

    wait_until(lambda: len(path.read_text().splitlines()) > 1)
    assert "old" in path.read_text()


# Headers for browsers


@pytest.mark.parametrize(
    "target", ["/", "/openapi.json", "/nowhere", "/similar/none", "/problems/404.json"]
)
def test_pages_and_problems_have_headers_for_browsers(server, target):
    """Neither another type, nor a frame, nor any foreign script."""
    headers = server.get(target).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_the_page_allows_its_own_script_and_style(server):
    """By their hashes."""
    answer = server.get("/try")
    for tag in ("script", "style"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in answer.headers["Content-Security-Policy"]


def test_lists_have_no_headers_for_browsers(server):
    """A list is one line of text for programs; each header costs time."""
    assert "Content-Security-Policy" not in server.get("/recommend/ann").headers


def test_an_unknown_transfer_encoding_is_a_problem_too(server):
    """501 with a JSON body, as the other statuses of nginx."""
    answer = server.exchange(
        b"POST /recommendations HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b'{"status": 501, "title": "501 Not Implemented"}' in answer
    assert b"nosniff" in answer
