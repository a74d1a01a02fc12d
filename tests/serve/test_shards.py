"""Users in shards: the same answers as from one file, and fallbacks for shards elsewhere."""

import contextlib
import re
import urllib.parse

import pytest

from serve.__main__ import main
from store.config import StoreSettings
from store.pull import pull
from store.push import push
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from store.shards import shard_of
from store.takedown import take_down
from tests.serve.server import Server, wait_until
from tests.serve.sharded import (
    ADULT,
    HIDDEN,
    N_SHARDS,
    UNKNOWN,
    USERS,
    answer,
    answers,
    contents,
    front,
    n_lists,
)
from tests.snapshots import make_snapshot


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Stores of the same data: in one file, in shards, and one that pulled two of these."""
    folder = tmp_path_factory.mktemp("stores")
    for name, n_shards in (("whole", 1), ("divided", N_SHARDS)):
        make_snapshot(folder / name, **contents(), n_shards=n_shards)
        take_down(folder / name, [HIDDEN], "test")
    remote = Remote(str(folder / "remote"))
    push(folder / "divided", remote)
    pull(folder / "partial", remote, StoreSettings(), ReplicaSettings(shards="0,1"))
    return folder


@pytest.fixture(scope="module")
def servers(stores):
    """Servers of the whole store, of all shards, and of two of them."""
    with contextlib.ExitStack() as running:

        def serve(name, store, **environ):
            (stores / name).mkdir()
            server = Server(stores / store, stores / name, "--workers", "1", **environ)
            running.enter_context(server).wait_for_generation(1)
            return server

        yield (
            serve("a", "whole"),
            serve("b", "divided"),
            serve("c", "partial", MARQUEE_SERVE_SHARDS="0,1"),
        )


def test_shards_and_one_file_give_every_user_the_same_answer(servers):
    whole, divided, _ = servers
    users = [*USERS, *UNKNOWN]
    expected = answers(whole, users)
    assert answers(divided, users) == expected
    assert {source for _, source, _, _ in expected} == {"list", "segment", "popular"}
    assert len({body for *_, body in expected}) > len(USERS)
    assert not any(HIDDEN in body.decode().split(",") for *_, body in expected)


def test_users_of_a_closed_shard_get_a_fallback_that_says_so(servers):
    """Its profiles are elsewhere, too, so nobody of it gets an adult title."""
    whole, _, two_shards = servers
    users = [*USERS[-100:], *UNKNOWN]
    for user, own, found in zip(
        users, answers(whole, users), answers(two_shards, users), strict=True
    ):
        shard = shard_of(user.encode(), N_SHARDS)
        if shard < 2:
            assert found == own
        else:
            status, source, closed, body = found
            assert (status, source, closed) == (200, "popular", str(shard))
            assert not any(ADULT[name]["adult"] for name in body.decode().split(","))
    metrics = two_shards.get("/metrics").text
    [n_closed] = re.findall(r'requests_total\{source="closed_shard",status="200"\} (\d+)', metrics)
    assert int(n_closed) > 0


def test_the_front_asks_a_machine_that_has_the_shard(servers, tmp_path):
    """Ids may be encoded; the machine of two shards is asked, and never for another's user."""
    whole, divided, two_shards = servers
    users = [*USERS, *UNKNOWN, *(urllib.parse.quote(user, safe="") for user in USERS[-4:])]
    n_before = n_lists(two_shards)
    with front({two_shards: "0,1", divided: "all"}, tmp_path) as connection:
        assert [answer(connection, user) for user in users] == answers(whole, users)
    wait_until(lambda: n_lists(two_shards) > n_before)


@pytest.mark.parametrize(
    ("machines", "problem"),
    [
        (["a:1=0,1", "b:1=2"], "none serves shard 3"),
        (["a:1=0,4", "b:1=all"], "shard 4 does not exist"),
        (["a:1;=all"], "is not a machine"),
    ],
)
def test_routes_without_a_shard_are_refused(machines, problem, capsys):
    named = [f"--machine={machine}" for machine in machines]
    assert main(["routes", "--shards", str(N_SHARDS), *named]) == 1
    assert problem in capsys.readouterr().err
