"""Item-kNN: items similar to those of a user, by the users that items share.

    score(user, item) = Σ over the user's items: weight · similarity(its item, item)

Only the n_neighbours most similar items of each count. A list that these do not fill
is filled with the most popular items.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from implicit.nearest_neighbours import (
    ItemItemRecommender,
    bm25_weight,
    normalize,
    tfidf_weight,
)

from batch.arrays import Times
from batch.models.finite import check_finite
from batch.models.item_item import FittedItemItem, as_given
from batch.models.popularity import Popularity
from batch.models.protocol import TrainedAnew
from batch.progress import noop


@dataclass(frozen=True, slots=True)
class ItemKnn(TrainedAnew):
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
    ) -> FittedItemItem:
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
        return FittedItemItem(
            as_given(weights),
            similarity,
            Popularity().fit(weights),
            weigh=as_given,
            about={"n_neighbour_pairs": similarity.nnz},
        )

    def _item_vectors(self, weights: sp.csr_matrix) -> sp.coo_matrix:
        """Return (n_items, n_users) vectors whose inner products are the similarities."""
        users_of = sp.coo_matrix(weights.T, dtype=np.float64)
        if self.similarity == "cosine":
            return sp.coo_matrix(normalize(users_of))
        if self.similarity == "tfidf":
            return sp.coo_matrix(normalize(tfidf_weight(users_of)))
        return sp.coo_matrix(bm25_weight(users_of, K1=1.2, B=0.75))
