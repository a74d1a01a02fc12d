"""The benchmark of the top-k search runs, and its figures have the fields that programs read."""

import json

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.topk.__main__ import main
from benchmarks.topk.factors import SCENARIO, Size, Trained, interactions, train
from benchmarks.topk.searches import SEARCHES, differences

SMALL = Size(users=1_500, items=900, views=40_000)


@pytest.fixture(scope="module")
def trained():
    """A small scenario."""
    return train(SCENARIO, scenario(), 16)


def scenario():
    seen = interactions(SCENARIO, SMALL)
    assert seen is not None
    return seen


def run():
    """Run the benchmark on a small scenario, a given processor rate, and without faiss."""
    arguments = ["--quick", "--sets", SCENARIO, "--rounds", "1"]
    return main(arguments, size=SMALL, peak=1e12, searches=("marquee", "implicit", "numpy"))


def figures(capsys):
    assert run() == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_figure_has_its_inputs(capsys):
    """Each line holds inputs, seed and versions, and a rate above 0."""
    lines = figures(capsys)
    fields = {"benchmark", "subject", "metric", "value", "unit", "data", "users", "items"}
    fields |= {"factors", "k", "seed", "peak_share", "version", "python"}
    assert [line for line in lines if not fields <= line.keys()] == []
    assert {(line["benchmark"], line["data"], line["k"]) for line in lines} == {
        ("topk", SCENARIO, 20)
    }
    assert [line for line in lines if line["value"] <= 0] == []


def test_marquee_is_compared_with_every_peer(capsys):
    """One line per peer with the ratio; no list differs from those of implicit."""
    lines = {line["peer"]: line for line in figures(capsys) if line["subject"] == "marquee"}
    assert lines.keys() == {"implicit", "numpy"}
    assert all(line["ratio"] > 0 for line in lines.values())
    assert lines["implicit"]["differing"] == 0


def test_factors_and_lengths_of_lists_can_be_chosen(capsys):
    """Each combination is measured; a number that is not whole is refused."""
    arguments = ["--quick", "--sets", SCENARIO, "--rounds", "1"]
    chosen = [*arguments, "--factors", "8,16", "--k", "5,10"]
    assert main(chosen, size=SMALL, peak=1e12, searches=("marquee", "implicit")) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(line["factors"], line["k"]) for line in lines} == {
        (8, 5), (8, 10), (16, 5), (16, 10),
    }  # fmt: skip
    with pytest.raises(SystemExit):
        main([*arguments, "--k", "5,0"])


def test_a_missing_peer_is_reported_as_skipped(capsys):
    """Without faiss the other searches are measured."""
    assert run() == 0
    assert "faiss SKIPPED" in capsys.readouterr().err


def test_lists_that_differ_give_exit_status_1(capsys, monkeypatch):
    """A search that omits the best item is counted as differing for every user."""
    exact = SEARCHES["marquee"]
    monkeypatch.setitem(SEARCHES, "marquee", lambda trained, k: exact(trained, k + 1)[:, 1:])
    assert run() == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["differing"] for line in lines if "differing" in line} == {1_500}


@pytest.mark.parametrize("peer", ["implicit", "numpy"])
def test_peers_find_the_same_lists(trained, peer):
    """All searches return the same lists for small and large k."""
    for k in (1, 20, 100):
        assert (
            differences(trained, SEARCHES["marquee"](trained, k), SEARCHES[peer](trained, k)) == 0
        )


def test_exact_ties_do_not_count_as_differences():
    """Two items with equal vectors may swap ranks; an item with a lower score counts."""
    items = np.array([[2], [2], [1]], np.float32)
    users = np.ones((1, 1), np.float32)
    tied = Trained("ties", users, items, sp.csr_matrix(np.zeros((1, 3), np.float32)))
    lists = [np.array([rows], np.int32) for rows in ([0, 1], [1, 0], [0, 2], [0, -1])]
    assert [differences(tied, lists[0], other) for other in lists] == [0, 0, 1, 1]


def test_the_scenario_has_the_requested_size():
    """The users and items of the size, a view for each user, and the same result again."""
    seen = scenario()
    assert seen.shape == (SMALL.users, SMALL.items)
    assert (np.diff(seen.indptr) > 0).all()
    assert 0.4 * SMALL.views < seen.nnz <= 1.05 * SMALL.views  # duplicates are merged
    assert abs(seen - scenario()).nnz == 0


def test_missing_real_data_is_reported_as_skipped(monkeypatch, tmp_path, capsys):
    """Without its files a data set is named and skipped."""
    monkeypatch.setenv("MARQUEE_SHARED_DATA", str(tmp_path / "nowhere"))
    assert main(["--quick", "--sets", "ml-1m"]) == 0
    assert "ml-1m SKIPPED" in capsys.readouterr().err
