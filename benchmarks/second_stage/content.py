"""Pairs of a user and an item as the content-based systems see them: profile and metadata.

    user   age, gender, occupation, share of each genre and mean year of the user's items
    item   genres, year, runtime, cost, popularity
    both   affinity of the user's genres to the item's

The user's own genres and the item's popularity are more than those systems had, so that the
comparison is not with the weakest form of them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyArray, Flags, Floats, Rows
from batch.models.holdout import without
from batch.models.popularity import users_of_items
from batch.second_stage.metadata import Metadata
from batch.second_stage.sources import genre_shares
from benchmarks.harness.data_sets import Service

_NEGATIVES: Final = 4  # items that the user does not have, for each one that the user has
_MAX_POSITIVES: Final = 50_000  # to train on


@dataclass(frozen=True, slots=True)
class Content:
    """Features of users and of items, without missing values.

    Attributes:
        users: (n_users, n_user_features).
        items: (n_items, n_item_features).
        user_genres: (n_users, n_genres) shares of the genres in what a user has.
        genres: (n_items, n_genres) shares of an item's genres.
    """

    users: Floats
    items: Floats
    user_genres: Floats
    genres: Floats

    @classmethod
    def of(cls, service: Service, metadata: Metadata, has: sp.csr_matrix) -> "Content":
        """Return the features, where `has` is what is known of the users' items."""
        occupation = [
            getattr(service.profiles.get(name), "occupation", None) or ""
            for name in service.interactions.user_ids.to_pylist()
        ]
        is_occupation = np.array(occupation)[:, None] == np.array(sorted(set(occupation)))
        shares = genre_shares(has, metadata)
        numbers = _known(metadata.numbers)
        n_items_of = np.maximum(np.diff(has.indptr), 1)[:, None]
        mean_year = (has > 0).astype(np.float32) @ numbers[:, :1] / n_items_of
        popularity = np.log((users_of_items(has)[:, None] + 0.5) / has.nnz)
        return cls(
            _side_by_side(_known(metadata.profiles), is_occupation, shares, mean_year),
            _side_by_side(metadata.genres, numbers, popularity),
            shares,
            metadata.genres,
        )

    def pairs(self, user_rows: Rows, item_rows: Rows) -> Floats:
        """Return (n, n_features) the features of pairs."""
        affinity = np.einsum("ng,ng->n", self.user_genres[user_rows], self.genres[item_rows])
        return _side_by_side(self.users[user_rows], self.items[item_rows], affinity[:, None])


def training_examples(
    service: Service, metadata: Metadata, train: sp.csr_matrix, seed: int
) -> tuple[Floats, Flags]:
    """Return features of pairs, and whether the user has the item.

    A random half of the interactions are the positives, and the features are made from the
    other half: genres that a positive itself adds to its user would give it away. There are
    four random items that the user does not have for each positive.
    """
    random = np.random.default_rng(seed)
    n_users, n_items = train.shape
    half = np.sort(random.permutation(train.nnz)[: min(train.nnz // 2, _MAX_POSITIVES)])
    content = Content.of(service, metadata, without(train, half))
    cells = np.repeat(np.arange(n_users), np.diff(train.indptr)) * n_items + train.indices
    others = np.repeat(cells[half] // n_items, _NEGATIVES)
    negatives = others * n_items + random.integers(0, n_items, len(others))
    negatives = negatives[~np.isin(negatives, cells)]
    both = np.concatenate((cells[half], negatives))
    return content.pairs(both // n_items, both % n_items), np.arange(len(both)) < len(half)


def _known(numbers: Floats) -> Floats:
    """Return the numbers with the column's mean in place of unknown ones, 0 if none is known."""
    is_known = ~np.isnan(numbers)
    mean = np.where(is_known, numbers, 0).sum(axis=0) / np.maximum(is_known.sum(axis=0), 1)
    return np.asarray(np.where(is_known, numbers, mean), np.float32)


def _side_by_side(*parts: AnyArray) -> Floats:
    return np.concatenate(parts, axis=1, dtype=np.float32)
