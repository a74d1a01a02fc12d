"""Two models' lists fused by rank, for comparison; it is never served.

Source:
    Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and
    individual Rank Learning Methods", SIGIR 2009.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows, Times
from batch.models.protocol import Fitted, Recommender
from batch.models.sparse_topk import sparse_top_k
from batch.progress import noop
from batch.topk import NO_ITEM, TopK

_DEPTH: Final = 100  # length of the lists that are fused
_OFFSET: Final = 60  # of the paper: the larger, the smaller the weight of the first ranks


@dataclass(frozen=True, slots=True)
class Fused:
    """score(item) = 1 / (60 + rank in one list) + weight / (60 + rank in the other)."""

    one: Recommender
    other: Recommender
    weight: float

    name = "fused"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> "FittedFused":
        """Fit both; see `Recommender.fit`."""
        fitted = [
            model.fit(weights, at=at, n_threads=n_threads) for model in (self.one, self.other)
        ]
        on_step()
        return FittedFused(fitted[0], fitted[1], self.weight, weights.shape[1])

    def refit(
        self, trial: Fitted, user_rows: Rows, weights: sp.csr_matrix, *, n_threads: int = 0
    ) -> "FittedFused":
        """Fit both again."""
        return self.fit(weights, n_threads=n_threads)


@dataclass(frozen=True, slots=True)
class FittedFused:
    """Two fitted models."""

    one: Fitted
    other: Fitted
    weight: float
    n_items: int

    @property
    def arrays(self) -> Mapping[str, np.ndarray[Any, Any]]:
        """Arrays of both models, by side and name."""
        return {
            f"{side}_{name}": array
            for side, model in (("one", self.one), ("other", self.other))
            for name, array in model.arrays.items()
        }

    @property
    def about(self) -> Mapping[str, float]:
        """The weight."""
        return {"weight": self.weight}

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = lambda _: None,
    ) -> TopK:
        """Fuse the first 100 ranks of both; see `Fitted.top_k`."""
        scores = self._fused(user_rows, hidden, n_threads)
        found = sparse_top_k(scores, sp.csr_matrix(scores > np.inf), k)  # nothing is masked
        on_users(len(found.item_rows))
        return found

    def scores(self, user_rows: Rows) -> Floats:
        """Fuse the first 100 ranks of both; see `Fitted.scores`."""
        return np.asarray(self._fused(user_rows, frozenset(), 1).toarray(), np.float32)

    def fold_in(self, weights: sp.csr_matrix) -> "FittedFused":
        """Fold both in."""
        return FittedFused(
            self.one.fold_in(weights), self.other.fold_in(weights), self.weight, self.n_items
        )

    def _fused(
        self, user_rows: Rows | None, hidden: Collection[int], n_threads: int
    ) -> sp.csr_matrix:
        lists = [
            model.top_k(_DEPTH, user_rows=user_rows, hidden=hidden, n_threads=n_threads).item_rows
            for model in (self.one, self.other)
        ]
        return sp.csr_matrix(self._scores(lists[0], 1.0) + self._scores(lists[1], self.weight))

    def _scores(self, item_rows: np.ndarray[Any, Any], weight: float) -> sp.csr_matrix:
        user, rank = np.nonzero(item_rows != NO_ITEM)  # ranks from 0
        score = (weight / (_OFFSET + 1 + rank)).astype(np.float32)
        cells = (user, item_rows[user, rank])
        return sp.csr_matrix((score, cells), shape=(len(item_rows), self.n_items))
