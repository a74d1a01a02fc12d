"""Fuzz of a store's files under a live server: it lives, and answers with the last state.

More rounds: `.ci/campaigns store-fuzz`.
"""

import os
import random
import signal

import pytest

from store.layout import CHECKSUMS, MANIFEST, snapshot_folder
from store.recent import RecentWriter, recent_file
from tests.serve.server import force_current, wait_until
from tests.snapshots import make_snapshot
from tests.store.adversarial import n_rounds, resummed, versions

SEED = 77
PAGES = ("/healthz", "/readyz", "/metrics", "/model/status")
VECTORS = {f"film{n}": [1.0, 0.1 * n] for n in range(12)}
MANY = [(f"user{n:03d}", f"film{n % 12}") for n in range(300)]


@pytest.fixture
def two_generations(store):
    """Generation 1 is current; 2 is complete and not published."""
    for is_current in (True, False):
        make_snapshot(store, {"ann": ["alien"]}, ["diva"], vectors=VECTORS, flip=is_current)
    return store


@pytest.fixture
def server(serve, two_generations):
    running = serve("--workers", "2", MARQUEE_SERVE_STALE_HOURS="1e9")
    running.wait_for_generation(1)
    return running


def replace(path, content):
    pending = path.with_name("fuzz.pending")
    pending.write_bytes(content)
    pending.replace(path)


def look_now(server):
    """Wake the supervisor, which then looks at the store."""
    os.kill(server.process.pid, signal.SIGCHLD)


def check_answers(server):
    """Every kind of answer is as always."""
    assert server.process.poll() is None
    answer = server.get("/recommend/ann")
    assert (answer.status, answer.body) == (200, b"alien")
    assert {page: server.get(page).status for page in PAGES} == dict.fromkeys(PAGES, 200)


@pytest.mark.parametrize("name", ["CURRENT", "JOURNAL", "TAKEDOWN", "PIN"])
def test_the_server_survives_any_file_beside_the_snapshots(server, two_generations, name):
    """Replaced and overwritten in place; the same workers still run, and the sound file is used."""
    path = two_generations / name
    sound = {"TAKEDOWN": b"zulu\t2026-01-01T00:00:00+00:00\tx\n", "PIN": b"1\twhy\n"}
    content = sound.get(name) or path.read_bytes()
    workers, rng = server.wait_for_workers(), random.Random(SEED)
    for damaged, _ in zip(versions(name, content, rng), range(n_rounds(40)), strict=False):
        if rng.random() < 0.7:
            replace(path, damaged)
        else:
            path.write_bytes(damaged)
        look_now(server)
        check_answers(server)
    replace(path, content)

    wait_until(lambda: server.health()["status"] == "ok")
    assert server.health()["generation"] in (1, 2)  # a fuzzed CURRENT may have named 2
    assert server.workers() == workers


def test_the_server_survives_any_manifest_and_any_checksums(server, two_generations):
    """A flip to each: it is refused, or all pages answer from it."""
    folder = snapshot_folder(two_generations, 2)
    sound = {name: (folder / name).read_bytes() for name in (MANIFEST, CHECKSUMS)}
    workers, rng = server.wait_for_workers(), random.Random(SEED)
    streams = {name: versions(name, content, rng) for name, content in sound.items()}
    for _ in range(n_rounds(16, divisor=20)):  # each waits for two publishes
        name = rng.choice([*sound])
        (folder / name).write_bytes(next(streams[name]))
        if name == MANIFEST and rng.random() < 0.7:
            resummed(folder)
        force_current(two_generations, "2")
        look_now(server)
        wait_until(lambda: server.health()["problem"] or server.health()["generation"] == 2)
        check_answers(server)
        for file, content in sound.items():
            (folder / file).write_bytes(content)
        force_current(two_generations, "1")
        wait_until(lambda: server.health()["generation"] == 1)
        wait_until(lambda: server.health()["status"] == "ok")
    force_current(two_generations, "2")
    server.wait_for_generation(2)
    assert server.workers() == workers


def test_the_server_survives_any_recent_file(server, two_generations):
    """Damaged before it is opened: a child may die of it, no worker does."""
    path = recent_file(two_generations)
    with RecentWriter(two_generations) as writer:
        writer.add(MANY)
    sound = path.read_bytes()
    workers, rng = server.wait_for_workers(), random.Random(SEED)
    path.unlink()
    for damaged, _ in zip(versions("recent.mdb", sound, rng), range(n_rounds(40)), strict=False):
        replace(path, damaged)
        look_now(server)
        check_answers(server)
        assert server.get("/recommend/user007").status == 200
    replace(path, sound)

    wait_until(lambda: server.get("/recommend/user007").source == "recent")
    assert server.workers() == workers
    assert server.health()["generation"] == 1
