"""The published protocols: hand-worked metrics, made data with a known answer, the command."""

import json
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from batch.settings import MODELS, BatchSettings
from batch.topk import TopK
from benchmarks.harness.errors import BenchmarkError
from benchmarks.published import lcfn, ncf
from benchmarks.published.__main__ import main
from benchmarks.published.candidates import GRIDS, candidates, measured_by_default, offered
from benchmarks.published.lcfn import LCFN, ListsOfAllItems
from benchmarks.published.ncf import NCF, RankedAmongNegatives
from benchmarks.published.pairs import Pairs, k_core

N_USERS, N_ITEMS, N_EACH, N_NEGATIVES = 60, 48, 22, 12
SUBJECTS = ("popularity", "item_knn")
LCFN_METRICS = ("f1@20", "ndcg@20", "recall@20")


class FixedScores:
    """A fitted model with given scores."""

    def __init__(self, scores):
        self.table = np.array(scores, np.float32)

    def scores(self, user_rows):
        return self.table[user_rows]


class FixedLists:
    """A fitted model with given lists."""

    def __init__(self, lists):
        self.lists = np.array(lists, np.int32)

    def top_k(self, k, *, user_rows, n_threads):
        lists = self.lists[user_rows]
        return TopK(lists, np.zeros(lists.shape, np.float32))


def evaluated(task, fitted):
    """Return the metrics of a fitted model, on one thread."""
    return task.per_user(fitted, 1)


def write_pairs(path, pairs, columns=("user_id", "item_id")):
    """Write pairs of numbers as the text columns of a Parquet file."""
    path.parent.mkdir(exist_ok=True)
    users, items = zip(*sorted(pairs), strict=True)
    table = {columns[0]: list(map(str, users)), columns[1]: list(map(str, items))}
    pq.write_table(pa.table(table), path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Both protocols of users in two groups, each with its own half of the items.

    Every user has 22 of their group's 24 items, so that all belong to the 20-core. One more
    user has a single item, and does not.
    """
    monkeypatch.delenv("MARQUEE_SHARED_DATA", raising=False)
    rng = np.random.default_rng(5)
    pairs, ncf_test, negatives, test, validation = [], [], [], [], []
    for user in range(N_USERS):
        own = np.arange(user % 2, N_ITEMS, 2)
        items = rng.permutation(own)[:N_EACH]
        pairs += [(user, int(item)) for item in items]
        ncf_test.append((user, int(items[0])))
        unseen = np.setdiff1d(np.arange(N_ITEMS), items)
        negatives += [(user, int(item)) for item in rng.permutation(unseen)[:N_NEGATIVES]]
        test += [(user, int(item)) for item in items[:3]]
        validation += [(user, int(item)) for item in items[3:6]]
    write_pairs(tmp_path / "ml-1m/pairs.parquet", [*pairs, (N_USERS, 0)], ("userID", "movieID"))
    protocols = tmp_path / "ml-1m-protocols"
    write_pairs(protocols / "ncf-test.parquet", [*ncf_test, (N_USERS, 0)])
    write_pairs(protocols / "ncf-negatives.parquet", [
        *negatives, *((N_USERS, item) for item in range(1, N_NEGATIVES + 1))
    ])  # fmt: skip
    write_pairs(protocols / "lcfn-test.parquet", test)
    write_pairs(protocols / "lcfn-validation.parquet", validation)
    return tmp_path


@pytest.mark.parametrize(
    ("score", "others", "rank"),
    [
        (0.9, [0.5] * 12, 1),
        (0.5, [0.9, 0.8] + [0.1] * 10, 3),
        (0.5, [0.5, 0.5] + [0.1] * 10, 3),
        (0.5, [0.9] * 9 + [0.1] * 3, 10),
        (0.5, [0.9] * 9 + [0.5] + [0.1] * 2, 11),
        (np.nan, [0.1] * 12, 13),
    ],
    ids=["best", "third", "ties count against it", "tenth", "tied at the tenth", "no number"],
)
def test_held_out_item_is_ranked_among_its_negatives(score, others, rank):
    """HR@10 is 1 up to rank 10, and NDCG@10 is 1 / log2(1 + rank) there; both are 0 beyond."""
    scores = [[score, 7.0, *others]]  # item 1 is no negative, whatever its score
    task = RankedAmongNegatives(
        sp.csr_matrix((1, 14)), np.array([0]), np.array([0]), np.arange(2, 14)[None, :]
    )
    found = evaluated(task, FixedScores(scores))
    is_hit = rank <= 10
    assert found["hr@10"].tolist() == [is_hit]
    assert found["ndcg@10"] == pytest.approx([1 / np.log2(1 + rank) if is_hit else 0])


def test_f1_is_a_mean_over_users_with_test_items():
    """Of the first user 1 of 2 test items is third, of the second 20 of 25; the third has none."""
    relevant = np.zeros((3, 60))
    relevant[0, [2, 50]] = 1
    relevant[1, 20:45] = 1
    lists = [list(range(20)), list(range(20, 40)), list(range(20))]
    task = ListsOfAllItems(sp.csr_matrix((3, 60)), sp.csr_matrix(relevant))
    found = evaluated(task, FixedLists(lists))
    precision, recall = np.array([1 / 20, 20 / 20]), np.array([1 / 2, 20 / 25])
    assert found["recall@20"] == pytest.approx(recall)
    assert found["f1@20"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert found["ndcg@20"] == pytest.approx([0.5 / (1 + 1 / np.log2(3)), 1])


def test_k_core_removes_until_all_have_enough():
    """The item that a removed user leaves with one pair is removed too, and so on."""
    users = ["a", "a", "b", "b", "c", "c", "d"]
    items = ["1", "2", "1", "2", "2", "3", "3"]
    core = k_core(Pairs(pa.array(users), pa.array(items)), 2)
    pairs = list(zip(core.user_ids.to_pylist(), core.item_ids.to_pylist(), strict=True))
    assert pairs == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]


def test_ncf_sides_share_no_pair(folder):
    """Training lacks the held-out items, and the validation's training lacks one more of each."""
    tasks = ncf.read_tasks(folder)
    n_pairs = N_USERS * N_EACH + 1
    assert tasks.test.train.nnz == n_pairs - N_USERS - 1
    assert tasks.test.train[tasks.test.user_rows, tasks.test.held_out].sum() == 0
    assert tasks.test.negatives.shape == (N_USERS + 1, N_NEGATIVES)
    validation = tasks.validation
    assert validation.train.nnz == tasks.test.train.nnz - N_USERS
    assert validation.train[validation.user_rows, validation.held_out].sum() == 0
    assert (tasks.test.train[validation.user_rows, validation.held_out] == 1).all()
    users = np.broadcast_to(validation.user_rows[:, None], validation.negatives.shape)
    assert tasks.test.train.toarray()[users, validation.negatives].sum() == 0
    again = ncf.read_tasks(folder).validation
    assert np.array_equal(again.held_out, validation.held_out)
    assert np.array_equal(again.negatives, validation.negatives)


def test_lcfn_training_is_the_core_without_both_sides(folder):
    """The user outside of the 20-core has no row; lists may have validation items."""
    tasks = lcfn.read_tasks(folder)
    train, test, validation = tasks.test.train, tasks.test.relevant, tasks.validation.relevant
    assert tasks.validation.train is train
    assert train.shape[0] == N_USERS
    assert (train.nnz, test.nnz, validation.nnz) == (N_USERS * 16, N_USERS * 3, N_USERS * 3)
    assert (train + test + validation).max() == 1


def test_command_prints_every_figure_beside_the_published_one(folder, capsys):
    """A table for people and a JSON line for each figure; groups are found, popularity misses."""
    assert main(["--data", str(folder), "--models", *SUBJECTS, "--seeds", "1"]) == 0
    output = capsys.readouterr()
    figures = {}
    for line in map(json.loads, output.out.splitlines()):
        assert {"benchmark", "unit", "low", "high", "n_users", "seeds", "python"} <= line.keys()
        figures[line["data"], line["subject"], line["metric"]] = line
    expected = {
        (protocol.name, subject, metric)
        for protocol, metrics in ((NCF, ("hr@10", "ndcg@10")), (LCFN, LCFN_METRICS))
        for subject in SUBJECTS for metric in metrics
    }  # fmt: skip
    assert figures.keys() == expected
    assert figures["ncf", "popularity", "hr@10"]["published"] == 0.730
    assert figures["lcfn", "item_knn", "ndcg@20"]["published"] == 0.2670
    for data, metric in (("ncf", "ndcg@10"), ("lcfn", "f1@20")):
        popularity, knn = (figures[data, subject, metric]["value"] for subject in SUBJECTS)
        assert knn > 1.2 * popularity
    assert "| SimpleX " in output.err
    assert "| NeuMF " in output.err
    assert "| item_knn " in output.err


def test_popularity_has_the_known_figures_of_ml_1m(shared_data, capsys):
    """The figures that an independent computation on dense matrices has."""
    assert main(["--data", str(shared_data), "--models", "popularity"]) == 0
    values = [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()]
    assert np.round(values, 4).tolist() == [0.4520, 0.2526, 0.0741, 0.1176, 0.1161]


@pytest.mark.parametrize(("goal", "status"), [(0.0, 0), (1.1, 1)])
def test_exit_status_says_whether_the_default_model_meets_its_goals(
    folder, monkeypatch, capsys, goal, status
):
    monkeypatch.setitem(LCFN.goals, "f1@20", goal)
    monkeypatch.setitem(LCFN.goals, "ndcg@20", 0.0)
    arguments = ["--data", str(folder), "--only", "lcfn", "--quick", "--threads", "1"]
    assert main([*arguments, "--models", "marquee"]) == status
    assert ("MISSED: f1@20 of marquee" in capsys.readouterr().err) == bool(status)
    assert main([*arguments, "--models", "popularity"]) == 0  # has no goal


def test_missing_file_is_reported_and_its_protocol_skipped(folder, capsys):
    (folder / "ml-1m-protocols/ncf-negatives.parquet").unlink()
    assert main(["--data", str(folder), "--models", "popularity"]) == 0
    output = capsys.readouterr()
    assert "ncf SKIPPED" in output.err
    assert "ncf-negatives.parquet" in output.err
    assert {json.loads(line)["data"] for line in output.out.splitlines()} == {"lcfn"}


def test_files_that_do_not_belong_together_are_refused(folder, capsys):
    """A test pair that is not one of all pairs, and a file that is not Parquet."""
    path = folder / "ml-1m-protocols/lcfn-test.parquet"
    write_pairs(path, [(0, 1)])  # user 0 has even items alone
    with pytest.raises(BenchmarkError, match="not one of all pairs"):
        lcfn.read_tasks(folder)
    path.write_text("0,1")
    assert main(["--data", str(folder), "--only", "lcfn", "--models", "popularity"]) == 1
    assert "lcfn-test.parquet: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("extra", [["--only", "ncv"], ["--models", "best"], ["--seeds", "0"], []])
def test_wrong_usage_exits_with_2(folder, extra):
    """Unknown names, no seed, and no folder of data."""
    data = ["--data", str(folder)] if extra else []
    with pytest.raises(SystemExit) as ended:
        main([*data, *extra])
    assert ended.value.code == 2


def test_grids_have_settings_that_exist():
    """Of every model that is offered; a model that does not exist is not offered."""
    names = {field.name for field in fields(BatchSettings)}
    for model in set(GRIDS) & set(MODELS):
        assert {name for grid in GRIDS[model] for name in grid} <= names
        assert len(candidates(model, BatchSettings())) == len(GRIDS[model])
    assert set(measured_by_default()) <= set(offered()) <= {"marquee", *MODELS}
    assert candidates("marquee", BatchSettings()) == [BatchSettings()]
