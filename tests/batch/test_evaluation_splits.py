"""Splits: their sides, and that no interaction is on both."""

import gzip
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from batch.errors import BatchError, InputError
from batch.evaluation.pairs import read_pairs
from batch.evaluation.splits import by_time, fold_in, leave_last_out, pairs


@pytest.fixture
def weights():
    """Return users with 0 to 30 items."""
    rng = np.random.default_rng(1)
    has = rng.random((120, 30)) < rng.random((120, 1)) ** 2
    return sp.csr_matrix(has * rng.uniform(0.1, 2, has.shape), dtype=np.float32)


@pytest.fixture
def at(weights):
    """Return distinct times in an order independent of the matrix."""
    return np.random.default_rng(2).permutation(weights.nnz) + 1_600_000_000


def cells(part, rows=None):
    """Return {(user_row, item_row)} of a matrix whose rows are `rows` of the whole one."""
    user, item = part.nonzero()
    user = user if rows is None else rows[user]
    return set(zip(user.tolist(), item.tolist(), strict=True))


def time_of(weights, at):
    user, item = weights.nonzero()
    return dict(zip(zip(user.tolist(), item.tolist(), strict=True), at.tolist(), strict=True))


def test_time_split_has_one_cutoff_for_all_users(weights, at):
    """A fifth of all interactions begins after it."""
    split = by_time(weights, at)
    when = time_of(weights, at)
    train, test = cells(split.train), cells(split.test, split.user_rows)
    assert max(when[cell] for cell in train) < min(when[cell] for cell in test)
    assert len(train) == pytest.approx(0.8 * weights.nnz, abs=1)
    assert not train & test
    assert train | test <= cells(weights)


def test_time_split_evaluates_users_on_both_sides(weights, at):
    """Users without training interactions are counted and left out."""
    split = by_time(weights, at)
    when = time_of(weights, at)
    cutoff = max(when[cell] for cell in cells(split.train))
    late = {user for (user, _), moment in when.items() if moment > cutoff}
    early = {user for (user, _), moment in when.items() if moment <= cutoff}
    assert split.user_rows.tolist() == sorted(late & early)
    assert split.n_left_out == len(late - early)


def test_training_times_belong_to_their_interactions(weights, at):
    split = by_time(weights, at)
    assert time_of(split.train, split.at).items() <= time_of(weights, at).items()


def test_interactions_at_the_cutoff_are_training(weights):
    """Equal times are never split."""
    at = np.where(np.arange(weights.nnz) % 2, 100, 200)
    for test_share in (0.51, 0.6, 0.9):
        assert by_time(weights, at, test_share).train.nnz == (at == 100).sum()


def test_time_split_without_times_is_refused(weights, at):
    """The error counts the unknown times, and names the other splits."""
    at[:3] = 0
    with pytest.raises(BatchError, match=r"3 of .* have no time; .*leave-last-out"):
        by_time(weights, at)


def test_split_without_evaluated_users_is_refused(weights):
    """All interactions at one time: the test side is empty."""
    with pytest.raises(BatchError, match="no user has"):
        by_time(weights, np.full(weights.nnz, 5))


def test_leave_last_out_takes_the_last_item_of_each_user(weights, at):
    """Of each user with 2 items or more."""
    split = leave_last_out(weights, at, 10**6, seed=1)
    assert split.user_rows.tolist() == np.flatnonzero(np.diff(weights.indptr) >= 2).tolist()
    assert np.diff(split.test.indptr).tolist() == [1] * len(split.user_rows)
    when = time_of(weights, at)
    for user, item in cells(split.test, split.user_rows):
        assert when[user, item] == max(m for (u, _), m in when.items() if u == user)
    assert cells(split.train) == cells(weights) - cells(split.test, split.user_rows)


def test_leave_last_out_evaluates_at_most_max_users(weights):
    """All other interactions are training."""
    split = leave_last_out(weights, None, 10, seed=1)
    assert len(split.user_rows) == 10
    assert split.train.nnz == weights.nnz - 10


def test_fold_in_rows_are_the_training_rows(weights, at):
    """Of the evaluated users, in their order."""
    split = leave_last_out(weights, at, 10**6, seed=1)
    difference: Any = split.fold_in != split.train[split.user_rows]
    assert difference.nnz == 0


def test_folded_users_are_not_in_the_training_side(weights):
    """All other users are."""
    split = fold_in(weights, seed=1, user_share=0.3)
    rest = np.setdiff1d(np.arange(weights.shape[0]), split.user_rows)
    assert split.is_folded
    assert (split.train != weights[rest]).nnz == 0


def test_fold_in_has_four_fifths_of_the_items(weights):
    """The others, at least one, are the test side."""
    split = fold_in(weights, seed=1, user_share=0.3)
    n_items = np.diff(weights.indptr)[split.user_rows]
    assert (n_items >= 5).all()
    assert len(split.user_rows) == int(0.3 * (np.diff(weights.indptr) >= 5).sum())
    assert np.diff(split.fold_in.indptr).tolist() == (0.8 * n_items).astype(int).tolist()
    assert not cells(split.fold_in) & cells(split.test)
    assert (split.fold_in + split.test != weights[split.user_rows]).nnz == 0


def test_fold_in_split_needs_users_with_five_items():
    with pytest.raises(BatchError, match="5 interactions or more"):
        fold_in(sp.csr_matrix(np.eye(8, dtype=np.float32)), seed=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_equal_seeds_give_equal_splits(weights, seed):
    """Another seed gives another split."""
    for split in (lambda s: leave_last_out(weights, None, 50, s), lambda s: fold_in(weights, s)):
        first, again, other = (split(s) for s in (seed, seed, seed + 10))
        assert cells(first.test) == cells(again.test)
        assert cells(first.test) != cells(other.test)


TRAIN = "0 17 4 233\n1 4\n2\n\n10 4 17\n"
TEST = "0 5\n1\n10 233 9\n"


@pytest.fixture
def files(tmp_path):
    """Write a small published split, one side gzipped."""
    (tmp_path / "train.txt").write_text(TRAIN)
    (tmp_path / "test.txt").write_bytes(gzip.compress(TEST.replace("\n", "\r\n").encode()))
    return tmp_path / "train.txt", tmp_path / "test.txt"


def test_users_and_items_of_both_files_are_read(files):
    """Blanks, empty lines and CRLF are accepted."""
    train, test, user_ids = read_pairs(*files)
    items = sorted({"17", "4", "233", "5", "9"})
    named = [
        {(user_ids[user], items[item]) for user, item in cells(side)} for side in (train, test)
    ]
    assert named[0] == {
        ("0", "17"), ("0", "4"), ("0", "233"), ("1", "4"), ("10", "4"), ("10", "17"),
    }  # fmt: skip
    assert named[1] == {("0", "5"), ("10", "233"), ("10", "9")}


def test_repeated_pair_has_weight_1(tmp_path):
    (tmp_path / "a").write_text("0 1 1 2\n0 1\n")
    (tmp_path / "b").write_text("0 3\n")
    train, _, _ = read_pairs(tmp_path / "a", tmp_path / "b")
    assert train.data.tolist() == [1, 1]


def test_published_split_evaluates_users_on_both_sides(files):
    """User 1 has no test item."""
    train, test, user_ids = read_pairs(*files)
    split = pairs(train, test)
    assert [user_ids[row] for row in split.user_rows] == ["0", "10"]


@pytest.mark.parametrize("text", ["\n\n", "1\n2\n3\n", "größe 1 2\n"])
def test_file_of_another_format_is_refused(files, tmp_path, text):
    """The error names the expected format."""
    (tmp_path / "other").write_text(text)
    with pytest.raises(InputError, match="a user and their items"):
        read_pairs(tmp_path / "other", files[1])
