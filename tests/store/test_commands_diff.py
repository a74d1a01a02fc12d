"""`diff` of generations whose differences are known by construction."""

import json

import pytest

from store.diff import overlap, rank_biased_overlap
from tests.snapshots import make_snapshot


def ran(done, status=0):
    """Return the output of a command that ended with `status`, and did not crash."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr
    return done.stdout


@pytest.fixture
def changed(store):
    """One user lost, one gained, one changed list, one equal list."""
    make_snapshot(store, {"ann": ["a", "b"], "bob": ["c"], "eve": ["a"]}, ["a"])
    make_snapshot(store, {"ann": ["b", "d"], "eve": ["a"], "zoe": ["b"]}, ["a"])
    return store


def test_diff_as_json(changed, command):
    """Users, overlap, and items that rose and fell."""
    found = json.loads(ran(command("diff", "1", "2", "--json")))
    assert found.pop("mean_rank_overlap") == pytest.approx(
        (1 + rank_biased_overlap([b"a", b"b"], [b"b", b"d"])) / 2
    )
    assert found == {
        "before": 1,
        "after": 2,
        "n_gained": 1,
        "n_lost": 1,
        "n_changed": 1,
        "n_same": 1,
        "mean_overlap": 0.75,
        "rose": [["b", 1], ["d", 1]],
        "fell": [["a", -1], ["c", -1]],
    }


def test_diff_as_a_table(changed, command):
    """The same figures."""
    lines = [line.split() for line in ran(command("diff", "1", "2")).splitlines()]
    assert ["users", "lost", "1"] in lines
    assert ["mean", "overlap@20", "0.7500"] in lines
    assert ["d", "+1"] in lines
    assert ["c", "-1"] in lines


def test_diff_of_a_generation_with_itself(changed, command):
    """All lists are equal, no item rose or fell."""
    found = json.loads(ran(command("diff", "2", "2", "--json")))
    assert (found["n_same"], found["mean_overlap"], found["mean_rank_overlap"]) == (3, 1.0, 1.0)
    assert found["rose"] == found["fell"] == []


def test_diff_without_common_users_has_no_mean(store, command):
    """The mean is null, and a dash in the table."""
    make_snapshot(store, {"ann": ["a"]}, ["a"])
    make_snapshot(store, {"zoe": ["a"]}, ["a"])
    assert json.loads(ran(command("diff", "1", "2", "--json")))["mean_overlap"] is None
    assert "–" in ran(command("diff", "1", "2"))


@pytest.mark.parametrize("pair", [("1", "9"), ("9", "1")])
def test_diff_with_a_missing_generation_is_1(two, command, pair):
    """One line on standard error."""
    done = command("diff", *pair)
    assert ran(done, 1) == ""
    assert "no such snapshot" in done.stderr


def test_diff_of_an_empty_store_is_1(command):
    """One line on standard error."""
    done = command("diff", "1", "2")
    assert ran(done, 1) == ""
    assert len(done.stderr.splitlines()) == 1


NAMES = [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("measure", [overlap, rank_biased_overlap])
def test_equal_lists_are_1_and_disjoint_lists_are_0(measure):
    """For lists of 1, 2 and 20 items."""
    for length in (1, 2, 20):
        assert measure(NAMES[:length], NAMES[:length]) == pytest.approx(1)
        assert measure(NAMES[:length], [b"x%d" % n for n in range(20)]) == 0


def test_rank_biased_overlap_is_symmetric():
    """The longer list may be the first or the second."""
    one, two = NAMES[:5], [NAMES[7], NAMES[0], NAMES[3]]
    assert rank_biased_overlap(one, two) == rank_biased_overlap(two, one)


def test_rank_biased_overlap_of_a_prefix_is_1():
    """The agreement of the shorter list is extrapolated."""
    assert rank_biased_overlap(NAMES[:5], NAMES) == pytest.approx(1)


def test_rank_biased_overlap_by_hand():
    """[a, b] and [b, a] at p = 0.9: X = 0, 2, so 0.1/0.9 · 0.81 + 0.81 = 0.9."""
    assert rank_biased_overlap([b"a", b"b"], [b"b", b"a"]) == pytest.approx(0.9)


def test_rank_biased_overlap_weights_the_first_ranks():
    """A swap at the head costs more than one at the tail; overlap ignores both."""
    head = [NAMES[1], NAMES[0], *NAMES[2:]]
    tail = [*NAMES[:18], NAMES[19], NAMES[18]]
    assert rank_biased_overlap(NAMES, head) < rank_biased_overlap(NAMES, tail) < 1
    assert overlap(NAMES, head) == overlap(NAMES, tail) == 1
