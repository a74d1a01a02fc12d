"""Described users: cold users with a vector of what is known of them, as an embedding would be.

    profile, likes ─► text ─► TF-IDF, SVD ─┐
    3 titles that a user names ─► mean of ─┴─► vector ─► lists ─► hidden interactions
        their items' embeddings

All users have such a vector. The titles that they name are not among their interactions, neither
of the hidden users, whose lists lack them, nor of the others, whose factors are learned.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Flags, Floats, Rows
from batch.models.holdout import without
from batch.models.ials import Ials
from batch.records.vectors import OutsideVectors
from benchmarks.cold_start.embedding import embed, item_text, outside_vectors, profile_text
from benchmarks.cold_start.evaluated import K, evaluate_lists
from benchmarks.cold_start.users import (
    MIN_HIDDEN,
    lists_by_likes,
    profiles_stating,
    segment_lists,
    split_users,
    without_items,
)
from benchmarks.harness.data_sets import Service

_N_TITLES: Final = 3  # named by each user


def described_by_titles(data: Service, seed: int) -> list[Sequence[str]]:
    """Evaluate vectors of users whose description names some of their items."""
    weights = data.interactions.weights
    named = _named_entries(weights, seed)
    is_named = np.zeros(weights.nnz, dtype=bool)
    is_named[named] = True
    named_items, others = _entries(weights, is_named), _entries(weights, ~is_named)
    seen = dataclasses.replace(
        data, interactions=dataclasses.replace(data.interactions, weights=others)
    )
    train, cold = split_users(seen, seed)
    cold = cold[np.diff(weights[cold].indptr) >= MIN_HIDDEN]
    stated = [named_items.indices[slice(*named_items.indptr[row : row + 2])] for row in cold]
    excluded = [set(rows.tolist()) for rows in stated]
    profiles = _profile_vectors(data, seed)
    titles = _title_vectors(data, named_items, seed)
    user_ids = data.interactions.user_ids.to_pylist()
    both = np.hstack((profiles, titles))
    stating = dataclasses.replace(seen, profiles=profiles_stating(seen, cold, stated))
    popular, by_segment = segment_lists(seen, train, cold)
    fitted = Ials(seed=seed).fit(train.weights)
    lists = {"popular": popular, "segment": by_segment}
    for name, service, vectors in (
        ("likes, 3 titles", stating, None),
        ("vector of the profile", seen, profiles),
        ("vector of profile and titles", seen, both),
        ("likes and vector", stating, both),
    ):
        outside = None if vectors is None else outside_vectors("user", user_ids, vectors)
        lists[name] = lists_by_likes(fitted, service, train, cold, by_segment, outside)
    subjects = {name: without_items(item_rows, excluded) for name, item_rows in lists.items()}
    return evaluate_lists(data.name, subjects, others[cold], seed=seed, hidden="users with vectors")


def described_by_likes(
    data: Service, seed: int, tastes: OutsideVectors | None
) -> list[Sequence[str]]:
    """Evaluate vectors of users whose profiles state likes.

    Args:
        data: Interactions, catalogue, profiles.
        seed: Random seed of the hidden users.
        tastes: Vectors of a simulated service's tastes; None for other data.
    """
    train, cold = split_users(data, seed)
    popular, by_segment = segment_lists(data, train, cold)
    fitted = Ials(seed=seed).fit(train.weights)
    user_ids = data.interactions.user_ids.to_pylist()
    embedded = outside_vectors("user", user_ids, _profile_vectors(data, seed))
    silent = dataclasses.replace(
        data,
        profiles={
            user_id: dataclasses.replace(profile, likes=None, dislikes=None)
            for user_id, profile in data.profiles.items()
        },
    )
    lists = {"popular": popular, "segment": by_segment}
    for name, service, vectors in (
        ("likes, genres", data, None),
        ("vector of the profile", silent, embedded),
        ("likes and vector", data, embedded),
        ("taste vector", silent, tastes),
    ):
        if service is data or vectors:
            lists[name] = lists_by_likes(fitted, service, train, cold, by_segment, vectors)
    subjects = {name: item_rows[:, :K] for name, item_rows in lists.items()}
    test = data.interactions.weights[cold]
    return evaluate_lists(data.name, subjects, test, seed=seed, hidden="users with vectors")


def _named_entries(weights: sp.csr_matrix, seed: int) -> Rows:
    """Return the positions of up to 3 random interactions of each user."""
    order = np.random.default_rng(seed).random(weights.nnz)
    user = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    by_user = np.lexsort((order, user))
    rank = np.arange(weights.nnz) - weights.indptr[user[by_user]]
    return np.asarray(by_user[rank < _N_TITLES], np.int64)


def _entries(weights: sp.csr_matrix, is_kept: Flags) -> sp.csr_matrix:
    return without(weights, np.flatnonzero(~is_kept))


def _profile_vectors(data: Service, seed: int) -> Floats:
    """Return (n_users, length) the embedding of each profile."""
    profiles = (data.profiles.get(name) for name in data.interactions.user_ids.to_pylist())
    return embed([profile_text(profile) if profile else "" for profile in profiles], seed)


def _title_vectors(data: Service, named: sp.csr_matrix, seed: int) -> Floats:
    """Return (n_users, length) the mean embedding of the items that each user names."""
    items = (data.items.get(name) for name in data.interactions.item_ids.to_pylist())
    vectors = embed([item_text(item) if item else "" for item in items], seed)
    is_named = sp.csr_matrix((np.ones(named.nnz, np.float32), named.indices, named.indptr))
    sums = is_named @ vectors[: is_named.shape[1]]
    return np.asarray(sums / np.maximum(np.diff(named.indptr), 1)[:, None], np.float32)
