"""The index of a snapshot: an unsuitable one is refused, and the chain continues without it."""

import struct
from pathlib import Path

import annoy
import pytest

from serve.worker.index import ItemIndex
from serve.worker.served import Served
from store.items import Items
from store.layout import INDEX, snapshot_folder
from store.snapshot import open_snapshot
from tests.serve.server import wait_until
from tests.snapshots import make_snapshot

N_FACTORS = 7
VECTORS = {f"film{row:02d}": [1.0, 0.02 * row, *[0.0] * 5] for row in range(40)}
POPULAR = ["casablanca"]
NODE_BYTES = 12 + 4 * N_FACTORS
TARGET = "/recommend/nobody?history=film00"


def index_bytes(tmp_path, vectors, n_trees=10):
    """A real index of such vectors."""
    index = annoy.AnnoyIndex(len(vectors[0]), "angular")
    for row, vector in enumerate(vectors):
        index.add_item(row, vector)
    index.build(n_trees, n_jobs=1)
    index.save(str(tmp_path / "made.ann"))
    return (tmp_path / "made.ann").read_bytes()


def whole(tmp_path):
    return index_bytes(tmp_path, [*VECTORS.values()])


def sound(tmp_path):
    return {}


def other_n_factors(tmp_path):
    return {"parameters": {"n_factors": N_FACTORS + 1}}


def n_factors_that_fit_by_chance(tmp_path):
    """A node of 2 factors has 20 bytes, one of 7 has 40."""
    return {"parameters": {"n_factors": 2}}


def no_n_factors(tmp_path):
    return {"parameters": {}}


def n_factors_of_text(tmp_path):
    return {"parameters": {"n_factors": "7"}}


def n_factors_yes(tmp_path):
    return {"parameters": {"n_factors": True}}


def n_factors_none(tmp_path):
    return {"parameters": {"n_factors": 0}}


def n_factors_beyond_all(tmp_path):
    return {"parameters": {"n_factors": 1 << 40}}


def cut_within_a_node(tmp_path):
    return {"index": whole(tmp_path)[:-3]}


def cut_between_nodes(tmp_path):
    """Without any root: the last node lies in the middle of a tree."""
    return {"index": whole(tmp_path)[: NODE_BYTES * (len(VECTORS) + 2)]}


def no_tree(tmp_path):
    return {"index": whole(tmp_path)[: NODE_BYTES * len(VECTORS)]}


def fewer_items(tmp_path):
    return {"index": index_bytes(tmp_path, [*VECTORS.values()][:-1])}


def more_items(tmp_path):
    return {"index": index_bytes(tmp_path, [*VECTORS.values(), [1.0] * N_FACTORS])}


def other_text(tmp_path):
    return {"index": b"no index at all, just some bytes\n" * 40}


UNFIT = pytest.mark.parametrize(
    "unfit",
    [
        *(other_n_factors, n_factors_that_fit_by_chance, no_n_factors, n_factors_of_text),
        *(n_factors_yes, n_factors_none, n_factors_beyond_all, cut_within_a_node),
        *(cut_between_nodes, no_tree, fewer_items, more_items, other_text),
    ],
    ids=lambda f: f.__name__,
)


def make(store, tmp_path, kind):
    return make_snapshot(store, {"ann": ["own"]}, POPULAR, vectors=VECTORS, **kind(tmp_path))


@UNFIT
def test_an_unsuitable_index_is_refused(store, tmp_path, unfit):
    """Before Annoy would use it."""
    generation = make(store, tmp_path, unfit)
    refusal = pytest.raises((ValueError, OverflowError))
    with open_snapshot(store, generation) as snapshot, refusal:
        ItemIndex(snapshot, Items(snapshot))


@UNFIT
def test_the_chain_continues_without_the_index(store, tmp_path, unfit):
    """A history leads to the next step; a user's own list is served."""
    generation = make(store, tmp_path, unfit)
    with open_snapshot(store, generation) as snapshot:
        served = Served(snapshot)
        assert served.answer(b"nobody", [b"film00"]) == ("popular", [b"casablanca"])
        assert served.get(b"ann") == b"own"


def test_a_suitable_index_is_used(store, tmp_path):
    """The counterpart."""
    generation = make(store, tmp_path, sound)
    with open_snapshot(store, generation) as snapshot:
        index = ItemIndex(snapshot, Items(snapshot))
        nearest = [name.decode() for name in index.similar_to([b"film00"], 8)]
        assert nearest == [f"film{row:02d}" for row in range(8)]
        assert Served(snapshot).answer(b"nobody", [b"film00"]).source == "history"


@pytest.mark.parametrize("row", [40, 10**6, -1, -(10**6)])
def test_a_row_outside_the_index_is_ignored(store, row):
    """`item_row` is checked against the size of the index."""
    make_snapshot(store, {}, POPULAR, vectors=VECTORS, about={"film03": {"item_row": row}})
    with open_snapshot(store, 1) as snapshot:
        served = Served(snapshot)
        assert served.answer(b"nobody", [b"film03"]) == ("popular", [b"casablanca"])
        assert served.answer(b"nobody", [b"film03", b"film00"]).source == "history"


@pytest.mark.parametrize("text", [b"", b"no JSON", b"{", b"\xff"])
def test_an_item_with_unreadable_data_is_unknown(store, text):
    """It has no neighbours, and it does not break a minor's list."""
    make_snapshot(
        store,
        {},
        POPULAR,
        profiles={"mia": "F minor"},
        instead={"items": {b"casablanca": text, b"film00": text}},
    )
    with open_snapshot(store, 1) as snapshot:
        assert Served(snapshot).answer(b"mia", [b"film00"]).names == [b"casablanca"]


def test_rows_without_an_item_id_are_excluded(store):
    """A neighbour that the table does not contain is skipped."""
    rows = {b"%d" % row: name.encode() for row, name in enumerate(VECTORS)}
    rows[b"1"] = b""
    make_snapshot(store, {}, POPULAR, vectors=VECTORS, instead={"rows": rows})
    with open_snapshot(store, 1) as snapshot:
        names = Served(snapshot).answer(b"nobody", [b"film00"]).names
    assert names[:2] == [b"film02", b"film03"]
    assert b"" not in names


# On a running server


@pytest.mark.parametrize(
    "unfit", [other_n_factors, n_factors_beyond_all, cut_between_nodes, more_items]
)
def test_a_server_serves_without_the_index(serve, store, tmp_path, unfit):
    """The log contains the reason, and every worker lives."""
    make(store, tmp_path, unfit)
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    workers = server.wait_for_workers()

    for _ in range(20):
        assert server.get(TARGET)[::2] == (200, b"casablanca")
        assert server.get("/recommend/ann").text == "own"

    assert "generation 1: lists by history disabled: " in server.log.read_text()
    assert server.workers() == workers


def test_each_snapshot_uses_its_own_index(serve, store, tmp_path):
    """A swap adds or removes the answers by history."""
    make(store, tmp_path, more_items)
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    for kind, source in ((sound, "history"), (cut_within_a_node, "popular"), (sound, "history")):
        generation = make(store, tmp_path, kind)
        wait_until(lambda g=generation: server.get(TARGET).generation == g)
        assert server.get(TARGET).source == source


def test_a_swap_unmaps_the_old_index(serve, store, tmp_path):
    """Mapped files of old snapshots would add up, night after night."""
    make(store, tmp_path, sound)
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    for _ in range(5):
        generation = make(store, tmp_path, sound)
        wait_until(lambda g=generation: server.get(TARGET).generation == g)

    [worker] = server.wait_for_workers()
    lines = Path(f"/proc/{worker}/maps").read_text().splitlines()
    mapped = {line.split()[-1] for line in lines if INDEX in line}
    assert mapped == {str(snapshot_folder(store, generation) / INDEX)}


def test_the_size_of_an_index_node(tmp_path):
    """The truncations above rely on it."""
    content = whole(tmp_path)
    assert len(content) % NODE_BYTES == 0
    assert struct.unpack_from("<i", content, len(content) - NODE_BYTES)[0] == len(VECTORS)
