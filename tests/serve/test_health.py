"""`/healthz` of a running server: its fields, and how they change."""

import dataclasses
from typing import cast

import pytest

from store.layout import snapshot_folder
from store.manifest import read_manifest, write_manifest
from tests.serve.server import ask, flip_byte, force_current, wait_until
from tests.snapshots import make_snapshot


def test_a_sound_store_is_ok(answering):
    """`/healthz` names the served generation and its build time."""
    wait_until(lambda: answering.health()["status"] == "ok")

    assert answering.health() == {
        "status": "ok",
        "generation": 1,
        "built_at": "2026-03-01T02:30:00+00:00",
        "problem": None,
        "taken_down": 0,
    }


def test_health_is_json(connection):
    """Its type is application/json."""
    assert ask(connection, "/healthz").headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("text", ["seven", "", "2"], ids=["a word", "nothing", "no such snapshot"])
def test_a_broken_pointer_only_degrades_health(serve, store, text):
    """`/healthz` names the problem, and the old list is served."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "1")
    server.wait_for_generation(1)

    force_current(store, text)

    wait_until(lambda: server.health()["status"] == "degraded")
    assert server.health()["problem"]
    assert server.get("/recommend/ann").body == b"alien"


def test_a_corrected_pointer_restores_health(serve, store):
    """Health recovers by itself."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    force_current(store, "seven")
    wait_until(lambda: server.health()["status"] == "degraded")

    force_current(store, "1")

    wait_until(lambda: server.health()["status"] == "ok")


def test_health_names_the_damaged_file(serve, store):
    """With no other snapshot health is degraded."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    flip_byte(store, 1)
    server = serve("--workers", "1")

    wait_until(lambda: "recs.mdb" in (server.health()["problem"] or ""))

    assert server.health()["status"] == "degraded"
    assert server.health()["generation"] is None
    assert server.get("/recommend/ann").status == 503


def test_an_unexpected_exception_in_a_verification_degrades_health(serve, store):
    """Such as a manifest of a wrong type."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    make_snapshot(store, {"ann": ["diva"]}, ["brazil"], flip=False)
    folder = snapshot_folder(store, 2)
    write_manifest(
        folder, dataclasses.replace(read_manifest(folder), files=cast(dict[str, int], []))
    )

    force_current(store, "2")

    wait_until(lambda: server.health()["status"] == "degraded")
