"""A snapshot in shards, servers of it, and the front that divides the requests among them."""

import contextlib
import http.client
import itertools
import random
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from benchmarks.harness.servers import free_port
from tests.nginx_process import running_nginx
from tests.serve.server import ROOT, ask

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


def answers(server, users):
    """Return status, source, closed shard and body for each user."""
    with server.connect() as connection:
        return [answer(connection, user) for user in users]


def answer(connection, user):
    found = ask(connection, f"/recommend/{user}")
    return found.status, found.source, found.headers["X-Marquee-Closed-Shard"], found.body


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
