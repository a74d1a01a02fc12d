"""How much expected factors count, beside popularity and beside liked items.

    users with interactions, held out ─► lists at each weight ─► their interactions ─► NDCG@20
        of their expected factors alone, against the fallback: segment or popular list
        of these and 3 of their items, as if they had named them, against the items alone

A weight of 0 is chosen where no other one is significantly better.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Doubles, Floats, ItemRows, Rows
from batch.cold_start.preference_scores import ITEM_WEIGHT, PreferenceScorer
from batch.evaluation.bootstrap import intervals
from batch.evaluation.metrics import per_user
from batch.models.holdout import without
from batch.topk import NO_ITEM

_K: Final = 20
_SEED: Final = 0
_WEIGHTS: Final = (
    0.5,
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    32.0,
    64.0,
)  # mean top score of the expected factors
_N_NAMED: Final = 3  # items that a held-out user is taken to name
_MIN_ITEMS: Final = 5  # of a user who is taken to name some of them
_MIN_USERS: Final = 10  # who name items; with fewer, a vector counts like one liked item at most


class VectorWeights(NamedTuple):
    """Weights of expected factors, in mean top scores; 0: they are not used.

    Attributes:
        alone: Weight for users who name no items.
        beside_items: Weight for users who name items, too.
    """

    alone: float
    beside_items: float


NOT_USED: Final = VectorWeights(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class HeldOutUsers:
    """Users whose factors are predicted without their own.

    Attributes:
        scorer: Scores of users without interactions.
        expected: (n_users, n_factors) predicted factors, of a mean top score of one unit.
        seen: (n_users, n_items) interactions, at least one each.
        fallback: (n_users, k) lists that they would get without a vector; a row of NO_ITEM
            stands for the popular list.
        n_threads: Number of threads; 0 means all processors.
    """

    scorer: PreferenceScorer
    expected: Floats
    seen: sp.csr_matrix
    fallback: ItemRows
    n_threads: int

    def choose(self) -> tuple[VectorWeights, dict[str, float]]:
        """Return the weights, and figures for the manifest."""
        nothing = without(self.seen, np.arange(self.seen.nnz))
        everyone = np.arange(len(self.expected))
        ndcg = self._ndcg(everyone, np.zeros_like(self.expected), nothing, self.seen)
        has_fallback = self.fallback[:, 0] != NO_ITEM
        by_fallback = per_user(self.fallback, self.seen)["ndcg"]
        ndcg[0.0] = np.where(has_fallback, by_fallback, ndcg[0.0])
        alone, best = _best_weight(ndcg)
        weights = VectorWeights(alone, self._beside_items(alone)) if alone else NOT_USED
        return weights, {
            "user_vectors_weight": weights.alone,
            "user_vectors_weight_beside_items": weights.beside_items,
            "user_vectors_ndcg": float(ndcg[best].mean()),
            "user_vectors_fallback_ndcg": float(ndcg[0.0].mean()),
        }

    def _beside_items(self, alone: float) -> float:
        """Return the weight for users who name items, by users with enough of them."""
        rows = np.flatnonzero(np.diff(self.seen.indptr) >= _MIN_ITEMS)
        if len(rows) < _MIN_USERS:
            return min(alone, 1.0)
        named, test = _split(self.seen)
        no_genres = without(named, np.arange(named.nnz))
        factors = self.scorer.fold_in(named, no_genres, self.n_threads)
        return _best_weight(self._ndcg(rows, factors[rows], named[rows], test[rows]))[0]

    def _ndcg(
        self, rows: Rows, factors: AnyFloats, excluded: sp.csr_matrix, test: sp.csr_matrix
    ) -> dict[float, Doubles]:
        """Return (n,) NDCG@20 of some users' lists at each weight beside other factors."""
        ndcg, expected = {}, self.expected[rows]
        for weight in (0.0, *_WEIGHTS):
            model = self.scorer.model(factors + np.float32(weight) * expected, excluded)
            lists = model.top_k(_K, n_threads=self.n_threads).item_rows
            ndcg[weight] = per_user(lists, test)["ndcg"]
        return ndcg


def _best_weight(ndcg: Mapping[float, Doubles]) -> tuple[float, float]:
    """Return the best weight, 0 if it is not significantly better than 0, and the best itself."""
    best = max(ndcg, key=lambda weight: float(ndcg[weight].mean()))
    gain = (ndcg[best] - ndcg[0.0])[:, None]
    is_better = intervals(gain, np.ones(gain.shape, dtype=bool))[0][0].low > 0
    return (best if is_better else 0.0), best


def _split(seen: sp.csr_matrix) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return 3 random items of each user, as liked ones, and the others."""
    order = np.random.default_rng(_SEED).random(seen.nnz)
    user = np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr))
    by_user = np.lexsort((order, user))
    is_named = np.zeros(seen.nnz, dtype=bool)
    is_named[by_user] = np.arange(seen.nnz) - seen.indptr[user] < _N_NAMED
    named = without(seen, np.flatnonzero(~is_named))
    named.data[:] = ITEM_WEIGHT
    return named, without(seen, np.flatnonzero(is_named))
