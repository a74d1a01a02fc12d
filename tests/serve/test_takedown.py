"""What is taken down vanishes from every answer, and the lists stay as long as they were."""

import time

import pytest

from serve.worker.app import Served
from store.snapshot import open_snapshot
from store.takedown import restore, take_down, takedown_file
from tests.serve.running import wait_until
from tests.snapshots import make_snapshot

LISTS = {"ann": ["a", "b", "c"], "bob": ["d", "e"], "cal": ["x"]}
SPARES = {"ann": ["s", "t"]}
POPULAR = ["p", "b", "q"]
RESERVE = ["r", "a"]


@pytest.fixture
def stocked(store):
    """A store whose lists have spares, and whose popular list has a reserve."""
    make_snapshot(store, LISTS, POPULAR, spares=SPARES, segments={"reserve": RESERVE})
    return store


@pytest.fixture
def server(serve, stocked):
    running = serve("--workers", "2")
    running.wait_for_generation(1)
    return running


def lists_without(store, *hidden):
    with open_snapshot(store, 1) as snapshot:
        served = Served(snapshot, frozenset(name.encode() for name in hidden))
        users = {user: served.get(user.encode()) for user in [*LISTS, "nobody"]}
        return users, b",".join(served.answer(b"nobody").names)


def body_of_all_workers(server, target, n_asked=20):
    return {server.get(target).text for _ in range(n_asked)}


# What an answer is then


def test_nothing_taken_down_asks_the_table_itself(stocked):
    """The hot path has no filter in it while there is nothing to filter."""
    with open_snapshot(stocked, 1) as snapshot:
        assert Served(snapshot).get is snapshot.users.get


def test_spares_come_first(stocked):
    """The user's own next items fill the places, in their order."""
    users, _ = lists_without(stocked, "a", "c")
    assert users["ann"] == b"b,s,t"


def test_then_the_popular_list_and_its_reserve(stocked):
    """Where the spares end, the popular list goes on; nothing comes twice."""
    users, _ = lists_without(stocked, "a", "c", "s", "t", "p")
    assert users["ann"] == b"b,q,r"


def test_a_list_without_the_item_is_not_touched(stocked):
    """Others are served as they stand."""
    users, _ = lists_without(stocked, "a")
    assert users["bob"] == b"d,e"


def test_the_popular_list_is_topped_up_from_the_reserve(stocked):
    """Strangers get as many items as before."""
    _, popular = lists_without(stocked, "b")
    assert popular.startswith(b"p,q,r")


def test_unknown_users_stay_unknown(stocked):
    """A takedown makes no list for whom there is none."""
    users, _ = lists_without(stocked, "a")
    assert users["nobody"] is None


def test_a_list_that_has_nothing_left_is_none(stocked):
    """Then the chain goes on to the next source, never to an empty answer."""
    users, popular = lists_without(stocked, "x", *POPULAR, *RESERVE)
    assert users["cal"] is None
    assert popular == b""


# On a running server


def test_every_worker_leaves_it_out_within_a_second(server, stocked):
    """From the moment that the command has returned."""
    take_down(stocked, ["a"], "licence ended")
    time.sleep(1)
    assert body_of_all_workers(server, "/recommend/ann") == {"b,c,s"}


def test_the_undo_brings_it_back(server, stocked):
    """The list is the snapshot's own again."""
    take_down(stocked, ["a"], "by mistake")
    wait_until(lambda: body_of_all_workers(server, "/recommend/ann") == {"b,c,s"})
    restore(stocked, ["a"], "it was one")
    wait_until(lambda: body_of_all_workers(server, "/recommend/ann") == {"a,b,c"})


def test_a_new_snapshot_does_not_bring_it_back(server, stocked):
    """A takedown stays until it is undone, whatever is published."""
    take_down(stocked, ["a"], "licence ended")
    make_snapshot(stocked, {"ann": ["a", "z"]}, ["a", "y"], spares={"ann": ["w"]})
    server.wait_for_generation(2)
    assert body_of_all_workers(server, "/recommend/ann") == {"z,w"}


def test_a_respawned_worker_knows_it(server, stocked, kill_all_workers):
    """It is read at the start, before the first answer."""
    take_down(stocked, ["a"], "licence ended")
    kill_all_workers(server)
    server.wait_for_generation(1)
    assert body_of_all_workers(server, "/recommend/ann") == {"b,c,s"}


def test_the_emergency_list_obeys(serve, store):
    """Even the list in the configuration leaves it out."""
    take_down(store, ["b"], "licence ended")
    server = serve("--workers", "1", MARQUEE_SERVE_EMERGENCY_LIST='["a", "b", "c"]')
    assert server.get("/recommend/ann").text == "a,c"


def test_health_counts_them(server, stocked):
    """Ops see at a glance that something is withheld."""
    take_down(stocked, ["a", "q"], "licence ended")
    wait_until(lambda: server.health()["taken_down"] == 2)


def test_a_broken_takedown_file_changes_nothing(server, stocked):
    """What cannot be read is logged, and the last good state stays in force."""
    take_down(stocked, ["a"], "licence ended")
    wait_until(lambda: body_of_all_workers(server, "/recommend/ann") == {"b,c,s"})
    takedown_file(stocked).write_bytes(b"\xff\xfe\x00")
    server.wait_for_log("keeps to the last takedowns")
    assert body_of_all_workers(server, "/recommend/ann") == {"b,c,s"}


def test_a_broken_takedown_file_holds_up_no_publish(server, stocked):
    """New snapshots are followed all the same."""
    takedown_file(stocked).write_bytes(b"\xff\xfe\x00")
    server.wait_for_log("keeps to the last takedowns")
    make_snapshot(stocked, {"ann": ["z"]}, ["y"])
    server.wait_for_generation(2)
