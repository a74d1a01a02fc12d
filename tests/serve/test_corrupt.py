"""Damaged files of a snapshot: it is refused, and the old generation stays."""

import os

import pytest

from store.layout import MANIFEST, RECS, snapshot_folder
from store.publish import rollback
from tests.serve.server import ask, flip_byte, force_current, wait_until
from tests.snapshots import make_snapshot

POPULAR = ["casablanca"]
AT_ONCE_SECONDS = 15  # on a busy machine; a refused snapshot is retried after 30


def cut_short(store, generation):
    path = snapshot_folder(store, generation) / RECS
    os.truncate(path, path.stat().st_size * 9 // 10)


def remove_the_manifest(store, generation):
    (snapshot_folder(store, generation) / MANIFEST).unlink()


def remove_the_lists(store, generation):
    (snapshot_folder(store, generation) / RECS).unlink()


DAMAGE = pytest.mark.parametrize(
    "damage",
    [flip_byte, cut_short, remove_the_manifest, remove_the_lists],
    ids=lambda f: f.__name__,
)


def is_degraded(server):
    """Whether `/healthz` reports that the current snapshot is refused."""
    return server.health()["status"] == "degraded"


@pytest.fixture
def two_generations(store):
    """Generation 1 is current; 2 is complete and not published."""
    make_snapshot(store, {"ann": ["alien"]}, POPULAR)
    make_snapshot(store, {"ann": ["brazil"]}, POPULAR, flip=False)
    return store


@DAMAGE
def test_a_damaged_new_snapshot_is_refused(serve, two_generations, damage):
    """Answers do not change, and `/healthz` names the generation."""
    server = serve("--workers", "2")
    server.wait_for_generation(1)
    damage(two_generations, 2)

    force_current(two_generations, "2")

    wait_until(lambda: is_degraded(server))
    health = server.health()
    assert health["generation"] == 1
    assert "000002" in health["problem"]
    answer = server.get("/recommend/ann")
    assert (answer.status, answer.body, answer.generation) == (200, b"alien", 1)


def test_a_sound_new_snapshot_is_followed(serve, two_generations):
    """The counterpart: the same forced flip to an undamaged snapshot is served."""
    server = serve("--workers", "2")
    server.wait_for_generation(1)

    force_current(two_generations, "2")

    server.wait_for_generation(2)
    wait_until(lambda: server.health()["status"] == "ok")


@DAMAGE
def test_an_older_sound_snapshot_is_served_at_the_start(serve, two_generations, damage):
    """If the current one is damaged, the newest undamaged one is served."""
    damage(two_generations, 2)
    force_current(two_generations, "2")

    server = serve("--workers", "2")

    server.wait_for_generation(1)
    assert server.get("/recommend/ann").body == b"alien"
    assert is_degraded(server)
    assert "000002" in server.health()["problem"]


def test_without_a_sound_snapshot_the_emergency_list_is_served(serve, store):
    """Two damaged snapshots are equivalent to an empty store."""
    for generation in (1, 2):
        make_snapshot(store, {"ann": ["alien"]}, POPULAR)
        flip_byte(store, generation)

    server = serve("--workers", "1", MARQUEE_SERVE_EMERGENCY_LIST='["zulu"]')

    server.wait_for_log("000001")
    server.wait_for_log("000002")
    answer = server.get("/recommend/ann")
    assert (answer.status, answer.body, answer.source) == (200, b"zulu", "static")


def test_an_unpublished_snapshot_is_not_a_fallback(serve, two_generations):
    """It is complete, but its gate may have refused it."""
    (two_generations / "CURRENT").unlink()
    server = serve("--workers", "1")
    server.wait_for_generation(1)


def test_the_next_sound_snapshot_restores_health(serve, two_generations):
    """After a refused snapshot the next one is served."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    flip_byte(two_generations, 2)
    force_current(two_generations, "2")
    wait_until(lambda: is_degraded(server))

    make_snapshot(two_generations, {"ann": ["diva"]}, POPULAR)

    server.wait_for_generation(3)
    wait_until(lambda: server.health()["status"] == "ok")


def test_a_rollback_restores_health(serve, two_generations):
    """It makes the served generation current again."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    flip_byte(two_generations, 2)
    force_current(two_generations, "2")
    wait_until(lambda: is_degraded(server))

    rollback(two_generations, why="damaged", to=1)

    wait_until(lambda: server.health()["status"] == "ok")
    assert server.get("/recommend/ann").body == b"alien"


def test_a_repaired_snapshot_is_followed_after_a_new_flip(serve, two_generations):
    """A rollback in between clears the refusal."""
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    flip_byte(two_generations, 2)
    force_current(two_generations, "2")
    wait_until(lambda: is_degraded(server))
    rollback(two_generations, why="damaged", to=1)
    wait_until(lambda: not is_degraded(server))

    flip_byte(two_generations, 2)
    rollback(two_generations, why="repaired", to=2)

    wait_until(lambda: server.get("/recommend/ann").generation == 2, AT_ONCE_SECONDS)


def test_answers_continue_while_a_snapshot_is_refused(serve, two_generations):
    """A client with continuous requests sees no difference."""
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
