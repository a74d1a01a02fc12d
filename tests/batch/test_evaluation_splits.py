"""Splits: what is on which side, and that nothing leaks from one to the other."""

import gzip

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError, InputError
from batch.evaluation.pairs import read_pairs
from batch.evaluation.splits import by_time, fold_in, last_out, pairs


@pytest.fixture
def weights():
    """Users with 0 to 30 items."""
    rng = np.random.default_rng(1)
    has = rng.random((120, 30)) < rng.random((120, 1)) ** 2
    return sp.csr_matrix(has * rng.uniform(0.1, 2, has.shape), dtype=np.float32)


@pytest.fixture
def at(weights):
    """Times, all different, that have nothing to do with the order of the matrix."""
    return np.random.default_rng(2).permutation(weights.nnz) + 1_600_000_000


def cells(part, rows=None):
    """Return {(user_row, item_row)} of a part of the matrix whose rows are `rows` of it."""
    user, item = part.nonzero()
    user = user if rows is None else rows[user]
    return set(zip(user.tolist(), item.tolist(), strict=True))


def time_of(weights, at):
    user, item = weights.nonzero()
    return dict(zip(zip(user.tolist(), item.tolist(), strict=True), at.tolist(), strict=True))


def test_by_time_all_of_the_test_comes_after_all_of_the_training(weights, at):
    """One moment for everybody: a fifth of all interactions lies behind it."""
    split = by_time(weights, at)
    when = time_of(weights, at)
    train, test = cells(split.train), cells(split.test, split.user_rows)
    assert max(when[cell] for cell in train) < min(when[cell] for cell in test)
    assert len(train) == pytest.approx(0.8 * weights.nnz, abs=1)
    assert not train & test
    assert train | test <= cells(weights)


def test_by_time_judges_who_is_on_both_sides(weights, at):
    """Users without a past are counted and left out."""
    split = by_time(weights, at)
    when = time_of(weights, at)
    cut = max(when[cell] for cell in cells(split.train))
    late = {user for (user, _), moment in when.items() if moment > cut}
    early = {user for (user, _), moment in when.items() if moment <= cut}
    assert split.user_rows.tolist() == sorted(late & early)
    assert split.n_left_out == len(late - early)


def test_times_go_with_their_interactions(weights, at):
    """What a model may hold out by is what it was when."""
    split = by_time(weights, at)
    assert time_of(split.train, split.at).items() <= time_of(weights, at).items()


def test_events_at_one_moment_stay_together(weights):
    """A cut within a tie would be chance: all of that moment is learned from."""
    at = np.where(np.arange(weights.nnz) % 2, 100, 200)
    for test_share in (0.51, 0.6, 0.9):
        assert by_time(weights, at, test_share).train.nnz == (at == 100).sum()


def test_by_time_wants_times(weights, at):
    """It says how many are unknown, and which splits do without."""
    at[:3] = 0
    with pytest.raises(BatchError, match=r"3 of .* have no time; .*last-out"):
        by_time(weights, at)


def test_a_split_that_leaves_nobody_to_judge_is_refused(weights):
    """All at once: nothing lies after."""
    with pytest.raises(BatchError, match="no user has"):
        by_time(weights, np.full(weights.nnz, 5))


def test_last_out_takes_the_last_of_each_user(weights, at):
    """One each, of all that have 2 or more."""
    split = last_out(weights, at, 10**6, seed=1)
    assert split.user_rows.tolist() == np.flatnonzero(np.diff(weights.indptr) >= 2).tolist()
    assert np.diff(split.test.indptr).tolist() == [1] * len(split.user_rows)
    when = time_of(weights, at)
    for user, item in cells(split.test, split.user_rows):
        assert when[user, item] == max(m for (u, _), m in when.items() if u == user)
    assert cells(split.train) == cells(weights) - cells(split.test, split.user_rows)


def test_last_out_judges_as_many_as_it_is_told(weights):
    """The others are all learned from."""
    split = last_out(weights, None, 10, seed=1)
    assert len(split.user_rows) == 10
    assert split.train.nnz == weights.nnz - 10


def test_given_is_what_the_judged_are_known_by(weights, at):
    """The training's rows of theirs, in their order."""
    split = last_out(weights, at, 10**6, seed=1)
    assert (split.given != split.train[split.user_rows]).nnz == 0


def test_folded_users_are_not_trained_with(weights):
    """Their rows are gone, and everybody else's are there."""
    split = fold_in(weights, seed=1, user_share=0.3)
    rest = np.setdiff1d(np.arange(weights.shape[0]), split.user_rows)
    assert split.is_folded
    assert (split.train != weights[rest]).nnz == 0


def test_folded_users_get_four_fifths_back(weights):
    """The rest, at least one, is judged by; together they are what the user had."""
    split = fold_in(weights, seed=1, user_share=0.3)
    n_had = np.diff(weights.indptr)[split.user_rows]
    assert (n_had >= 5).all()
    assert len(split.user_rows) == int(0.3 * (np.diff(weights.indptr) >= 5).sum())
    assert np.diff(split.given.indptr).tolist() == (0.8 * n_had).astype(int).tolist()
    assert not cells(split.given) & cells(split.test)
    assert (split.given + split.test != weights[split.user_rows]).nnz == 0


def test_folding_needs_users_of_five_items():
    """With less, nothing would be left to judge by."""
    with pytest.raises(BatchError, match="5 interactions or more"):
        fold_in(sp.csr_matrix(np.eye(8, dtype=np.float32)), seed=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_splits_alike(weights, seed):
    """And another one differently."""
    for split in (lambda s: last_out(weights, None, 50, s), lambda s: fold_in(weights, s)):
        first, again, other = (split(s) for s in (seed, seed, seed + 10))
        assert cells(first.test) == cells(again.test)
        assert cells(first.test) != cells(other.test)


TRAIN = "0 17 4 233\n1 4\n2\n\n10 4 17\n"
TEST = "0 5\n1\n10 233 9\n"


@pytest.fixture
def files(tmp_path):
    """A published split in small; one side is packed."""
    (tmp_path / "train.txt").write_text(TRAIN)
    (tmp_path / "test.txt").write_bytes(gzip.compress(TEST.replace("\n", "\r\n").encode()))
    return tmp_path / "train.txt", tmp_path / "test.txt"


def test_pairs_are_read_as_they_stand(files):
    """Users and items of either file; blanks, empty lines and CRLF do no harm."""
    train, test, user_ids = read_pairs(*files)
    items = sorted({"17", "4", "233", "5", "9"})
    named = [
        {(user_ids[user], items[item]) for user, item in cells(side)} for side in (train, test)
    ]
    assert named[0] == {
        ("0", "17"), ("0", "4"), ("0", "233"), ("1", "4"), ("10", "4"), ("10", "17"),
    }  # fmt: skip
    assert named[1] == {("0", "5"), ("10", "233"), ("10", "9")}


def test_a_pair_that_stands_twice_is_one(tmp_path):
    """The weight stays 1."""
    (tmp_path / "a").write_text("0 1 1 2\n0 1\n")
    (tmp_path / "b").write_text("0 3\n")
    train, _, _ = read_pairs(tmp_path / "a", tmp_path / "b")
    assert train.data.tolist() == [1, 1]


def test_pairs_judge_who_is_on_both_sides(files):
    """User 1 has nothing to judge by."""
    train, test, user_ids = read_pairs(*files)
    split = pairs(train, test)
    assert [user_ids[row] for row in split.user_rows] == ["0", "10"]


@pytest.mark.parametrize("text", ["\n\n", "1\n2\n3\n", "größe 1 2\n"])
def test_a_file_of_another_form_is_refused(files, tmp_path, text):
    """With the form that is wanted."""
    (tmp_path / "other").write_text(text)
    with pytest.raises(InputError, match="a user and their items"):
        read_pairs(tmp_path / "other", files[1])
