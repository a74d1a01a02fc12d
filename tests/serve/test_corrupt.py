"""Harm to a snapshot's files: it is refused, and the old one goes on being served."""

import os

import pytest

from store.layout import MANIFEST, RECS, snapshot_folder
from store.publish import rollback
from tests.serve.running import ask, flip_byte, force_current, wait_until
from tests.snapshots import make_snapshot

POPULAR = ["casablanca"]


def cut_short(store, generation):
    path = snapshot_folder(store, generation) / RECS
    os.truncate(path, path.stat().st_size * 9 // 10)


def lose_the_manifest(store, generation):
    (snapshot_folder(store, generation) / MANIFEST).unlink()


def lose_the_lists(store, generation):
    (snapshot_folder(store, generation) / RECS).unlink()


HARM = pytest.mark.parametrize(
    "harm", [flip_byte, cut_short, lose_the_manifest, lose_the_lists], ids=lambda f: f.__name__
)


def is_degraded(server):
    """The current snapshot has been refused, and `/healthz` says so."""
    return server.health()["status"] == "degraded"


@pytest.fixture
def two_generations(store):
    """Generation 1 is current; 2 is complete and not published."""
    make_snapshot(store, {"ann": ["alien"]}, POPULAR)
    make_snapshot(store, {"ann": ["brazil"]}, POPULAR, flip=False)
    return store


@HARM
def test_a_corrupt_new_snapshot_is_refused(serve, two_generations, harm):
    """A forced flip to harmed files changes no answer, and `/healthz` names what is harmed."""
    server = serve("--workers", "2")
    server.wait_for_generation(1)
    harm(two_generations, 2)

    force_current(two_generations, "2")

    wait_until(lambda: is_degraded(server))
    health = server.health()
    assert health["generation"] == 1
    assert "000002" in health["problem"]
    answer = server.get("/recommend/ann")
    assert (answer.status, answer.body, answer.generation) == (200, b"alien", 1)


def test_a_sound_new_snapshot_is_followed(serve, two_generations):
    """The twin: the same forced flip to unharmed files is served."""
    server = serve("--workers", "2")
    server.wait_for_generation(1)

    force_current(two_generations, "2")

    server.wait_for_generation(2)
    wait_until(lambda: server.health()["status"] == "ok")


@HARM
def test_an_older_sound_snapshot_is_served_at_start(serve, two_generations, harm):
    """When the current one is harmed at start, the newest that is whole answers."""
    harm(two_generations, 2)
    force_current(two_generations, "2")

    server = serve("--workers", "2")

    server.wait_for_generation(1)
    assert server.get("/recommend/ann").body == b"alien"
    assert is_degraded(server)
    assert "000002" in server.health()["problem"]


def test_nothing_whole_at_start_leaves_the_emergency_list(serve, store):
    """Two harmed snapshots are as an empty store: the configured list is served."""
    for generation in (1, 2):
        make_snapshot(store, {"ann": ["alien"]}, POPULAR)
        flip_byte(store, generation)

    server = serve("--workers", "1", MARQUEE_SERVE_EMERGENCY_LIST='["zulu"]')

    server.wait_for_log("000001")
    server.wait_for_log("000002")
    answer = server.get("/recommend/ann")
    assert (answer.status, answer.body, answer.source) == (200, b"zulu", "static")


def test_what_was_never_published_is_no_way_out(serve, two_generations):
    """A complete snapshot that nobody flipped to (a gate may have refused it) is not served."""
    (two_generations / "CURRENT").unlink()
    server = serve("--workers", "1")
    server.wait_for_generation(1)


def test_a_sound_publish_ends_the_trouble(serve, two_generations):
    """After a refused snapshot the next one is served, and health is ok again."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    flip_byte(two_generations, 2)
    force_current(two_generations, "2")
    wait_until(lambda: is_degraded(server))

    make_snapshot(two_generations, {"ann": ["diva"]}, POPULAR)

    server.wait_for_generation(3)
    wait_until(lambda: server.health()["status"] == "ok")


def test_a_rollback_ends_the_trouble(serve, two_generations):
    """Going back to what is served anyway makes health ok again."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    flip_byte(two_generations, 2)
    force_current(two_generations, "2")
    wait_until(lambda: is_degraded(server))

    rollback(two_generations, why="it is harmed", to=1)

    wait_until(lambda: server.health()["status"] == "ok")
    assert server.get("/recommend/ann").body == b"alien"


def test_a_mended_snapshot_that_is_published_again_is_followed(serve, two_generations):
    """A refusal is forgotten once the trouble was ended: the next flip is served at once."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    flip_byte(two_generations, 2)
    force_current(two_generations, "2")
    wait_until(lambda: is_degraded(server))
    rollback(two_generations, why="it is harmed", to=1)
    wait_until(lambda: not is_degraded(server))

    flip_byte(two_generations, 2)
    rollback(two_generations, why="it is mended", to=2)

    wait_until(lambda: server.get("/recommend/ann").generation == 2, 2)


def test_answers_go_on_while_a_snapshot_is_refused(serve, two_generations):
    """A connection that asks all the time sees nothing of the refusal."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    flip_byte(two_generations, 2)
    with server.connect() as connection:

        def is_refused():
            for _ in range(50):
                answer = ask(connection, "/recommend/ann")
                assert (answer.status, answer.body) == (200, b"alien")
            return "000002" in server.log.read_text()

        force_current(two_generations, "2")
        wait_until(is_refused)
