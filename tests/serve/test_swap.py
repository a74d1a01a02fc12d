"""Publish and rollback under a running server: workers follow, and no answer is mixed."""

import contextlib
import resource
import threading
import time

import pytest

from store.prune import prune
from store.publish import rollback, writing
from tests.serve.server import ask, wait_until
from tests.snapshots import make_snapshot

FOLLOW_SECONDS = 2
OLD, NEW = ["alien", "brazil"], ["diva", "eraserhead", "fargo"]
BODIES = {1: b"alien,brazil", 2: b"diva,eraserhead,fargo"}
POPULAR = ["casablanca"]


class Client(threading.Thread):
    """Sends requests on one keep-alive connection without a pause, and records the answers.

    Attributes:
        answers: Pairs of request time and answer, in order.
        error: Exception that ended the thread, None without one.
    """

    def __init__(self, connection):
        super().__init__()
        self.answers = []
        self.error = None
        self._connection = connection
        self._is_finished = threading.Event()

    def run(self):
        try:
            while not self._is_finished.is_set():
                sent_at = time.monotonic()
                self.answers.append((sent_at, ask(self._connection, "/recommend/ann")))
        except Exception as error:
            self.error = error

    def finish(self):
        self._is_finished.set()
        self.join()

    def newest(self):
        return self.answers[-1][1].generation if self.answers else None


@contextlib.contextmanager
def load(server, n_clients=2):
    """Run that many clients on each worker."""
    with contextlib.ExitStack() as opened:
        clients = [
            Client(opened.enter_context(server.connect_to(worker)))
            for worker in server.wait_for_workers()
            for _ in range(n_clients)
        ]
        for client in clients:
            client.start()
            opened.callback(client.finish)
        wait_until(lambda: all(client.answers for client in clients))
        yield clients


def follow(clients, generation):
    """Return once that generation has answered every client."""
    wait_until(lambda: all(client.newest() == generation for client in clients))


def last_to_follow(clients, generation, flipped_at):
    """Seconds from the flip until that generation has answered every client.

    A client that follows between the flip and the note of its time counts from its next answer.
    """
    first = [
        min(at for at, got in client.answers if at > flipped_at and got.generation == generation)
        for client in clients
    ]
    return max(first) - flipped_at


@pytest.fixture
def published(store):
    make_snapshot(store, {"ann": OLD}, POPULAR)
    return store


@pytest.fixture
def two_workers(serve, published):
    server = serve("--workers", "2")
    server.wait_for_generation(1)
    return server


def test_all_workers_follow_a_publish_within_two_seconds(two_workers, published):
    """Measured under load at the last client of the last worker."""
    with load(two_workers) as clients:
        make_snapshot(published, {"ann": NEW}, POPULAR)
        flipped_at = time.monotonic()
        follow(clients, 2)

    assert last_to_follow(clients, 2, flipped_at) < FOLLOW_SECONDS


def test_all_workers_follow_a_rollback_within_two_seconds(two_workers, published):
    """Measured in the same way."""
    make_snapshot(published, {"ann": NEW}, POPULAR)
    with load(two_workers) as clients:
        follow(clients, 2)
        rollback(published, why="a test")
        flipped_at = time.monotonic()
        follow(clients, 1)

    assert last_to_follow(clients, 1, flipped_at) < FOLLOW_SECONDS


def test_no_answer_is_mixed_during_swaps(two_workers, published):
    """Each is 200, and its header agrees with its body."""
    with load(two_workers) as clients:
        make_snapshot(published, {"ann": NEW}, POPULAR)
        follow(clients, 2)
        rollback(published, why="a test")
        follow(clients, 1)
        rollback(published, why="forth again", to=2)
        follow(clients, 2)

    assert [client.error for client in clients] == [None] * 4
    for client in clients:
        for _, answer in client.answers:
            assert (answer.status, answer.source) == (200, "list")
            assert answer.body == BODIES[answer.generation]


def test_no_client_sees_an_old_generation_again(two_workers, published):
    """On one connection generations only increase."""
    with load(two_workers) as clients:
        make_snapshot(published, {"ann": NEW}, POPULAR)
        follow(clients, 2)

    for client in clients:
        seen = [answer.generation for _, answer in client.answers]
        assert seen == sorted(seen)


def test_a_user_of_the_new_snapshot_gets_a_list(two_workers, published):
    """And a user missing in it gets the popular one."""
    make_snapshot(published, {"zoe": NEW}, POPULAR)

    for worker in two_workers.wait_for_workers():
        with two_workers.connect_to(worker) as connection:
            wait_until(lambda c=connection: ask(c, "/recommend/zoe").source == "list")
            assert ask(connection, "/recommend/ann").source == "popular"


def test_a_swap_closes_the_old_snapshot(two_workers, published):
    """Once all workers have followed, a sweep may remove it."""
    make_snapshot(published, {"ann": NEW}, POPULAR)
    with writing(published):
        wait_until(lambda: prune(published, keep=1) == [1])

    assert two_workers.get("/recommend/ann").generation == 2


def test_the_served_snapshot_is_kept_by_a_sweep(two_workers, published):
    """Its open files are locked, also if it is not current."""
    make_snapshot(published, {"ann": NEW}, POPULAR, flip=False)
    make_snapshot(published, {"ann": NEW}, POPULAR, flip=False)
    with writing(published):
        assert prune(published, keep=1) == [2]

    assert two_workers.get("/recommend/ann").body == BODIES[1]


def test_a_worker_out_of_descriptors_follows_later(serve, published):
    """Meanwhile it serves the old list."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    [worker] = server.wait_for_workers()
    limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    with server.connect_to(worker) as connection:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, limits[1]))
        make_snapshot(published, {"ann": NEW}, POPULAR)
        server.wait_for_log("worker 0: cannot open generation 2, still serving generation 1")
        assert ask(connection, "/recommend/ann").body == BODIES[1]
        resource.prlimit(worker, resource.RLIMIT_NOFILE, limits)

        wait_until(lambda: ask(connection, "/recommend/ann").generation == 2)
