"""Factors of users and items, and the exact top-k that all models of factors share."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyArray, AnyFloats, Floats, Rows
from batch.models.dense_topk import hide
from batch.models.few_users import MAX_FEW_USERS, best_of_few
from batch.models.fold_in import Solver
from batch.models.rescore import N_SPARE, Scoring, rescored_in_blocks
from batch.progress import noop
from batch.topk import NO_ITEM, TopK, top_k


class Factors(NamedTuple):
    """Factors of users and items; a score is the inner product of two rows.

    Attributes:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
    """

    user_factors: Floats
    item_factors: Floats


@dataclass(frozen=True, slots=True)
class FittedFactors:
    """A fitted model of factors; its arrays must not change, for what they need is kept.

    Attributes:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        solve: Function from users' weights to their factors, for `fold_in`.
        about: Figures found in training, by name.
    """

    user_factors: Floats
    item_factors: Floats
    seen: sp.csr_matrix
    solve: Solver
    about: Mapping[str, float] = field(default_factory=dict)

    @property
    def factors(self) -> Factors:
        """Factors of users and of items."""
        return Factors(self.user_factors, self.item_factors)

    @property
    def arrays(self) -> Mapping[str, AnyArray]:
        """Factors of users and of items."""
        return {"user_factors": self.user_factors, "item_factors": self.item_factors}

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Search by norm-pruned blocks; see `Fitted.top_k`."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        users, seen = self.user_factors, self.seen
        if user_rows is not None:
            users, seen = users[user_rows], seen[user_rows]
        hidden_rows = np.array(sorted(hidden), np.int64)

        def hide_items(scores: AnyFloats, rows: Rows) -> None:
            hide(scores, seen, rows)
            scores[:, hidden_rows] = -np.inf

        scoring = Scoring(users, self.item_factors, hide_items)
        if len(users) <= MAX_FEW_USERS:
            on_users(len(users))
            return best_of_few(scoring, k)
        found = self._in_blocks(users, seen, k + N_SPARE, hidden_rows, n_threads, on_users)
        return rescored_in_blocks(found, k, scoring, n_threads)

    def _in_blocks(
        self,
        users: Floats,
        seen: sp.csr_matrix,
        n_candidates: int,
        hidden_rows: Rows,
        n_threads: int,
        on_users: Callable[[int], object],
    ) -> TopK:
        """Return the best items of the users by approximate scores."""
        items = self.item_factors
        if not len(hidden_rows):
            return top_k(users, items, seen, n_candidates, n_threads=n_threads, on_users=on_users)
        item_rows = np.setdiff1d(np.arange(len(items)), hidden_rows)
        found = top_k(
            users,
            items[item_rows],
            seen[:, item_rows],
            n_candidates,
            n_threads=n_threads,
            on_users=on_users,
        )
        rows = np.where(found.item_rows == NO_ITEM, NO_ITEM, item_rows[found.item_rows])
        return TopK(rows.astype(np.int32), found.scores)

    def scores(self, user_rows: Rows) -> Floats:
        """Multiply factors; see `Fitted.scores`."""
        return np.asarray(self.user_factors[user_rows] @ self.item_factors.T)

    def fold_in(self, weights: sp.csr_matrix) -> "FittedFactors":
        """Return the model with these users in place of those of the training data."""
        return replace(self, user_factors=self.solve(weights), seen=weights)
