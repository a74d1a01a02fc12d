"""Sources of candidates: models that each propose items for a user.

    model         the model of the lists
    item_knn      neighbours of the user's latest 30 items
    last_items    neighbours of the latest 3
    popularity    items of the most users
    recent        items of the most users, who count half as much with each period of age
    segment       items of the most users of the same age band and gender
    genres        popular items of the genres that the user watches

Each is a fitted model of `batch.models`, so that its lists are exact and the same on any
number of threads.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats
from batch.errors import BatchError
from batch.models.factors import FittedFactors
from batch.models.item_knn import ItemKnn
from batch.models.popularity import Popularity, users_of_items
from batch.models.protocol import Ranker
from batch.second_stage.latest_items import LatestItems
from batch.second_stage.metadata import Metadata
from batch.second_stage.past import Past

MODEL: Final = "model"

_N_NEIGHBOURS: Final = 50
_LATEST_ITEMS: Final = 30
_LAST_ITEMS: Final = 3
_PRIOR_USERS: Final = 100  # users that the rate among all users counts like in a segment's

Sources = Mapping[str, Ranker]


def fit_sources(model: Ranker, past: Past, metadata: Metadata, n_threads: int) -> Sources:
    """Return all sources that there is data for, by name, the model first.

    Args:
        model: Model of the lists, fitted to `past`.
        past: Interactions to fit to.
        metadata: Genres of the items, and segments of the users.
        n_threads: Number of threads.
    """
    popular = Popularity().fit(past.weights)
    knn = ItemKnn(_N_NEIGHBOURS).fit(past.weights, n_threads=n_threads)
    sources: dict[str, Ranker] = {MODEL: model, "popularity": popular}
    similarity = sp.csr_matrix(knn.item_item)
    sources["item_knn"] = LatestItems(similarity, past, _LATEST_ITEMS)
    if past.at is not None:
        sources["last_items"] = LatestItems(similarity, past, _LAST_ITEMS)
        sources["recent"] = replace(popular, item_factors=recent_users(past)[:, None])
    if metadata.n_segments > 1:
        rates = segment_rates(past.weights, metadata)
        groups = np.eye(metadata.n_segments, dtype=np.float32)[metadata.segment]
        sources["segment"] = FittedFactors(groups, rates.T.copy(), past.weights, _refuse)
    if metadata.genres.shape[1]:
        shares = genre_shares(past.weights, metadata)
        shares -= shares.mean(axis=0)
        liked = metadata.genres * np.log1p(popular.item_factors)
        sources["genres"] = FittedFactors(shares, liked, past.weights, _refuse)
    return sources


def recent_users(past: Past) -> Floats:
    """Return (n_items,) the users of each item, each halved with every period of its age."""
    n_users = np.nan_to_num(np.exp2(-past.ages))  # none at an unknown time
    found = np.bincount(past.weights.indices, n_users, minlength=past.weights.shape[1])
    return np.asarray(found, np.float32)


def segment_rates(weights: sp.csr_matrix, metadata: Metadata) -> Floats:
    """Return (n_segments, n_items) the share of each segment's users with an item.

    It is shrunk towards the share of all users, as in `batch.cold_start.segments`.
    """
    n_users, n_items = weights.shape
    segment = np.repeat(metadata.segment.astype(np.int64), np.diff(weights.indptr))
    cells = segment * n_items + weights.indices
    counts = np.bincount(cells, minlength=metadata.n_segments * n_items).reshape(-1, n_items)
    members = np.bincount(metadata.segment, minlength=metadata.n_segments)[:, None]
    rate = users_of_items(weights) / n_users
    return np.asarray((counts + _PRIOR_USERS * rate) / (members + _PRIOR_USERS), np.float32)


def genre_shares(weights: sp.csr_matrix, metadata: Metadata) -> Floats:
    """Return (n_users, n_genres) the share of each genre in what a user watched."""
    watched = np.asarray(weights @ metadata.genres, np.float32)
    total = np.maximum(watched.sum(axis=1, keepdims=True), 1e-6)
    return np.asarray(watched / total, np.float32)


def _refuse(_: sp.csr_matrix) -> Floats:
    raise BatchError("source of candidates", "cannot fold in other users", "use the model itself")
