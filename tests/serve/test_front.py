"""Two machines behind one front: what befalls one of them costs no request.

Each has a store of its own, which pulls from one remote, and all shards.
"""

import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from benchmarks.harness.servers import free_port
from store.config import StoreSettings
from store.pull import pull
from store.push import push
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from tests.serve.server import Server, wait_until
from tests.serve.sharded import N_SHARDS, USERS, asking, contents, front, n_lists
from tests.snapshots import make_snapshot

pytestmark = pytest.mark.alone
NAMES = ("a", "b")
MIN_SHARE = 0.4  # of the answers: both shards that ask a machine first; with one it would be 0.25


def lists_of(generation):
    """Return the lists of a generation: no user has the same in two of them."""
    return {user: names[generation:] for user, names in contents()["lists"].items()}


BODIES = {
    user: [",".join(lists_of(generation)[user]).encode() for generation in range(1, 4)]
    for user in USERS
}


class Machine:
    """A server and its store; what starts again has the same port."""

    def __init__(self, name, folder, remote):
        self.name, self.remote = name, remote
        self.folder, self.store = folder / name, folder / name / "store"
        self.folder.mkdir()
        self.port = free_port()
        self.server: Any = None

    def start(self):
        options = ("--workers", "1", "--port", str(self.port))
        self.server = Server(self.store, self.folder, *options).__enter__()

    def stop(self):
        if self.server:
            self.server.stop()

    def kill(self):
        for pid in self.server.processes():
            os.kill(pid, signal.SIGKILL)
        self.server.stop()  # reads its exit status

    def follow(self):
        """Pull until the machine has flipped."""
        replica = ReplicaSettings(
            self.name, NAMES, max_wait_seconds=2.0, lead_seconds=0.3, report_seconds=0.5
        )
        while not pull(self.store, Remote(str(self.remote)), StoreSettings(), replica).is_current:
            pass

    def answers_its_share(self, found):
        """Return whether the front asks it first again for each shard that it should."""
        n_before, n_own = len(found), n_lists(self.server)
        wait_until(lambda: len(found) > n_before + 2 * len(USERS))
        return n_lists(self.server) - n_own > MIN_SHARE * (len(found) - n_before)


class Pair:
    """The machines, the store that they pull from, and the port of their front."""

    def __init__(self, folder):
        self.origin, self.remote = folder / "origin", folder / "remote"
        self.machines = [Machine(name, folder, self.remote) for name in NAMES]
        self.port = 0

    def publish(self, generation):
        lists = {**contents(), "lists": lists_of(generation)}
        assert make_snapshot(self.origin, **lists, n_shards=N_SHARDS) == generation
        push(self.origin, Remote(str(self.remote)))

    def follow(self, machines):
        with ThreadPoolExecutor() as pool:
            list(pool.map(Machine.follow, machines))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Generation 1 on both machines, and their front."""
    pair = Pair(folder := tmp_path_factory.mktemp("pair"))
    with contextlib.ExitStack() as running:
        pair.publish(1)
        pair.follow(pair.machines)
        for machine in pair.machines:
            running.callback(machine.stop)
            machine.start()
            machine.server.wait_for_generation(1)
        routes = front(dict.fromkeys(pair.machines, "all"), folder)
        pair.port = running.enter_context(routes).port
        yield pair


def generations(found):
    """Return the generations that each user was answered from, in order; all answers are right."""
    by_user: dict[str, list[int]] = {user: [] for user in USERS}
    for user, (status, source, closed, body) in found:
        assert (status, source, closed) == (200, "list", None), user
        by_user[user].append(BODIES[user].index(body) + 1)
    return by_user


def test_a_rolling_upgrade_costs_no_request(pair):
    """One machine after the other: SIGTERM, its last answers, and a new process."""
    with asking(pair.port, USERS) as found:
        for machine in pair.machines:
            wait_until(lambda one=machine: one.answers_its_share(found))
            old = machine.server.process.pid
            machine.stop()
            machine.start()
            assert machine.server.process.pid != old
            wait_until(lambda one=machine: one.answers_its_share(found))
    assert all(seen == [1] * len(seen) and len(seen) > 4 for seen in generations(found).values())


def test_publishes_and_the_loss_of_a_machine_cost_no_request_and_none_goes_back_in_time(pair):
    """A publish with both machines, one while a machine is lost, and its return."""
    lost, other = pair.machines
    with asking(pair.port, USERS) as found:
        pair.follow(pair.machines)  # so that their reports are new, as if they had watched
        pair.publish(2)
        pair.follow(pair.machines)
        for machine in pair.machines:
            machine.server.wait_for_generation(2)
        wait_until(lambda: lost.answers_its_share(found))
        lost.kill()
        pair.publish(3)
        other.follow()  # without the lost one, after `max_wait_seconds`
        other.server.wait_for_generation(3)
        lost.follow()  # before its server starts: else users would get generation 2 again
        lost.start()
        wait_until(lambda: lost.answers_its_share(found))
    for user, seen in generations(found).items():
        assert seen == sorted(seen), user
        assert {*seen} == {1, 2, 3}, user
