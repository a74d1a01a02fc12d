"""Users in shards: the same answers as from one file, and fallbacks for shards elsewhere."""

import contextlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import urllib.parse

import pytest

from benchmarks.harness.servers import free_port
from serve.__main__ import main
from store.shards import shard_of
from store.takedown import take_down
from tests.nginx_process import running_nginx
from tests.serve.server import ROOT, Server, ask, wait_until
from tests.snapshots import make_snapshot

N_SHARDS = 4
ITEMS = [f"film+{number}" for number in range(60)]
ADULT = {name: {"adult": number % 3 == 0} for number, name in enumerate(ITEMS)}
USERS = [*(f"{number:06}" for number in range(0, 3000, 10)), "me@home", "a+b", "x&y", "[z]"]
UNKNOWN = [f"stranger{number}" for number in range(40)]
PROFILES = dict.fromkeys(UNKNOWN[:30:2], "25-34/F") | dict.fromkeys(UNKNOWN[1:30:2], "F minor")
HIDDEN = ITEMS[7]


def contents():
    """Return the content of a snapshot, the same at each call."""
    rng = random.Random(3)
    drawn = {user: rng.sample(ITEMS, 15) for user in USERS}
    return {
        "lists": {user: names[:10] for user, names in drawn.items()},
        "popular": ITEMS[:20],
        "spares": {user: names[10:] for user, names in drawn.items()},
        "segments": {"25-34/F": ITEMS[20:40], "F": ITEMS[40:60]},
        "profiles": PROFILES,
        "about": ADULT,
        "parameters": {"rules": {"adult_filter": True}},
    }


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores of the same data: in one file, and in shards."""
    folder = tmp_path_factory.mktemp("stores")
    for name, n_shards in (("whole", 1), ("divided", N_SHARDS)):
        make_snapshot(folder / name, **contents(), n_shards=n_shards)
        take_down(folder / name, [HIDDEN], "test")
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
            serve("c", "divided", MARQUEE_SERVE_SHARDS="0,1"),
        )


def answers(server, users):
    """Return status, source, closed shard and body for each user."""
    with server.connect() as connection:
        return [answer(connection, user) for user in users]


def answer(connection, user):
    found = ask(connection, f"/recommend/{user}")
    return found.status, found.source, found.headers["X-Marquee-Closed-Shard"], found.body


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


def test_the_front_asks_a_machine_that_has_the_shard_and_loses_none_with_a_machine(
    servers, stores, tmp_path
):
    """Each user's answer is that of one server of all users, also while a machine is killed."""
    whole, divided, _ = servers
    users = [*USERS, *UNKNOWN, *(urllib.parse.quote(user, safe="") for user in USERS[-4:])]
    expected = dict(zip(users, answers(whole, users), strict=True))
    assert len({*expected.values()}) > len(USERS)
    two_shards = {"MARQUEE_SERVE_SHARDS": "0,1"}
    with Server(stores / "divided", tmp_path, "--workers", "1", **two_shards) as other:
        other.wait_for_generation(1)
        with front({other: "0,1", divided: "all"}, tmp_path) as connection:
            for number, user in enumerate(itertools.chain(users, users)):
                if number == len(users) // 2:
                    wait_until(lambda: n_lists(other))
                    for pid in other.processes():
                        os.kill(pid, signal.SIGKILL)
                assert answer(connection, user) == expected[user], user


def n_lists(server):
    """Return the number of users' own lists that a server has answered."""
    [n_answers] = re.findall(
        r'requests_total\{source="list",\S* (\d+)', server.get("/metrics").text
    )
    return int(n_answers)


def front(machines, folder):
    """Start nginx with the routes to some servers, and yield a connection to it."""
    port = free_port()
    named = (f"--machine=127.0.0.1:{server.port}={text}" for server, text in machines.items())
    verb = [sys.executable, "-m", "serve", "routes", "--shards", str(N_SHARDS), *named]
    verb += ["--listen", f"127.0.0.1:{port}"]
    routes = subprocess.run(verb, cwd=ROOT, capture_output=True, check=True, text=True)
    return running_nginx(folder, port, routes.stdout)


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
