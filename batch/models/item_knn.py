"""Item-kNN: items similar to those of a user, by the users that items share.

    score(user, item) = Σ over the user's items: weight · similarity(its item, item)

Only the n_neighbours most similar items of each count. A list that these do not fill
is filled with the most popular items.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import (
    ItemItemRecommender,
    bm25_weight,
    normalize,
    tfidf_weight,
)

from batch.arrays import AnyArray, Floats, Rows, Times
from batch.models.factors import FittedFactors
from batch.models.fill import filled
from batch.models.finite import check_finite
from batch.models.popularity import Popularity
from batch.models.protocol import Fitted
from batch.models.sparse_topk import sparse_top_k
from batch.progress import noop
from batch.topk import TopK

_BLOCK_USERS: Final = 1024  # users scored at a time, which limits memory
_CSR: Final = ("data", "indices", "indptr")  # arrays of a sparse matrix


@dataclass(frozen=True, slots=True)
class ItemKnn:
    """Neighbours of items, by `implicit`.

    Attributes:
        n_neighbours: Neighbours kept for each item.
        similarity: Similarity of items: "cosine", "tfidf" or "bm25".
    """

    n_neighbours: int = 100
    similarity: str = "bm25"

    name = "item_knn"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = noop,
    ) -> "FittedKnn":
        """Find the neighbours of every item; see `Recommender.fit`."""
        check_finite(weights.data, "weights of the interactions")
        # One more: an item's nearest neighbour is the item itself.
        model = ItemItemRecommender(self.n_neighbours + 1, num_threads=n_threads)
        model.fit(self._item_vectors(weights).T.tocsr(), show_progress=False)
        similarity = sp.csr_matrix(model.similarity, dtype=np.float32)
        check_finite(similarity.data, "similarities of items")
        similarity.setdiag(0)  # an item is not its own neighbour
        similarity.eliminate_zeros()
        similarity.sort_indices()
        on_step()
        return FittedKnn(similarity, weights, Popularity().fit(weights))

    def refit(
        self, trial: Fitted, user_rows: Rows, weights: sp.csr_matrix, *, n_threads: int = 0
    ) -> "FittedKnn":
        """Find the neighbours again; see `Recommender.refit`."""
        return self.fit(weights, n_threads=n_threads)

    def _item_vectors(self, weights: sp.csr_matrix) -> sp.coo_matrix:
        """Return (n_items, n_users) vectors whose inner products are the similarities."""
        users_of = sp.coo_matrix(weights.T, dtype=np.float64)
        if self.similarity == "cosine":
            return sp.coo_matrix(normalize(users_of))
        if self.similarity == "tfidf":
            return sp.coo_matrix(normalize(tfidf_weight(users_of)))
        return sp.coo_matrix(bm25_weight(users_of, K1=1.2, B=0.75))


@dataclass(frozen=True, slots=True)
class FittedKnn:
    """The neighbours of every item, and what each user has.

    Attributes:
        similarity: (n_items, n_items), a row the neighbours of one item.
        weights: (n_users, n_items) of the users to answer for.
        popular: What fills a list.
    """

    similarity: sp.csr_matrix
    weights: sp.csr_matrix
    popular: FittedFactors

    @property
    def arrays(self) -> Mapping[str, AnyArray]:
        """The neighbours, the users' items and the counts."""
        neighbours = {f"similarity_{k}": getattr(self.similarity, k) for k in _CSR}
        users = {f"weights_{k}": getattr(self.weights, k) for k in _CSR}
        return {**neighbours, **users, "item_factors": self.popular.item_factors}

    @property
    def about(self) -> Mapping[str, float]:
        """Number of pairs of neighbours."""
        return {"n_neighbour_pairs": self.similarity.nnz}

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Score neighbours block by block; see `Fitted.top_k`."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        weights = self.weights if user_rows is None else self.weights[user_rows]
        similarity = self._without(hidden)

        def best(first: int) -> TopK:
            block = weights[first : first + _BLOCK_USERS]
            found = sparse_top_k(block @ similarity, block, k)
            on_users(block.shape[0])
            return found

        with ThreadPoolExecutor(n_threads or None) as pool:
            parts = list(pool.map(best, range(0, weights.shape[0], _BLOCK_USERS)))
        own = TopK(
            np.concatenate([np.empty((0, k), np.int32), *(part.item_rows for part in parts)]),
            np.concatenate([np.empty((0, k), np.float32), *(part.scores for part in parts)]),
        )
        popular = self.popular.top_k(k, user_rows=user_rows, hidden=hidden, n_threads=n_threads)
        return filled(own, popular)

    def scores(self, user_rows: Rows) -> Floats:
        """Sum the neighbours of the users' items; see `Fitted.scores`."""
        found = self.weights[user_rows] @ self.similarity
        return np.asarray(found.toarray(), np.float32)

    def fold_in(self, weights: sp.csr_matrix) -> "FittedKnn":
        """Return the same neighbours for these users."""
        return replace(self, weights=weights, popular=self.popular.fold_in(weights))

    def _without(self, hidden: Collection[int]) -> sp.csr_matrix:
        if not hidden:
            return self.similarity
        is_open = np.ones(self.similarity.shape[1], np.float32)
        is_open[list(hidden)] = 0
        return sp.csr_matrix(self.similarity @ sp.diags_array(is_open))
