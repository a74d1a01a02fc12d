"""`hide_source`: answers do not show whether a user is known."""

import json

import pytest

from tests.snapshots import make_snapshot

HIDDEN = {"MARQUEE_SERVE_HIDE_SOURCE": "true"}
KNOWN, UNKNOWN = "ann", "zoe"


@pytest.fixture(params=[False, True], ids=["bare", "nginx"])
def started(request, serve, store):
    """Start a server of one known user, whose list is the popular one."""

    def start(**environ):
        make_snapshot(store, {KNOWN: ["alien"]}, ["alien"])
        server = serve("--workers", "1", nginx=request.param, **environ)
        server.wait_for_generation(1)
        return server

    return start


def raw(server, target):
    """The bytes of an answer without its date."""
    request = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    lines = server.exchange(request.encode()).split(b"\r\n")
    return [line for line in lines if not line.startswith((b"Date:", b"date:"))]


def post(server, path, body):
    return json.loads(server.get(path, "POST", {"Content-Type": "application/json"}, body).body)


def test_known_and_unknown_users_get_the_same_bytes(started):
    """Headers, their order and their letters, and the body."""
    server = started(**HIDDEN)

    assert raw(server, f"/recommend/{KNOWN}") == raw(server, f"/recommend/{UNKNOWN}")
    assert server.get(f"/recommend/{KNOWN}").generation == 1


def test_neither_json_nor_predictions_name_a_source(started):
    """`source` and `basis` are left out."""
    server = started(**HIDDEN)
    for user in (KNOWN, UNKNOWN):
        answer = server.get(f"/recommend/{user}?format=json")
        assert "source" not in json.loads(answer.body)
        assert answer.source is None
        assert "source" not in post(server, "/recommendations", f'{{"user_id": "{user}"}}')
        found = post(server, "/predict", f'{{"user_id": "{user}", "movie_id": "alien"}}')
        assert "rating" in found
        assert "basis" not in found


def test_the_source_is_shown_by_default(started):
    """The counterpart."""
    server = started()

    assert server.get(f"/recommend/{KNOWN}").source == "list"
    assert server.get(f"/recommend/{UNKNOWN}").source == "popular"
    assert post(server, "/predict", f'{{"user_id": "{KNOWN}", "movie_id": "alien"}}')["basis"]


def test_metrics_still_count_by_source(started):
    """They are the operator's."""
    server = started(**HIDDEN)
    server.get(f"/recommend/{UNKNOWN}")
    server.wait_for_ticks()

    assert 'source="popular",status="200"} 1' in server.get("/metrics").text
