"""`POST /events`: each accepted event is on disk before the answer, whatever comes with it."""

import contextlib
import http.client
import json
import os
import random
import re
import signal
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from serve.admin.event_lines import EventFault, stream_lines
from store.locks import locked
from store.spool import spool_files, spool_folder
from store.takedown import takedowns
from tests.serve.server import Server, wait_until
from tests.serve.test_admin import ENVIRON, TOKEN, done, post, refused
from tests.snapshots import make_snapshot

NOW = datetime(2026, 11, 14, 12, 23, 12, 345678, UTC)
VIEW = {"type": "view", "user_id": "42", "item_id": "alien+1979", "minute": 16}
RATING = {"type": "rating", "user_id": 42, "item_id": "alien+1979", "rating": 4.0}
ACCOUNT = {"type": "account", "user_id": "42"}
AT = {"at": "2026-02-14T00:09:21"}


def json_lines(*events):
    return "".join(json.dumps(event) + "\n" for event in events)


def spooled(server):
    return b"".join(file.path.read_bytes() for file in spool_files(spool_folder(server.store)))


@pytest.fixture(scope="module")
def posting(tmp_path_factory):
    """A server with a token, and a small limit of a body and of the spool."""
    folder = tmp_path_factory.mktemp("events")
    make_snapshot(folder / "store", {"ann": ["alien"]}, ["popular"])
    limits = {"MARQUEE_SERVE_EVENTS_KIB": "64", "MARQUEE_SERVE_SPOOL_MIB": "1",
              "MARQUEE_SERVE_SPOOL_MIN_FREE_MIB": "0"}  # fmt: skip
    with Server(folder / "store", folder, "--workers", "1", nginx=True, **ENVIRON, **limits) as one:
        one.wait_for_generation(1)
        yield one


# Lines


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (VIEW | AT, "2026-02-14T00:09:21,42,GET /data/m/alien+1979/16.mpg"),
        (RATING | AT, "2026-02-14T00:09:21,42,GET /rate/alien+1979=4"),
        (ACCOUNT | AT, "2026-02-14T00:09:21,42,GET /create_account"),
        (ACCOUNT, "2026-11-14T12:23:12,42,GET /create_account"),
        (ACCOUNT | {"at": "2026-02-14T00:09"}, "2026-02-14T00:09:00,42,GET /create_account"),
        (ACCOUNT | {"at": 1}, "1970-01-01T00:00:01,42,GET /create_account"),
        (ACCOUNT | {"at": "2026-02-14T00:09:21.987654321+01:30"},
         "2026-02-13T22:39:21,42,GET /create_account"),
    ],
)  # fmt: skip
def test_an_event_becomes_a_line_of_the_stream(event, line):
    assert stream_lines(json_lines(event).encode(), NOW) == ([line + "\n"], [])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"type": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'"view"', "not a JSON object"),
        (b'{"type": "vi\xffew"}', "not UTF-8"),
        (b'{"type": "view", "type": "view"}', "has a key twice"),
        (b"{}", "type must be"),
        (json.dumps(VIEW | {"type": ["view"]}).encode(), "type must be"),
        (json.dumps(VIEW | {"time": 5}).encode(), "'time' is not a key of a view"),
        (json.dumps(VIEW | {"rating": 5}).encode(), "'rating' is not a key of a view"),
        (json.dumps(VIEW | {"user_id": "a,b"}).encode(), "a user id is"),
        (json.dumps(VIEW | {"item_id": "a/1.mpg\n2026"}).encode(), "an item id is"),
        (json.dumps(VIEW | {"item_id": "\ud800"}).encode(), "an item id is"),
        (json.dumps(VIEW | {"minute": True}).encode(), "minute must be"),
        (json.dumps(VIEW | {"minute": 1.5}).encode(), "minute must be"),
        (json.dumps(RATING | {"rating": -1}).encode(), "rating must be"),
        (json.dumps(ACCOUNT | {"at": None}).encode(), "at must be"),
        (json.dumps(ACCOUNT | {"at": "2026-02-30T00:00:00"}).encode(), "at must be"),
        (json.dumps(ACCOUNT | {"at": "2026-02-14"}).encode(), "at must be"),
        (json.dumps(ACCOUNT | {"at": 1_771_000_000_000}).encode(), "at must be"),
        (b'{"type": "account", "user_id": 1, "at": NaN}', "at must be"),
    ],
)
def test_a_faulty_line_is_named(line, why):
    """With its number; the lines around it, and blank ones, are not faulty."""
    good = json_lines(VIEW | AT).encode()
    found = stream_lines(good + b"\r\n" + line + b"\n" + good.replace(b"\n", b"\r\n"), NOW)
    assert len(found.lines) == 2
    assert [fault.line for fault in found.faults] == [3]
    assert why in found.faults[0].why
    assert all(line.count("\n") == 1 for line in found.lines)


# Requests


def test_events_are_on_disk_when_they_are_answered(posting):
    """Faulty lines do not keep the others from being stored; the answer names them."""
    before = spooled(posting)
    answer = post(posting, "/events", json_lines(VIEW | AT, {"type": "x"}, RATING | AT))
    assert answer.status == 202
    assert json.loads(answer.body) == {
        "accepted": 2, "rejected": 1,
        "faults": [EventFault(2, "type must be one of view, rating, account")._asdict()],
    }  # fmt: skip
    assert spooled(posting)[len(before) :] == (
        b"2026-02-14T00:09:21,42,GET /data/m/alien+1979/16.mpg\n"
        b"2026-02-14T00:09:21,42,GET /rate/alien+1979=4\n"
    )


def test_a_body_without_a_valid_event_is_refused(posting):
    """Nothing is stored; an empty one is shown an example."""
    before = spooled(posting)
    problem = refused(post(posting, "/events", json_lines(*[{"type": "x"}] * 9)), 400)
    assert problem["detail"].startswith("line 1: type must be")
    assert problem["detail"].endswith("and 6 more")
    assert "alien+1979" in refused(post(posting, "/events", "\n"), 400)["detail"]
    assert spooled(posting) == before


def test_without_the_token_the_body_is_not_even_taken(posting):
    """nginx asks for the token first: a body that never comes is not waited for."""
    refused(post(posting, "/events", json_lines(VIEW), None), 401)
    answer = post(posting, "/events", json_lines(VIEW), "wrong")
    refused(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    with posting.dial() as peer:
        peer.sendall(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
        assert peer.recv(12) == b"HTTP/1.1 401"
    assert refused(posting.get("/events-token", headers={"Authorization": f"Bearer {TOKEN}"}), 404)


def test_other_methods_and_long_bodies_are_refused(posting):
    """A body of the limit itself is accepted, longer than any other request's."""
    refused(posting.get("/events"), 405)
    body = json_lines(VIEW)
    refused(post(posting, "/events", body + " " * (65_537 - len(body))), 413)
    assert post(posting, "/events", body + " " * (65_536 - len(body))).status == 202


def test_a_full_spool_is_503_and_says_what_to_do(posting):
    """It is not full before its limit."""
    body = json_lines(*[VIEW | AT] * 600)
    answers = [post(posting, "/events", body) for _ in range(40)]
    assert {answer.status for answer in answers} == {202, 503}
    problem = refused(answers[-1], 503)
    assert "stream collect" in problem["detail"]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert 1 << 19 < len(spooled(posting)) <= 1 << 20


def test_without_a_token_or_a_spool_there_are_no_events(behind_nginx, serve, store):
    """Nothing answers the path, and the description omits it."""
    refused(post(behind_nginx, "/events", json_lines(VIEW)), 404)
    make_snapshot(store, {"ann": ["alien"]}, ["popular"])
    server = serve("--workers", "1", nginx=True, **ENVIRON, MARQUEE_SERVE_SPOOL_MIB="0")
    refused(post(server, "/events", json_lines(VIEW)), 404)
    assert "/events" not in json.loads(server.get("/openapi.json").body)["paths"]
    assert done(post(server, "/admin/train", {"why": "x"}))


# Crashes


def events_process(server):
    """The pid of the process that answers `/events`: it alone holds the lock of the spool."""
    lock = spool_folder(server.store) / "LOCK"
    for pid in server.processes():
        with contextlib.suppress(OSError):
            if any(fd.readlink() == lock for fd in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
    return None


def post_or_none(server, body):
    try:
        return post(server, "/events", body).status
    except (OSError, http.client.HTTPException):
        return None


def test_a_killed_process_loses_nothing_that_was_confirmed(serve, store):
    """SIGKILL within requests, then a reload: each confirmed event is there, and whole."""
    make_snapshot(store, {"ann": ["alien"]}, ["popular"])
    server = serve("--workers", "1", nginx=True, **ENVIRON)
    rng, confirmed, n_unanswered, killers = random.Random(5), {}, 0, []
    for number in range(40):
        user, n_events = str(1000 + number), 1 + number * 20
        body = json_lines(*[VIEW | AT | {"user_id": user}] * n_events)
        if number % 5 == 4:
            wait_until(lambda: post_or_none(server, json_lines(VIEW | AT)) == 202)
            arguments = events_process(server), signal.SIGKILL
            killers.append(threading.Timer(rng.random() * 0.01, os.kill, arguments))
            killers[-1].start()
        if post_or_none(server, body) == 202:
            confirmed[user] = n_events
        else:
            n_unanswered += 1
    for killer in killers:  # the last one may be later than the answer
        killer.join()
    wait_until(lambda: post_or_none(server, json_lines(VIEW | AT)) == 202)
    before = events_process(server)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: events_process(server) != before)
    wait_until(lambda: post_or_none(server, json_lines(VIEW | AT)) == 202)

    found = Counter(line.split(",")[1] for line in spooled(server).decode().splitlines())
    assert re.fullmatch(
        r"(2026-02-14T00:09:21,\d+,GET /data/m/alien\+1979/16\.mpg\n)+", spooled(server).decode()
    )
    assert confirmed.items() <= found.items()
    assert n_unanswered > 0
    assert len(spool_files(spool_folder(store))) > 4


def test_a_takedown_does_not_wait_for_events(serve, store):
    """Events have a process of their own; it is stopped, and a takedown is answered."""
    make_snapshot(store, {"ann": ["alien"]}, ["popular"])
    server = serve("--workers", "1", nginx=True, **ENVIRON)
    assert post(server, "/events", json_lines(VIEW)).status == 202
    pid = events_process(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        done(post(server, "/admin/takedown", {"why": "rights", "items": ["brazil"]}))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "brazil" in takedowns(store)


def test_a_second_server_of_a_store_is_told_so(serve, store):
    """The spool has one writer."""
    make_snapshot(store, {"ann": ["alien"]}, ["popular"])
    spool_folder(store).mkdir()
    server = serve("--workers", "1", nginx=True, **ENVIRON)
    with locked(spool_folder(store) / "LOCK"):
        assert (
            "another process" in refused(post(server, "/events", json_lines(VIEW)), 503)["detail"]
        )
    assert post(server, "/events", json_lines(VIEW)).status == 202
