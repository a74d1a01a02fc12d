"""Takedowns: items vanish from every answer, and lists keep their length."""

import pytest

from serve.worker.served import Served
from serve.worker.worker import TICK_SECONDS
from store.snapshot import open_snapshot
from store.takedown import restore, take_down, takedown_file
from tests.serve.server import wait_until
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


def body_of_all_workers(server, target, n_requests=20):
    return {server.get(target).text for _ in range(n_requests)}


# Lists without hidden items


def test_without_takedowns_the_table_itself_is_read(stocked):
    """The hot path contains no filter then."""
    with open_snapshot(stocked, 1) as snapshot:
        assert Served(snapshot).get is snapshot.users.get


def test_spares_replace_hidden_items_first(stocked):
    """In their order."""
    users, _ = lists_without(stocked, "a", "c")
    assert users["ann"] == b"b,s,t"


def test_the_popular_list_and_its_reserve_follow_the_spares(stocked):
    """No item comes twice."""
    users, _ = lists_without(stocked, "a", "c", "s", "t", "p")
    assert users["ann"] == b"b,q,r"


def test_a_list_without_the_item_does_not_change(stocked):
    """It is served as stored."""
    users, _ = lists_without(stocked, "a")
    assert users["bob"] == b"d,e"


def test_the_popular_list_is_completed_from_the_reserve(stocked):
    """Unknown users get as many items as before."""
    _, popular = lists_without(stocked, "b")
    assert popular.startswith(b"p,q,r")


def test_unknown_users_stay_unknown(stocked):
    """A takedown does not make a list for them."""
    users, _ = lists_without(stocked, "a")
    assert users["nobody"] is None


def test_a_list_without_any_item_left_is_none(stocked):
    """The chain then continues with the next source."""
    users, popular = lists_without(stocked, "x", *POPULAR, *RESERVE)
    assert users["cal"] is None
    assert popular == b""


# On a running server


def test_every_worker_hides_the_item_at_its_next_tick(server, stocked):
    """Ticks are a tenth of a second apart, so that the item vanishes within a second."""
    take_down(stocked, ["a"], "licence ended")
    server.wait_for_ticks()
    assert 2 * TICK_SECONDS < 1
    assert body_of_all_workers(server, "/recommend/ann") == {"b,c,s"}


def test_a_restore_brings_the_item_back(server, stocked):
    """The list is the snapshot's own again."""
    take_down(stocked, ["a"], "by mistake")
    wait_until(lambda: body_of_all_workers(server, "/recommend/ann") == {"b,c,s"})
    restore(stocked, ["a"], "it was one")
    wait_until(lambda: body_of_all_workers(server, "/recommend/ann") == {"a,b,c"})


def test_a_new_snapshot_does_not_bring_the_item_back(server, stocked):
    """A takedown stays until it is undone."""
    take_down(stocked, ["a"], "licence ended")
    make_snapshot(stocked, {"ann": ["a", "z"]}, ["a", "y"], spares={"ann": ["w"]})
    server.wait_for_generation(2)
    assert body_of_all_workers(server, "/recommend/ann") == {"z,w"}


def test_a_respawned_worker_hides_the_item(server, stocked, kill_all_workers):
    """It reads the takedowns before its first answer."""
    take_down(stocked, ["a"], "licence ended")
    kill_all_workers(server)
    server.wait_for_generation(1)
    assert body_of_all_workers(server, "/recommend/ann") == {"b,c,s"}


def test_takedowns_apply_to_the_emergency_list(serve, store):
    """The configured list omits the item."""
    take_down(store, ["b"], "licence ended")
    server = serve("--workers", "1", MARQUEE_SERVE_EMERGENCY_LIST='["a", "b", "c"]')
    assert server.get("/recommend/ann").text == "a,c"


def test_health_counts_takedowns(server, stocked):
    """`taken_down` is their number."""
    take_down(stocked, ["a", "q"], "licence ended")
    wait_until(lambda: server.health()["taken_down"] == 2)


def test_a_broken_takedown_file_keeps_the_last_takedowns(server, stocked):
    """The error is logged."""
    take_down(stocked, ["a"], "licence ended")
    wait_until(lambda: body_of_all_workers(server, "/recommend/ann") == {"b,c,s"})
    takedown_file(stocked).write_bytes(b"\xff\xfe\x00")
    server.wait_for_log("takedowns stay as last read")
    assert body_of_all_workers(server, "/recommend/ann") == {"b,c,s"}


def test_a_broken_takedown_file_does_not_delay_a_publish(server, stocked):
    """New snapshots are followed."""
    takedown_file(stocked).write_bytes(b"\xff\xfe\x00")
    server.wait_for_log("takedowns stay as last read")
    make_snapshot(stocked, {"ann": ["z"]}, ["y"])
    server.wait_for_generation(2)
