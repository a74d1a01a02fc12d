"""Fresh lists under a running server: they come first, or not at all."""

import json
import time

import pytest

from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.worker.follower import Follower
from serve.worker.state import WorkerState
from store.fresh import FreshList, FreshWriter, encode, fresh_file
from store.publish import publish
from store.takedown import restore, take_down
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot

LISTS = {"ann": ["a", "b", "c"], "bob": ["d", "e"]}
POPULAR = ["p", "q", "r"]


def write(store, user="ann", body=b"x,y,z", spares=b"s,t", *, generation=1, age_hours=0.0):
    made = FreshList(generation, time.time() - 3600 * age_hours, body, spares)
    with FreshWriter(store) as writer:
        writer.put([(user.encode(), made, b"")])


def wait_for(server, user, text, source):
    """Return once 12 answers in a row are that list, so that every worker has followed."""
    found = (text, source)
    wait_until(
        lambda: all(
            (answer.text, answer.source) == found
            for answer in (server.get(f"/recommend/{user}") for _ in range(12))
        )
    )


@pytest.fixture
def published(store):
    make_snapshot(store, LISTS, POPULAR, spares={"ann": ["s"]})
    make_snapshot(store, {"ann": ["n"]}, POPULAR, flip=False)
    return store


@pytest.fixture
def server(serve, published):
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


@pytest.fixture
def fresh(server, published):
    """The same server, with a fresh list of Ann."""
    write(published)
    wait_for(server, "ann", "x,y,z", "fresh")
    return server


def test_a_fresh_list_comes_first(fresh, published):
    """It names source and generation; each commit takes effect; others keep their lists."""
    answer = fresh.get("/recommend/ann")
    assert (answer.headers["Content-Length"], answer.generation) == ("5", 1)
    assert fresh.get("/recommend/bob").source == "list"
    write(published, body=b"x,y")
    wait_for(fresh, "ann", "x,y", "fresh")
    write(published, "new", b"u")
    wait_for(fresh, "new", "u", "fresh")


def test_other_forms_of_the_request_answer_the_same_list(fresh):
    """Fewer items, JSON, a history, POST."""
    assert fresh.get("/recommend/ann?n=2").text == "x,y"
    assert fresh.get("/recommend/ann?history=y").text == "x,z,s"
    found = json.loads(fresh.get("/recommend/ann?format=json").body)
    assert (found["source"], [item["item_id"] for item in found["items"]]) == ("fresh", [*"xyz"])


def test_lists_of_another_generation_are_not_used(fresh, published):
    """Neither before the speed layer has followed a publish, nor after a roll-back."""
    publish(published, 2, "test")
    wait_for(fresh, "ann", "n", "list")
    write(published, body=b"v", generation=2)
    wait_for(fresh, "ann", "v", "fresh")
    publish(published, 1, "test")
    wait_for(fresh, "ann", "a,b,c", "list")


def test_an_old_list_is_not_used(serve, published):
    """`fresh_hours` is its limit; 0 switches fresh lists off."""
    write(published, age_hours=2)
    running = serve("--workers", "1", MARQUEE_SERVE_FRESH_HOURS="3")
    wait_for(running, "ann", "x,y,z", "fresh")
    write(published, age_hours=4)
    wait_for(running, "ann", "a,b,c", "list")


@pytest.mark.parametrize("hours", [0, 1])
def test_without_hours_no_fresh_list_is_used(published, hours):
    write(published)
    state = WorkerState(ServeSettings(fresh_hours=hours), Scoreboard(1))
    state.scoreboard.generation = 1
    state.scoreboard.fresh_inode = fresh_file(published).stat().st_ino
    Follower(state, published, "worker").look()
    assert state.served
    assert state.served.answer(b"ann").source == ("fresh" if hours else "list")
    state.served.snapshot.close()
    if state.fresh:
        state.fresh.close()


def test_a_damaged_list_is_not_served(fresh, published, monkeypatch):
    """A value whose bytes changed, and the value of another user."""

    def damaged(user_id, made):
        return encode(user_id, made).replace(b"x,y", b"x,o")

    monkeypatch.setattr("store.fresh.encode", damaged)
    write(published)
    wait_for(fresh, "ann", "a,b,c", "list")
    monkeypatch.setattr("store.fresh.encode", lambda _, made: encode(b"rex", made))
    write(published)
    wait_for(fresh, "ann", "a,b,c", "list")


def test_takedowns_act_on_fresh_lists(fresh, published):
    """Spares of the fresh list fill it up, until the item is restored."""
    take_down(published, ["y"], "test")
    wait_for(fresh, "ann", "x,z,s", "fresh")
    assert "y" not in fresh.get("/recommend/ann?history=z").text.split(",")
    restore(published, ["y"], "test")
    wait_for(fresh, "ann", "x,y,z", "fresh")


def test_the_file_may_vanish_and_return(fresh, published):
    """Without it the snapshot's lists are served; a new one is used."""
    fresh_file(published).unlink()
    wait_for(fresh, "ann", "a,b,c", "list")
    write(published, body=b"w")
    wait_for(fresh, "ann", "w", "fresh")


def test_fresh_lists_are_counted_by_source(fresh):
    """Beside the others, in `/metrics`."""

    def n_fresh():
        line = 'marquee_requests_total{source="fresh",status="200"} '
        lines = fresh.get("/metrics").text.splitlines()
        return next(float(one.removeprefix(line)) for one in lines if one.startswith(line))

    before = n_fresh()
    for _ in range(20):
        fresh.get("/recommend/ann")
    wait_until(lambda: n_fresh() >= before + 20)
