"""Users in shards: the same answers as from one file, and fallbacks for shards elsewhere."""

import contextlib
import http.client
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

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


def test_the_front_asks_a_machine_that_has_the_shard(servers, tmp_path):
    """Ids may be encoded; the machine of two shards is asked, and never for another's user."""
    whole, divided, two_shards = servers
    users = [*USERS, *UNKNOWN, *(urllib.parse.quote(user, safe="") for user in USERS[-4:])]
    n_before = n_lists(two_shards)
    with front({two_shards: "0,1", divided: "all"}, tmp_path) as connection:
        assert [answer(connection, user) for user in users] == answers(whole, users)
    wait_until(lambda: n_lists(two_shards) > n_before)


def test_a_publish_and_the_loss_of_a_machine_cost_no_request(tmp_path):
    """Two machines and their front, asked without a pause; each answer is of one generation."""
    store = tmp_path / "store"
    make_snapshot(store, **contents(), n_shards=N_SHARDS)
    with contextlib.ExitStack() as running:
        first, second = (machine(running, tmp_path / name, store) for name in "ab")
        connection = running.enter_context(front({first: "all", second: "all"}, tmp_path))
        old = dict(zip(USERS, answers(first, USERS), strict=True))
        with asking(connection.port, USERS) as found:
            lists = {user: names[::-1] for user, names in contents()["lists"].items()}
            make_snapshot(store, **contents() | {"lists": lists}, n_shards=N_SHARDS)
            for server in (first, second):
                server.wait_for_generation(2)
            wait_until(lambda: n_lists(first) and n_lists(second))
            n_before = len(found)
            for pid in first.processes():
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: len(found) > n_before + 3 * len(USERS))
        new = dict(zip(USERS, answers(second, USERS), strict=True))
    assert all(old[user] != new[user] for user in USERS)
    assert [one for one in found if one[1] not in (old[one[0]], new[one[0]])] == []
    assert found[0][1] == old[found[0][0]]
    assert all(one == new[user] for user, one in found[-2 * len(USERS) :])


def machine(running, folder, store):
    """Start a server with files of its own."""
    folder.mkdir()
    server = running.enter_context(Server(store, folder, "--workers", "1"))
    server.wait_for_generation(1)
    return server


@contextlib.contextmanager
def asking(port, users, n_clients=3):
    """Ask for users in turns until the `with` ends; yield the users and answers so far."""
    found, is_over = [], threading.Event()

    def visit(users):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            for user in itertools.takewhile(lambda _: not is_over.is_set(), itertools.cycle(users)):
                found.append((user, answer(connection, user)))

    with ThreadPoolExecutor(n_clients) as pool:
        visits = [pool.submit(visit, users[number::n_clients]) for number in range(n_clients)]
        try:
            yield found
        finally:
            is_over.set()
    for one in visits:
        one.result()  # raises what ended a client


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
