"""Scores for users without interactions: the model's, and popularity with a large weight.

    score = (factors of the liked items + of the liked genres + expected from a vector)
                · item factors + popularity

The unit of all scores is the mean top score of users with one item.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Doubles, Floats, Rows
from batch.models.factors import FittedFactors

ITEM_WEIGHT: Final = 1.0  # of a liked item: that of one watched to the end
_N_PROBES: Final = 1000  # users of one item, whose mean top score is the unit of all scores
_POPULARITY_WEIGHT: Final = 3.0  # gain of the most popular item, in mean top scores
_GENRE_WEIGHT: Final = 1.5  # score of the best item of the liked genres, in mean top scores


class PreferenceScorer:
    """A model of users without interactions.

    Attributes:
        mean_top_score: Mean top score of users with one item, the unit of all scores.
    """

    def __init__(self, fitted: FittedFactors, weights: sp.csr_matrix, n_users: Floats) -> None:
        """Find the unit of scores.

        Args:
            fitted: Model with fold-in, fitted to the weights.
            weights: (n_users, n_items) weights of the interactions.
            n_users: (n_items,) users of each item.
        """
        self._fitted = fitted
        share = n_users / max(n_users.max(initial=0), 1)
        self._item_factors = np.column_stack((self._fitted.item_factors, share)).astype(np.float32)
        best = self._fitted.fold_in(_users_of_one_item(weights)).top_k(1, n_threads=1).scores[:, 0]
        self.mean_top_score = float(best.mean())

    @property
    def n_factors(self) -> int:
        """Number of factors, popularity not counted."""
        return int(self._fitted.item_factors.shape[1])

    def learned(self, user_rows: Rows) -> Doubles:
        """Return (n, n_factors) the factors that users with interactions have."""
        return self._fitted.user_factors[user_rows].astype(np.float64)

    def top_score(self, factors: Floats, n_threads: int) -> float:
        """Return the mean best score of users with these factors, without popularity."""
        no_cells = np.empty(0, np.int64)
        nothing = sp.csr_matrix(
            (np.empty(0, np.float32), (no_cells, no_cells)),
            shape=(len(factors), len(self._item_factors)),
        )
        model = replace(self._fitted, user_factors=factors, seen=nothing)
        return float(model.top_k(1, n_threads=n_threads).scores.mean())

    def model(self, factors: AnyFloats, excluded: sp.csr_matrix) -> FittedFactors:
        """Return the model of users with these factors, and with popularity.

        Args:
            factors: (n_users, n_factors).
            excluded: (n_users, n_items), an entry for each item excluded from the list.
        """
        popularity = np.full(len(factors), _POPULARITY_WEIGHT * self.mean_top_score or 1.0)
        user_factors = np.column_stack((factors, popularity)).astype(np.float32)
        return replace(
            self._fitted, user_factors=user_factors, item_factors=self._item_factors, seen=excluded
        )

    def fold_in(self, items: sp.csr_matrix, genres: sp.csr_matrix, n_threads: int) -> AnyFloats:
        """Return (n_users, n_factors) the factors of users with these preferences.

        Args:
            items: (n_users, n_items) weights of the liked items.
            genres: (n_users, n_items) weights of the items that represent the liked genres.
            n_threads: Number of threads; 0 means all processors.
        """
        by_item = self._fitted.fold_in(items).user_factors
        if not genres.nnz:
            return by_item
        by_genre = self._fitted.fold_in(genres)
        best = by_genre.top_k(1, n_threads=n_threads).scores[:, :1]
        has_genre = np.isfinite(best) & (best > 0)
        scale = np.where(
            has_genre, _GENRE_WEIGHT * self.mean_top_score / np.where(has_genre, best, 1), 0
        )
        return np.asarray(by_item + scale * by_genre.user_factors)


def _users_of_one_item(weights: sp.csr_matrix) -> sp.csr_matrix:
    """Return (n, n_items) users with one item each, sampled in proportion to the items' users."""
    sampled = np.random.default_rng(0).integers(0, weights.nnz, _N_PROBES)
    ones = np.full(_N_PROBES, ITEM_WEIGHT, np.float32)
    cells = (np.arange(_N_PROBES), weights.indices[sampled])
    return sp.csr_matrix((ones, cells), shape=(_N_PROBES, weights.shape[1]))
