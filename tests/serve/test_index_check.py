"""An index with right checksums and wild numbers is never searched; all else is served."""

import json
import os
import random
import signal
import struct

import annoy
import pytest

from serve.worker.index import has_vectors
from serve.worker.index_check import check_index
from store.layout import INDEX, snapshot_folder
from store.snapshot import open_snapshot
from tests.serve.crashing_snapshots import (
    N_FACTORS,
    branches_of_the_index,
    publish_damaged,
    sound_snapshot,
)
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot

N_ITEMS = 40
NODE_BYTES = 12 + 4 * N_FACTORS
MAX_LEAF = 2 + N_FACTORS  # item numbers that fit into a leaf
TARGET = "/recommend/nobody?history=film3"
SEARCH_SECONDS = 10
N_ROUNDS, SEED = 400, 3


@pytest.fixture
def sound(store):
    """The path of a sound index of 40 items and 10 trees."""
    return snapshot_folder(store, sound_snapshot(store, "alien")) / INDEX


def nodes(index, *, is_inner):
    """Yield the offset of each inner node, or of each leaf."""
    for at in range(N_ITEMS * NODE_BYTES, len(index), NODE_BYTES):
        if (struct.unpack_from("<i", index, at)[0] > MAX_LEAF) is is_inner:
            yield at


def last_inner(index):
    return [*nodes(index, is_inner=True)][-1]


def first_inner(index):
    return next(nodes(index, is_inner=True))


def first_leaf(index):
    return next(nodes(index, is_inner=False))


def put(at, *numbers):
    """Damage that writes integers at `at(index)`, 4 bytes into the node."""

    def damage(index):
        struct.pack_into(f"<{len(numbers)}i", index, at(index) + 4, *numbers)

    return damage


def a_ring(index):
    at = last_inner(index)
    struct.pack_into("<ii", index, at + 4, at // NODE_BYTES, at // NODE_BYTES)


def a_later_child(index):
    struct.pack_into("<i", index, first_inner(index) + 4, len(index) // NODE_BYTES - 1)


def twice_the_same_subtree(index):
    """Trees of doubled children have more paths than a search ends with."""

    inner = [*nodes(index, is_inner=True)][-2] // NODE_BYTES
    struct.pack_into("<ii", index, last_inner(index) + 4, inner, inner)


def a_count(number):
    def damage(index):
        struct.pack_into("<i", index, first_inner(index), number)

    damage.__name__ = f"a_count_of_{number}"
    return damage


def number_of_items(index):
    struct.pack_into("<i", index, len(index) - NODE_BYTES, 1 << 30)


def no_number(index):
    struct.pack_into("<f", index, 12, float("nan"))


def infinite_norm(index):
    struct.pack_into("<f", index, 4, float("inf"))


def half_a_node(index):
    del index[-4:]


WILD = pytest.mark.parametrize(
    "damage",
    [
        *(branches_of_the_index, a_ring, a_later_child, twice_the_same_subtree),
        *(put(last_inner, -1, 0), put(first_leaf, -1), put(first_leaf, N_ITEMS)),
        *(put(first_inner, 1 << 28, 1 << 28), a_count(0), a_count(-5), a_count(1 << 30)),
        *(number_of_items, no_number, infinite_norm, half_a_node),
    ],
)


@WILD
def test_wild_numbers_are_refused(sound, damage):
    """Before Annoy opens the file."""
    index = bytearray(sound.read_bytes())
    damage(index)
    sound.write_bytes(index)
    with pytest.raises(ValueError, match=INDEX):
        check_index(sound, N_FACTORS)


def test_a_sound_index_passes(sound):
    """The twin."""
    check_index(sound, N_FACTORS)


@pytest.mark.parametrize("n_items", [1, 2, MAX_LEAF, MAX_LEAF + 1, 500])
@pytest.mark.parametrize("n_trees", [1, 7])
def test_indexes_of_any_size_pass(tmp_path, n_items, n_trees):
    """Roots that are leaves, items that hang on inner nodes, vectors of zeros."""
    rng = random.Random(n_items)
    index = annoy.AnnoyIndex(N_FACTORS, "angular")
    for row in range(n_items):
        index.add_item(row, [0.0 if row % 9 == 5 else rng.gauss(0, 1) for _ in range(N_FACTORS)])
    index.build(n_trees, n_jobs=1)
    index.save(str(tmp_path / INDEX))
    check_index(tmp_path / INDEX, N_FACTORS)


def searches_end(path):
    """Return whether a search for every item ends without a crash, in a process of its own."""
    pid = os.fork()
    if not pid:
        signal.alarm(SEARCH_SECONDS)
        index = annoy.AnnoyIndex(N_FACTORS, "angular")
        index.load(str(path))
        for row in range(index.get_n_items()):
            index.get_nns_by_item(row, 20)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_no_index_that_passes_crashes_a_search(sound):
    """Random words in random nodes; those that the check lets through are searched."""
    content, rng = sound.read_bytes(), random.Random(SEED)
    n_passed = 0
    for _ in range(N_ROUNDS):
        index = bytearray(content)
        for _ in range(rng.randint(1, 3)):
            word = rng.choice([rng.randrange(-3, 60), rng.randrange(-(1 << 31), 1 << 31)])
            struct.pack_into("<i", index, 4 * rng.randrange(len(index) // 4), word)
        sound.write_bytes(index)
        try:
            check_index(sound, N_FACTORS)
        except ValueError:
            continue
        n_passed += 1
        assert searches_end(sound)
    assert n_passed > 0


# On a running server


def ready(server):
    return json.loads(server.get("/readyz").body)["warnings"]


def is_served_without_index(server, generation):
    """Return whether each kind of answer comes from that generation, and none from its index."""
    known, unknown = server.get("/recommend/user0007"), server.get(TARGET)
    answers = (known.generation, known.source, unknown.generation, unknown.source)
    return answers == (generation, "list", generation, "popular")


def test_a_snapshot_with_a_wild_index_is_served_without_it(serve, store):
    """Lists, the popular list and /similar; every worker lives, and a warning says why."""
    sound_snapshot(store, "alien")
    server = serve("--workers", "2", MARQUEE_SERVE_STALE_HOURS="1e9")
    server.wait_for_generation(1)
    assert server.get(TARGET).source == "history"
    workers = server.wait_for_workers()

    generation = publish_damaged(store, "brazil", INDEX, branches_of_the_index)

    wait_until(lambda: all(is_served_without_index(server, generation) for _ in range(12)))
    assert server.get("/similar/alien").status == 200
    assert server.workers() == workers
    assert ready(server) == [f"generation {generation}: lists by history disabled: {INDEX}"]
    assert f"generation {generation}: lists by history disabled: {INDEX}: leaf" in (
        server.log.read_text()
    )

    sound_snapshot(store, "casablanca")
    wait_until(lambda: all(server.get(TARGET).source == "history" for _ in range(12)))
    assert ready(server) == []


def test_a_reload_keeps_the_index(serve, store):
    """The next program verifies the served snapshot again."""
    sound_snapshot(store, "alien")
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    workers = server.wait_for_workers()
    os.kill(server.process.pid, signal.SIGHUP)
    server.wait_for_workers(other_than=workers)
    wait_until(lambda: server.get(TARGET).source == "history")


def test_a_snapshot_without_vectors_causes_no_warning(store):
    """It never had an index."""
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    with open_snapshot(store, 1) as snapshot:
        assert not has_vectors(snapshot)
