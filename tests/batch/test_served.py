"""The served model in a snapshot's files: folded in from them, users have the batch's lists."""

import contextlib

import numpy as np
import pytest
import scipy.sparse as sp

from batch.models.blend import blended
from batch.models.bpr import Bpr
from batch.models.choice import Candidate, Choice
from batch.models.choose import recommender
from batch.models.factors import FittedFactors
from batch.models.fitted_auto import fitted_auto
from batch.models.view_order import order_views
from batch.served.document import describe
from batch.served.files import ServedModel, open_served, served_document, write_served
from batch.served.history import Histories, history_records, read_histories
from batch.settings import MODELS, BatchSettings
from batch.unavailable import Unavailable
from store.errors import CorruptSnapshotError
from store.gate_result import GateResult
from store.layout import INDEX, RECS, SEEN, is_model_file, snapshot_folder
from store.model_files import SERVED_MODEL
from store.publish import writing
from store.snapshot import open_snapshot
from store.writer import SnapshotWriter
from tests.batch.made_weights import some_weights

TIME = "2026-11-21T03:41:07+00:00"
SEED, K = 42, 12
SETTINGS = BatchSettings(
    n_factors=6,
    iterations=4,
    holdout_users=0,
    n_neighbours=8,
    ials_factors=6,
    ials_iterations=3,
    spectral_factors=5,
    ease_regularization=20.0,
    graph_filter_singular_vectors=6,
    n_threads=1,
)
BLENDS = (
    "ials+spectral+popularity",
    "ials+ease",
    "graph_filter+last_items",
    "rp3beta+als+item_knn",
)
SERVED = (*(name for name in MODELS if name not in ("auto", "bpr")), *BLENDS, "auto")
TABLES = ("users", "spares", "similar", "fallback", "profiles", "items")


@pytest.fixture(scope="module")
def weights():
    return some_weights()


@pytest.fixture(scope="module")
def at(weights):
    """Times on ten days, some of them unknown or equal."""
    return np.random.default_rng(8).integers(0, 10, weights.nnz) * 86_400


@pytest.fixture(scope="module")
def fitted(weights, at):
    """Every model and blend that can be served."""
    single = {
        name: recommender(name, SETTINGS).fit(weights, at=at, n_threads=1)
        for name in MODELS
        if name not in ("auto", "bpr")
    }
    blends = {
        name: blended(
            [single[part] for part in name.split("+")], (1.0, 0.5, 0.25)[: n + 1], weights
        )
        for name in BLENDS
        for n in [name.count("+")]
    }
    choice = Choice((Candidate("ials", {}), Candidate("ease", {})), (0.0, 1.0))
    auto = fitted_auto(choice, [single["ials"], single["ease"]], weights)
    return {**single, **blends, "auto": auto}


def user_ids(weights):
    return [f"u{row:03d}" for row in range(weights.shape[0])]


def described(model):
    document = describe(model)
    assert not isinstance(document, Unavailable)
    return document


def write_snapshot(store, model, histories, *, n_items):
    """Write a snapshot with a served model and nothing else in its tables."""
    served = ServedModel(described(model), histories)
    ids = [name.encode() for name in user_ids(histories.weights)]
    with writing(store), SnapshotWriter(store) as writer:
        for table in TABLES:
            writer.table(RECS, table, [])
        rows = sorted((b"%d" % row, b"i%d" % row) for row in range(n_items))
        writer.table(RECS, "rows", rows)
        writer.path(INDEX).touch()
        write_served(writer, served.model, served.records(ids))
        return writer.finish(
            began_at=TIME, finished_at=TIME, code_version="test", inputs=[], metrics={},
            parameters={SERVED_MODEL: served_document(served)}, gate=GateResult(),
        )  # fmt: skip


@contextlib.contextmanager
def opened(store):
    """Yield the served model of the one snapshot, which has one."""
    with open_snapshot(store, 1) as snapshot, open_served(snapshot) as served:
        assert not isinstance(served, Unavailable)
        yield served


def histories_of(weights, at):
    return Histories(weights, order_views(weights, at, SEED, n_threads=1).n_later)


@pytest.mark.parametrize("name", SERVED)
def test_a_user_folded_in_from_the_files_has_the_list_of_the_batch(
    tmp_path, fitted, weights, at, name
):
    """Alone and among others, with hidden items and without, to the last bit of each score.

    The files have the size that the model was said to take on disk.
    """
    histories = histories_of(weights, at)
    manifest = write_snapshot(tmp_path, fitted[name], histories, n_items=weights.shape[1])
    sizes = [n_bytes for file, n_bytes in manifest.files.items() if is_model_file(file)]
    assert described(fitted[name]).n_bytes == sum(sizes) > 0
    expected = fitted[name].top_k(K, n_threads=2)
    without = fitted[name].top_k(K, hidden={1, 4}, n_threads=1)
    with opened(tmp_path) as served:
        everyone = served.fold_in(served.histories(user_ids(weights))).top_k(K, n_threads=1)
        assert everyone.scores.tobytes() == expected.scores.tobytes()
        for row in range(0, weights.shape[0], 11):
            alone = served.fold_in(served.histories(user_ids(weights)[row : row + 1]))
            assert alone.top_k(K).item_rows.tolist() == expected.item_rows[row : row + 1].tolist()
            assert alone.top_k(K).scores.tobytes() == expected.scores[row].tobytes()
            hidden = alone.top_k(K, hidden={1, 4}).item_rows
            assert hidden.tolist() == without.item_rows[row : row + 1].tolist()


def test_a_new_view_changes_the_list(tmp_path, fitted, weights, at):
    """The control of the test above: with one item more, the list is another."""
    write_snapshot(tmp_path, fitted["ials"], histories_of(weights, at), n_items=weights.shape[1])
    with opened(tmp_path) as served:
        known = served.histories(["u000"])
        before = served.fold_in(known).top_k(K).item_rows[0].tolist()
        more = sp.lil_matrix(known.weights)
        more[0, before[0]] = 1.0  # the first item of the list is watched
        after = served.fold_in(Histories(sp.csr_matrix(more))).top_k(K).item_rows[0].tolist()
    assert before[0] not in after
    assert before[1:] != after[:-1]


def test_a_new_user_gets_a_list_from_one_view(tmp_path, fitted, weights, at):
    """Their history is empty in the snapshot, and the item viewed is not listed."""
    write_snapshot(tmp_path, fitted["auto"], histories_of(weights, at), n_items=weights.shape[1])
    with opened(tmp_path) as served:
        assert not served.histories(["nobody"]).weights.nnz
        viewed = np.arange(weights.shape[1])[None] == 3
        one_view = sp.csr_matrix(viewed.astype(np.float32))
        lists = served.fold_in(Histories(one_view)).top_k(K)
    assert 3 not in lists.item_rows
    assert (lists.item_rows >= 0).all()


def test_the_same_model_gives_the_same_files(tmp_path, fitted, weights, at):
    """Byte for byte; only files that the store allows."""
    folders = []
    for name in "ab":
        write_snapshot(
            tmp_path / name, fitted[BLENDS[0]], histories_of(weights, at), n_items=weights.shape[1]
        )
        folders.append(snapshot_folder(tmp_path / name, 1))
    names = {path.name for path in folders[0].iterdir() if is_model_file(path.name)}
    assert len(names) >= 5
    for name in (SEEN, *names):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_a_snapshot_without_the_files_says_so(tmp_path, weights, at):
    """BPR cannot fold in users; the reason is that of the manifest."""
    bpr = Bpr(n_factors=4, iterations=1).fit(weights)
    described = describe(bpr)
    assert isinstance(described, Unavailable)
    with writing(tmp_path), SnapshotWriter(tmp_path) as writer:
        for table in (*TABLES, "rows"):
            writer.table(RECS, table, [])
        writer.path(INDEX).touch()
        manifest = writer.finish(
            began_at=TIME, finished_at=TIME, code_version="test", inputs=[], metrics={},
            parameters={SERVED_MODEL: served_document(described)}, gate=GateResult(),
        )  # fmt: skip
    assert manifest.format_version == 1
    with open_snapshot(tmp_path, 1) as snapshot, open_served(snapshot) as served:
        assert served == Unavailable("bpr cannot fold in users from files")


def test_a_document_of_another_version_is_an_error(tmp_path, fitted, weights, at, monkeypatch):
    """A class that this code does not have is named, and nothing is served from it."""
    write_snapshot(tmp_path, fitted["ease"], histories_of(weights, at), n_items=weights.shape[1])
    monkeypatch.delitem(describe.__globals__["_CLASSES"], "FittedItemItem")
    with (
        open_snapshot(tmp_path, 1) as snapshot,
        pytest.raises(CorruptSnapshotError, match="another version"),
        open_served(snapshot),
    ):
        pass


@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_histories_are_read_as_they_were_written(weights, at, n_columns):
    """Users without items have no value; the others their rows, weights and order."""
    columns = ("item_row", "weight", "n_later")[:n_columns]
    emptied = sp.lil_matrix(weights)
    emptied[[0, 5, weights.shape[0] - 1]] = 0
    some = sp.csr_matrix(emptied)
    histories = histories_of(some, at[: some.nnz])
    ids = [name.encode() for name in user_ids(some)]
    values = dict(history_records(ids, histories, columns))
    assert list(values) == [name for row, name in enumerate(ids) if some[row].nnz]
    found = read_histories([values.get(name) for name in ids], columns, some.shape[1])
    assert np.array_equal(found.weights.indices, some.indices)
    assert np.array_equal(found.weights.indptr, some.indptr)
    data = some.data if n_columns > 1 else np.ones(some.nnz)
    assert np.array_equal(found.weights.data, data)
    if n_columns == 3:
        assert histories.n_later is not None
        assert found.n_later is not None
        assert np.array_equal(found.n_later, histories.n_later)


def test_new_items_keep_their_vectors(tmp_path, fitted, weights, at):
    """Items are scored by other vectors than those that users are solved with."""
    als = fitted["als"]
    items = als.item_factors.copy()
    items[:3] = items[3:6]
    model = FittedFactors(als.user_factors, items, als.seen, als.solve)
    write_snapshot(tmp_path, model, histories_of(weights, at), n_items=weights.shape[1])
    with opened(tmp_path) as served:
        found = served.fold_in(served.histories(user_ids(weights))).top_k(K, n_threads=1)
    assert found.item_rows.tobytes() == model.top_k(K, n_threads=1).item_rows.tobytes()
