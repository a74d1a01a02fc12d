"""Splits: a training side for the model, and a test side for its lists.

time             all before a moment │ all after it           as in production
leave-last-out   each user's last item is the test side       all users weigh the same
fold-in          80 % of some users' items │ the other 20 %   users unknown to the training
pairs            two files                                    splits that papers have published
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.errors import BatchError
from batch.models.dense_topk import entries_of
from batch.models.holdout import hold_out, without
from batch.models.protocol import Fitted
from batch.sampling import sample_rows
from batch.topk import TopK

SPLITS: Final = ("time", "leave-last-out", "fold-in", "pairs")
MAX_EVALUATED_USERS: Final = 100_000  # of leave-last-out: enough for narrow intervals
_MIN_ITEMS: Final = 5  # of a user to be folded in; with fewer, the test side would be empty
_FOLD_IN_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Split:
    """A training side and a test side.

    Attributes:
        name: Name of the split, one of `SPLITS`.
        train: (n_users, n_items) weights to fit to.
        at: (n_train,) times of `train.data`, seconds since 1970; None if unknown.
        user_rows: (n_evaluated,) rows of the evaluated users in the matrix that was split.
        fold_in: (n_evaluated, n_items) interactions of the evaluated users that the model may use.
        test: (n_evaluated, n_items) an entry for each relevant item.
        is_folded: Whether the evaluated users are missing from `train`.
        n_left_out: Users with test interactions who are not evaluated, as they have no
            training interactions.
    """

    name: str
    train: sp.csr_matrix
    at: Times | None
    user_rows: Rows
    fold_in: sp.csr_matrix
    test: sp.csr_matrix
    is_folded: bool = False
    n_left_out: int = 0

    def weighted(self, weights: Floats) -> "Split":
        """Return this split of positions as a split of weights.

        Args:
            weights: (n_interactions,) weights by the positions in the matrices' data.
        """
        train, fold_in = self.train.copy(), self.fold_in.copy()
        train.data, fold_in.data = weights[train.data], weights[fold_in.data]
        return replace(self, train=train, fold_in=fold_in)

    def limited(self, max_users: int, seed: int) -> "Split":
        """Return this split with a random sample of at most so many evaluated users.

        Args:
            max_users: Limit on the evaluated users.
            seed: Random seed of the sample.
        """
        n_users = len(self.user_rows)
        if n_users <= max_users:
            return self
        rows = sample_rows(np.arange(n_users), max_users, np.random.default_rng(seed))
        return replace(
            self, user_rows=self.user_rows[rows], fold_in=self.fold_in[rows], test=self.test[rows]
        )

    def lists(self, fitted: Fitted, k: int, n_threads: int = 0) -> TopK:
        """Return the lists of the evaluated users."""
        if self.is_folded:
            return fitted.fold_in(self.fold_in).top_k(k, n_threads=n_threads)
        return fitted.top_k(k, user_rows=self.user_rows, n_threads=n_threads)


def make_split(name: str, weights: sp.csr_matrix, at: Times | None, seed: int) -> Split:
    """Split in one of the ways that need no second file.

    Args:
        name: Name of the split: "time", "leave-last-out" or "fold-in".
        weights: (n_users, n_items).
        at: (n_interactions,) time of the first event of each interaction, in the order of
            `weights.data`; None if unknown.
        seed: Random seed of users and items.

    Raises:
        BatchError: The interactions cannot be split in this way.
    """
    if name == "time":
        return by_time(weights, np.zeros(weights.nnz, np.int64) if at is None else at)
    if name == "leave-last-out":
        return leave_last_out(weights, at, MAX_EVALUATED_USERS, seed)
    return fold_in(weights, seed)


def by_time(weights: sp.csr_matrix, at: Times, test_share: float = 0.2) -> Split:
    """Split at the time after which `test_share` of all interactions began.

    Args:
        weights: (n_users, n_items).
        at: (n_interactions,) time of the first event of each interaction, in the order of
            `weights.data`; 0 if unknown.
        test_share: Share of the interactions on the test side.

    Raises:
        BatchError: Times are unknown, or no user is on both sides.
    """
    if not len(at) or at.min() <= 0:
        raise BatchError(
            "events",
            f"{int((at <= 0).sum()):,} of {len(at):,} interactions have no time",
            "choose --split leave-last-out or fold-in",
        )
    cutoff = np.quantile(at, 1 - test_share, method="lower")
    return split_at(weights, at, int(cutoff))


def split_at(weights: sp.csr_matrix, at: Times, cutoff: int) -> Split:
    """Split at a time: interactions that began after it are the test side.

    Args:
        weights: (n_users, n_items).
        at: (n_interactions,) time of the first event of each interaction, in the order of
            `weights.data`; 0 if unknown.
        cutoff: Last time of the training side, in the same seconds.

    Raises:
        BatchError: No user is on both sides.
    """
    return _split_entries("time", weights, at, np.flatnonzero(at > cutoff))


def leave_last_out(weights: sp.csr_matrix, at: Times | None, max_users: int, seed: int) -> Split:
    """Take the last item of each user with 2 or more; a random one where times are unknown.

    Args:
        weights: (n_users, n_items).
        at: (n_interactions,) times in the order of `weights.data`; None if unknown.
        max_users: Limit on the evaluated users; above it, a random sample.
        seed: Random seed of the users, and of the items where times are unknown.

    Raises:
        BatchError: No user has 2 items.
    """
    held = hold_out(weights, at, max_users, seed)
    entry = entries_of(weights, held.user_rows)
    user = np.repeat(np.arange(len(held.user_rows)), np.diff(weights.indptr)[held.user_rows])
    taken = entry[weights.indices[entry] == held.item_rows[user]]
    return _split_entries("leave-last-out", weights, at, taken)


def fold_in(
    weights: sp.csr_matrix, seed: int, *, user_share: float = 0.1, max_users: int = 10_000
) -> Split:
    """Hold out whole users; 80 % of their items are for the fold-in and 20 % are the test side.

    Args:
        weights: (n_users, n_items).
        seed: Random seed of the users and of their items.
        user_share: Share of the users with 5 or more items that is held out.
        max_users: Limit on the users held out.

    Raises:
        BatchError: No user has 5 items.

    Source:
        Liang, Krishnan, Hoffman and Jebara, "Variational Autoencoders for
        Collaborative Filtering", WWW 2018, section 4.1.
    """
    random = np.random.default_rng(seed)
    eligible = np.flatnonzero(np.diff(weights.indptr) >= _MIN_ITEMS)
    n_out = min(max(int(user_share * len(eligible)), min(1, len(eligible))), max_users)
    user_rows = sample_rows(eligible, n_out, random)
    _check_not_empty(len(user_rows), f"{_MIN_ITEMS} interactions or more")
    held_out = weights[user_rows]
    n_items = np.diff(held_out.indptr)
    user = np.repeat(np.arange(n_out), n_items)
    order = np.empty(held_out.nnz, np.int64)  # of each entry in a shuffle of its user's
    order[np.lexsort((random.random(held_out.nnz), user))] = (
        np.arange(held_out.nnz) - held_out.indptr[:-1][user]
    )
    is_fold_in = order < (_FOLD_IN_SHARE * n_items).astype(np.int64)[user]
    is_rest = np.ones(weights.shape[0], dtype=bool)
    is_rest[user_rows] = False
    return Split(
        "fold-in",
        weights[is_rest],
        None,
        user_rows,
        without(held_out, np.flatnonzero(~is_fold_in)),
        without(held_out, np.flatnonzero(is_fold_in)),
        is_folded=True,
    )


def pairs(train: sp.csr_matrix, test: sp.csr_matrix) -> Split:
    """Return a published split of two sides.

    Args:
        train: (n_users, n_items).
        test: (n_users, n_items), the same rows.

    Raises:
        BatchError: No user is on both sides.
    """
    return _two_sided("pairs", train, None, test)


def _split_entries(
    name: str, weights: sp.csr_matrix, at: Times | None, test_entries: Rows
) -> Split:
    is_test = np.zeros(weights.nnz, dtype=bool)
    is_test[test_entries] = True
    test = without(weights, np.flatnonzero(~is_test))
    train_at = None if at is None else at[~is_test]
    return _two_sided(name, without(weights, test_entries), train_at, test)


def _two_sided(name: str, train: sp.csr_matrix, at: Times | None, test: sp.csr_matrix) -> Split:
    has_test, has_train = np.diff(test.indptr) > 0, np.diff(train.indptr) > 0
    rows = np.flatnonzero(has_test & has_train)
    _check_not_empty(len(rows), "interactions on both sides of the split")
    return Split(
        name,
        train,
        at,
        rows,
        train[rows],
        test[rows],
        n_left_out=int((has_test & ~has_train).sum()),
    )


def _check_not_empty(n_evaluated: int, requirement: str) -> None:
    if not n_evaluated:
        raise BatchError(
            "split", f"no user has {requirement}", "use more events, or another --split"
        )
