"""`/healthz` of a server that serves: what it says, and when it changes its mind."""

import dataclasses

import pytest

from store.layout import snapshot_folder
from store.manifest import read_manifest, write_manifest
from tests.serve.running import ask, flip_byte, force_current, wait_until
from tests.snapshots import make_snapshot


def test_a_sound_store_is_ok(answering):
    """It names the generation served and when that was built."""
    wait_until(lambda: answering.health()["status"] == "ok")

    assert answering.health() == {
        "status": "ok",
        "generation": 1,
        "built_at": "2026-03-01T02:30:00+00:00",
        "problem": None,
        "taken_down": 0,
    }


def test_it_is_json(connection):
    """A program may read it."""
    assert ask(connection, "/healthz").headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("text", ["seven", "", "2"], ids=["a word", "nothing", "no such snapshot"])
def test_a_useless_pointer_degrades_health_and_nothing_else(serve, store, text):
    """A broken CURRENT is a problem that `/healthz` names, while the old list is served."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "1")
    server.wait_for_generation(1)

    force_current(store, text)

    wait_until(lambda: server.health()["status"] == "degraded")
    assert server.health()["problem"]
    assert server.get("/recommend/ann").body == b"alien"


def test_a_mended_pointer_is_ok_again(serve, store):
    """Health recovers by itself when CURRENT does."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    force_current(store, "seven")
    wait_until(lambda: server.health()["status"] == "degraded")

    force_current(store, "1")

    wait_until(lambda: server.health()["status"] == "ok")


def test_a_corrupt_current_snapshot_is_named(serve, store):
    """With no other snapshot kept, health is degraded and names the file that is harmed."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    flip_byte(store, 1)
    server = serve("--workers", "1")

    wait_until(lambda: "recs.mdb" in (server.health()["problem"] or ""))

    assert server.health()["status"] == "degraded"
    assert server.health()["generation"] is None
    assert server.get("/recommend/ann").status == 503


def test_a_verification_that_breaks_down_is_a_problem_too(serve, store):
    """A manifest that makes `verify` raise something unforeseen is not passed over in silence."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    make_snapshot(store, {"ann": ["diva"]}, ["brazil"], flip=False)
    folder = snapshot_folder(store, 2)
    write_manifest(folder, dataclasses.replace(read_manifest(folder), files=[]))

    force_current(store, "2")

    wait_until(lambda: server.health()["status"] == "degraded", 2)
