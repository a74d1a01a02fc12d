"""The benchmark of the top-k search runs, and its figures have the fields that programs read."""

import json

import numpy as np
import pytest

from benchmarks.topk import __main__ as benchmark
from benchmarks.topk.factors import SCENARIO, Size, Trained, interactions, train
from benchmarks.topk.searches import SEARCHES, differences

SMALL = Size(users=1_500, items=900, views=40_000)


@pytest.fixture(scope="module")
def trained():
    """A small scenario."""
    return train(SCENARIO, interactions(SCENARIO, SMALL), 16)


@pytest.fixture
def small(monkeypatch):
    """Let the scenario be small, and the processor's rate a known one."""
    monkeypatch.setattr(benchmark, "Size", lambda *_: SMALL)
    monkeypatch.setattr(benchmark, "_peak_flops", lambda: 1e12)
    monkeypatch.setattr(benchmark, "_has_faiss", lambda: False)


def figures(capsys, *more):
    assert benchmark.main(["--quick", "--sets", SCENARIO, "--rounds", "1", *more]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("small")
def test_every_figure_names_what_it_is(capsys):
    """Inputs, seed and versions stand on each line, and the rate is above 0."""
    lines = figures(capsys)
    fields = {"benchmark", "subject", "metric", "value", "unit", "data", "users", "items"}
    fields |= {"factors", "k", "seed", "peak_share", "version", "python"}
    assert [line for line in lines if not fields <= line.keys()] == []
    assert {(line["benchmark"], line["data"], line["k"]) for line in lines} == {
        ("topk", SCENARIO, 20)
    }
    assert [line for line in lines if line["value"] <= 0] == []


@pytest.mark.usefixtures("small")
def test_marquee_is_compared_with_every_peer(capsys):
    """One line a peer with the ratio; no list differs from those of implicit."""
    lines = {line["peer"]: line for line in figures(capsys) if line["subject"] == "marquee"}
    assert lines.keys() == {"implicit", "numpy"}
    assert all(line["ratio"] > 0 for line in lines.values())
    assert lines["implicit"]["differing"] == 0


@pytest.mark.usefixtures("small")
def test_a_peer_that_is_not_installed_is_skipped_for_all_to_see(capsys):
    """Without faiss the others are measured."""
    assert benchmark.main(["--quick", "--sets", SCENARIO, "--rounds", "1"]) == 0
    assert "faiss SKIPPED" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_lists_that_differ_make_it_fail(capsys, monkeypatch):
    """A search that leaves out the best item is found out."""
    exact = SEARCHES["marquee"]
    monkeypatch.setitem(SEARCHES, "marquee", lambda trained, k: exact(trained, k + 1)[:, 1:])
    assert benchmark.main(["--quick", "--sets", SCENARIO, "--rounds", "1"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["differing"] for line in lines if "differing" in line} == {1_500}


@pytest.mark.parametrize("peer", ["implicit", "numpy"])
def test_peers_find_the_same_lists(trained, peer):
    """Both sides do the same work, whatever k."""
    for k in (1, 20, 100):
        assert (
            differences(trained, SEARCHES["marquee"](trained, k), SEARCHES[peer](trained, k)) == 0
        )


def test_exact_ties_are_no_difference_and_others_are():
    """Two items of the same vector may change places, one that scores less is another list."""
    items = np.array([[2], [2], [1]], np.float32)
    users = np.ones((1, 1), np.float32)
    tied = Trained("ties", users, items, None)
    lists = [np.array([rows], np.int32) for rows in ([0, 1], [1, 0], [0, 2], [0, -1])]
    assert [differences(tied, lists[0], other) for other in lists] == [0, 0, 1, 1]


def test_the_scenario_has_its_size():
    """As many users and items as asked, each user with a view, each seed the same."""
    seen = interactions(SCENARIO, SMALL)
    assert seen.shape == (SMALL.users, SMALL.items)
    assert (np.diff(seen.indptr) > 0).all()
    assert 0.4 * SMALL.views < seen.nnz <= 1.05 * SMALL.views  # some fall together
    assert (seen != interactions(SCENARIO, SMALL)).nnz == 0


def test_real_data_that_is_not_there_is_skipped(monkeypatch, tmp_path, capsys):
    """Without the data the set is named and left out."""
    monkeypatch.setenv("MARQUEE_SHARED_DATA", str(tmp_path / "nowhere"))
    assert benchmark.main(["--quick", "--sets", "ml-1m"]) == 0
    assert "ml-1m SKIPPED" in capsys.readouterr().err
