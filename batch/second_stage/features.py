"""Features of a candidate: what a tree may ask about a user and an item.

    sources   score and rank by each source
    item      popularity, share of recent users, trend, age, year, runtime, cost
    user      number of items, time since the latest, age, gender
    both      difference to the user's mean popularity, year and runtime; affinity to the
              genres; share of the segment's users with the item and with its genres,
              relative to all users

Numbers of users are shares, so that a sample of the users gives the same features.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows
from batch.models.popularity import users_of_items
from batch.second_stage.candidates import DEPTHS, CandidateItems
from batch.second_stage.metadata import Metadata
from batch.second_stage.past import Past
from batch.second_stage.sources import genre_shares, recent_users, segment_rates
from batch.topk import NO_ITEM

_ITEM: Final = ("popularity", "recent", "trend", "age", "year", "runtime", "cost")
_USER: Final = ("items", "idle", "user_age", "gender")
_BOTH: Final = (
    "popularity_difference", "year_difference", "runtime_difference", "genre_affinity",
    "segment_item", "segment_genres",
)  # fmt: skip
_COMPARED: Final = ("popularity", "year", "runtime")  # with the mean of the user's items
NAMES: Final = (
    *(f"{name}_score" for name in DEPTHS),
    *(f"{name}_rank" for name in DEPTHS),
    *_ITEM,
    *_USER,
    *_BOTH,
)


@dataclass(frozen=True, slots=True)
class Features:
    """Tables of features at a moment.

    Attributes:
        items: (n_items, n_item_features) columns of `_ITEM`.
        users: (n_users, n_user_features) columns of `_USER`.
        means: (n_users, 3) means of `_COMPARED` over a user's items; NaN if unknown.
        genres: (n_items, n_genres) shares of an item's genres.
        user_genres: (n_users, n_genres) shares of the genres in what a user watched.
        segment: (n_users,) number of the user's segment.
        segment_items: (n_segments, 2, n_items) logarithm of the share of the segment's users
            with an item, and with its genres, over that of all users.
    """

    items: Floats
    users: Floats
    means: Floats
    genres: Floats
    user_genres: Floats
    segment: Rows
    segment_items: Floats

    @classmethod
    def of(cls, past: Past, metadata: Metadata) -> "Features":
        """Make the tables from everything before a moment."""
        items = _item_features(past, metadata)
        compared = items[:, [_ITEM.index(name) for name in _COMPARED]]
        return cls(
            items=items,
            users=_user_features(past, metadata),
            means=_means(past.weights, compared),
            genres=metadata.genres,
            user_genres=genre_shares(past.weights, metadata),
            segment=metadata.segment.astype(np.int64),
            segment_items=_segment_features(past.weights, metadata),
        )

    def __call__(self, user_rows: Rows, candidates: CandidateItems) -> Floats:
        """Return (n_present, len(NAMES)) the features of all candidates that are items.

        Args:
            user_rows: (n_users,) rows of the users.
            candidates: CandidateItems of these users.
        """
        user, place = np.nonzero(candidates.item_rows != NO_ITEM)
        item, row = candidates.item_rows[user, place], user_rows[user]
        items = self.items[item]
        compared = items[:, [_ITEM.index(name) for name in _COMPARED]]
        affinity = np.einsum("ng,ng->n", self.user_genres[row], self.genres[item])
        return np.concatenate(
            (
                candidates.scores[user, place],
                candidates.ranks[user, place],
                items,
                self.users[row],
                compared - self.means[row],
                affinity[:, None],
                self.segment_items[self.segment[row], :, item],
            ),
            axis=1,
            dtype=np.float32,
        )


def _item_features(past: Past, metadata: Metadata) -> Floats:
    """Return (n_items, n_item_features) the columns of `_ITEM`; NaN if unknown."""
    n_users, n_items = past.weights.shape
    share = (users_of_items(past.weights) + 0.5) / (n_users + 1)
    recent = recent_users(past) + 0.5
    recent_share = recent / recent.sum()
    trend = np.log(recent_share) - np.log(share / share.sum())
    age = np.full(n_items, np.nan, np.float32)
    np.fmax.at(age, past.weights.indices, past.ages)  # the number of two, if one is NaN
    if past.at is None:
        recent_share, trend = (np.full(n_items, np.nan) for _ in range(2))
    columns = (np.log(share), np.log(recent_share), trend, age)
    return np.concatenate((np.stack(columns, axis=1), metadata.numbers), axis=1, dtype=np.float32)


def _user_features(past: Past, metadata: Metadata) -> Floats:
    """Return (n_users, n_user_features) the columns of `_USER`; NaN if unknown."""
    n_items_of = np.diff(past.weights.indptr)
    idle = np.full(len(n_items_of), np.nan, np.float32)
    has_items = n_items_of > 0
    idle[has_items] = np.fmin.reduceat(past.ages, past.weights.indptr[:-1][has_items])
    return np.concatenate(
        (np.stack((np.log1p(n_items_of), idle), axis=1), metadata.profiles),
        axis=1,
        dtype=np.float32,
    )


def _means(weights: sp.csr_matrix, values: Floats) -> Floats:
    """Return (n_users, n_values) the means over a user's items of the values that are known."""
    is_known = ~np.isnan(values)
    ones = np.ones(weights.nnz, np.float32)
    has = sp.csr_matrix((ones, weights.indices, weights.indptr), weights.shape)
    n_known = np.asarray(has @ is_known.astype(np.float32))
    total = np.asarray(has @ np.where(is_known, values, 0))
    return np.asarray(np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan), np.float32)


def _segment_features(weights: sp.csr_matrix, metadata: Metadata) -> Floats:
    """Return (n_segments, 2, n_items) what a segment watches more than all users do."""
    rates = segment_rates(weights, metadata)
    all_users = users_of_items(weights) / weights.shape[0]
    smallest = 0.5 / weights.shape[0]
    items = np.log(rates + smallest) - np.log(all_users + smallest)
    shares = [values @ metadata.genres for values in (rates, all_users[None])]
    by_segment, overall = (
        np.log(found / np.maximum(found.sum(axis=1, keepdims=True), 1e-9) + 1e-6)
        for found in shares
    )
    genres = (by_segment - overall) @ metadata.genres.T
    return np.stack((items, genres), axis=1).astype(np.float32)
