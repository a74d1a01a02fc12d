"""Splits: what a model may learn from, and what its lists are judged by.

time       all before a moment │ all after it          as it will be in production
last-out   each user's last item out                   every user counts the same
fold-in    some users out, 80 % of each given back     users that were never trained with
pairs      two files                                   splits that papers have published
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.errors import BatchError
from batch.models.holdout import entries_of, hold_out, without
from batch.models.protocol import Fitted
from batch.sampling import sample_rows
from batch.topk import TopK

SPLITS: Final = ("time", "last-out", "fold-in", "pairs")
_MIN_ITEMS: Final = 5  # of a user to be folded in: with fewer, nothing is left to judge by
_GIVEN_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Split:
    """One side to learn from, one to judge by.

    Attributes:
        name: One of `SPLITS`.
        train: (n_users, n_items) weights to fit.
        at: (n_train,) seconds since 1970 beside `train.data`, None if unknown.
        user_rows: (n_judged,) the judged users' rows in the matrix that was split.
        given: (n_judged, n_items) what the judged users are known to have.
        test: (n_judged, n_items) an entry where the user had the item in truth.
        is_folded: The judged users are not in `train`.
        n_left_out: Users with something in the test side that no list can be made
            for, as they have nothing in the other.
    """

    name: str
    train: sp.csr_matrix
    at: Times | None
    user_rows: Rows
    given: sp.csr_matrix
    test: sp.csr_matrix
    is_folded: bool = False
    n_left_out: int = 0

    def weighed(self, weights: Floats) -> "Split":
        """Return this split of the numbers of interactions as one of their weights.

        Args:
            weights: (n_interactions,) by the number that stands in the matrices' data.
        """
        train, given = self.train.copy(), self.given.copy()
        train.data, given.data = weights[train.data], weights[given.data]
        return replace(self, train=train, given=given)

    def lists(self, fitted: Fitted, k: int, n_threads: int = 0) -> TopK:
        """Return the judged users' lists."""
        if self.is_folded:
            return fitted.fold_in(self.given).top_k(k, n_threads=n_threads)
        return fitted.top_k(k, user_rows=self.user_rows, n_threads=n_threads)


def cut(name: str, weights: sp.csr_matrix, at: Times | None, n_users: int, seed: int) -> Split:
    """Split in one of the ways that need no second file.

    Args:
        name: "time", "last-out" or "fold-in".
        weights: (n_users, n_items).
        at: (n_interactions,) when each began, beside `weights.data`, None if unknown.
        n_users: Most users to judge by their last item.
        seed: Of what chance decides.

    Raises:
        BatchError: The interactions cannot be split like this.
    """
    if name == "time":
        return by_time(weights, np.zeros(weights.nnz, np.int64) if at is None else at)
    if name == "last-out":
        return last_out(weights, at, n_users, seed)
    return fold_in(weights, seed)


def by_time(weights: sp.csr_matrix, at: Times, test_share: float = 0.2) -> Split:
    """Split at the moment after which `test_share` of all interactions began.

    Args:
        weights: (n_users, n_items).
        at: (n_interactions,) when each began, beside `weights.data`; 0 if unknown.
        test_share: Of the interactions.

    Raises:
        BatchError: Times are unknown, or nobody is on both sides.
    """
    if not len(at) or at.min() <= 0:
        raise BatchError(
            "events",
            f"{int((at <= 0).sum()):,} of {len(at):,} interactions have no time",
            "choose --split last-out or fold-in",
        )
    cut = np.quantile(at, 1 - test_share, method="lower")
    return after(weights, at, int(cut))


def after(weights: sp.csr_matrix, at: Times, cut: int) -> Split:
    """Split at a moment: what began after it is judged by.

    Args:
        weights: (n_users, n_items).
        at: (n_interactions,) when each began, beside `weights.data`; 0 if unknown.
        cut: In the same seconds.

    Raises:
        BatchError: Nobody is on both sides.
    """
    return _apart("time", weights, at, np.flatnonzero(at > cut))


def last_out(weights: sp.csr_matrix, at: Times | None, n_users: int, seed: int) -> Split:
    """Take the last item of each user that has 2 or more; a random one where no time tells.

    Args:
        weights: (n_users, n_items).
        at: (n_interactions,) beside `weights.data`, None if unknown.
        n_users: Most users to judge.
        seed: Of the users, and of the items where no time decides.

    Raises:
        BatchError: No user has 2 items.
    """
    held = hold_out(weights, at, n_users, seed)
    entry = entries_of(weights, held.user_rows)
    user = np.repeat(np.arange(len(held.user_rows)), np.diff(weights.indptr)[held.user_rows])
    taken = entry[weights.indices[entry] == held.item_rows[user]]
    return _apart("last-out", weights, at, taken)


def fold_in(
    weights: sp.csr_matrix, seed: int, *, user_share: float = 0.1, most_users: int = 10_000
) -> Split:
    """Hold out whole users; of each, 80 % of the items are given back and 20 % judged by.

    Args:
        weights: (n_users, n_items).
        seed: Of the users and of their items.
        user_share: Of the users with 5 or more items.
        most_users: Held out at most.

    Raises:
        BatchError: No user has 5 items.

    Source:
        Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for
        Collaborative Filtering", WWW 2018, section 4.1.
    """
    random = np.random.default_rng(seed)
    able = np.flatnonzero(np.diff(weights.indptr) >= _MIN_ITEMS)
    n_out = min(max(int(user_share * len(able)), min(1, len(able))), most_users)
    user_rows = sample_rows(able, n_out, random)
    _check_judged(len(user_rows), f"{_MIN_ITEMS} interactions or more")
    theirs = weights[user_rows]
    n_had = np.diff(theirs.indptr)
    user = np.repeat(np.arange(n_out), n_had)
    place = np.empty(theirs.nnz, np.int64)  # of each entry in a shuffle of its user's
    place[np.lexsort((random.random(theirs.nnz), user))] = (
        np.arange(theirs.nnz) - theirs.indptr[:-1][user]
    )
    is_given = place < (_GIVEN_SHARE * n_had).astype(np.int64)[user]
    is_rest = np.ones(weights.shape[0], dtype=bool)
    is_rest[user_rows] = False
    return Split(
        "fold-in",
        weights[is_rest],
        None,
        user_rows,
        without(theirs, np.flatnonzero(~is_given)),
        without(theirs, np.flatnonzero(is_given)),
        is_folded=True,
    )


def pairs(train: sp.csr_matrix, test: sp.csr_matrix) -> Split:
    """Judge by a test side that was given.

    Args:
        train: (n_users, n_items).
        test: (n_users, n_items), the same rows.

    Raises:
        BatchError: Nobody is on both sides.
    """
    return _judged("pairs", train, None, test)


def _apart(name: str, weights: sp.csr_matrix, at: Times | None, test_entries: Rows) -> Split:
    is_test = np.zeros(weights.nnz, dtype=bool)
    is_test[test_entries] = True
    test = without(weights, np.flatnonzero(~is_test))
    train_at = None if at is None else at[~is_test]
    return _judged(name, without(weights, test_entries), train_at, test)


def _judged(name: str, train: sp.csr_matrix, at: Times | None, test: sp.csr_matrix) -> Split:
    has_test, has_train = np.diff(test.indptr) > 0, np.diff(train.indptr) > 0
    rows = np.flatnonzero(has_test & has_train)
    _check_judged(len(rows), "interactions on both sides of the split")
    return Split(
        name,
        train,
        at,
        rows,
        train[rows],
        test[rows],
        n_left_out=int((has_test & ~has_train).sum()),
    )


def _check_judged(n_judged: int, what: str) -> None:
    if not n_judged:
        raise BatchError("split", f"no user has {what}", "give more events, or another --split")
