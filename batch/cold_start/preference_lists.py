"""Lists for users without interactions, from their stated preferences.

    likes ─► items and genres ─► treated as interactions ─► folded in ─► a list of their own

A liked item without users is replaced by its nearest neighbours with users, and a liked genre
by its most popular items, which have a small weight. Items they named are excluded, and so are
items of a genre they dislike. Popularity has more weight than for users with interactions; for
users who state dislikes alone, it decides.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, ItemRows
from batch.cold_start.stated_preferences import PreferenceParser, StatedPreferences
from batch.interactions.build import Interactions
from batch.models.factors import FittedFactors
from batch.models.popularity import users_of_items
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor
from batch.topk import NO_ITEM

_ITEM_WEIGHT: Final = 1.0  # of a liked item: that of one watched to the end
_N_NEIGHBOURS: Final = 5  # that replace an item without users
_N_GENRE_ITEMS: Final = 20  # that represent a genre
_N_PROBES: Final = 1000  # users of one item, whose mean top score is the unit of all scores
_POPULARITY_WEIGHT: Final = 3.0  # gain of the most popular item, in mean top scores
_GENRE_WEIGHT: Final = 1.5  # score of the best item of the liked genres, in mean top scores
_BATCH_SIZE: Final = 1024  # preferences scored at a time


@dataclass(frozen=True, slots=True)
class PreferenceInputs:
    """The data that preference lists are made from.

    Attributes:
        interactions: Interactions that the model was fitted to.
        items: Catalogue entries by item_id.
        profiles: Profiles by user_id.
        similar: Rows of the neighbours of each item row, nearest first.
        hidden: Item rows excluded from all lists.
        is_minor: Test whether adult titles are excluded for a profile.
    """

    interactions: Interactions
    items: Mapping[str, Item]
    profiles: Mapping[str, Profile]
    similar: Sequence[Sequence[int]]
    hidden: Collection[int] = frozenset()
    is_minor: Callable[[Profile], bool] = is_minor


@dataclass(frozen=True, slots=True)
class PreferenceLists:
    """Lists of users without interactions.

    Attributes:
        user_ids: Ids of the users, sorted.
        item_rows: (n_users, k) best first; NO_ITEM fills the places left over.
    """

    user_ids: Sequence[str]
    item_rows: ItemRows


NO_PREFERENCE_LISTS: Final = PreferenceLists((), np.empty((0, 0), np.int32))


def make_preference_lists(
    inputs: PreferenceInputs, fitted: FittedFactors, n_factors: int, k: int, *, n_threads: int = 0
) -> PreferenceLists:
    """Return k items for each user without interactions who names a known item or genre.

    Args:
        inputs: Interactions, catalogue, profiles.
        fitted: Model with fold-in, fitted to the interactions.
        n_factors: Number of ALS factors; a popularity column may follow.
        k: Length of the lists.
        n_threads: Number of threads; 0 means all processors.
    """
    interactions = inputs.interactions
    by_user = preferences_by_user(interactions, inputs.items, inputs.profiles, inputs.is_minor)
    if not by_user:
        return PreferenceLists((), np.empty((0, k), np.int32))
    user_ids = sorted(by_user)
    distinct = sorted(set(by_user.values()))
    n_users = users_of_items(interactions.weights).astype(np.float32)
    matrix = _PreferenceMatrix(
        interactions.item_ids.to_pylist(), n_users, inputs.items, inputs.similar
    )
    scorer = _PreferenceScorer(fitted, interactions.weights, n_users, n_factors)
    lists = np.full((len(distinct), k), NO_ITEM, np.int32)
    for first in range(0, len(distinct), _BATCH_SIZE):
        part = distinct[first : first + _BATCH_SIZE]
        model = scorer.fold_in(
            matrix.of_items(part), matrix.of_genres(part), matrix.excluded(part), n_threads
        )
        best = model.top_k(k, hidden=inputs.hidden, n_threads=n_threads)
        lists[first : first + _BATCH_SIZE] = best.item_rows
    row_of = {preferences: row for row, preferences in enumerate(distinct)}
    return PreferenceLists(user_ids, lists[[row_of[by_user[user_id]] for user_id in user_ids]])


def preferences_by_user(
    interactions: Interactions,
    items: Mapping[str, Item],
    profiles: Mapping[str, Profile],
    is_minor: Callable[[Profile], bool] = is_minor,
) -> dict[str, StatedPreferences]:
    """Return the preferences of the users without interactions, where they name anything known."""
    known = set(interactions.user_ids.to_pylist())
    new = {
        user_id: profile
        for user_id, profile in profiles.items()
        if user_id not in known and (profile.likes or profile.dislikes)
    }
    if not new:
        return {}
    n_users = users_of_items(interactions.weights).tolist()
    parser = PreferenceParser(interactions.item_ids.to_pylist(), items, n_users, is_minor)
    parsed = {user_id: parser.parse(profile) for user_id, profile in new.items()}
    return {user_id: preferences for user_id, preferences in parsed.items() if preferences}


class _PreferenceScorer:
    """Scores of stated preferences: the model's, and popularity with a large weight.

    The unit of all scores is the mean top score of users with one item.
    """

    def __init__(
        self, fitted: FittedFactors, weights: sp.csr_matrix, n_users: Floats, n_factors: int
    ) -> None:
        columns = slice(n_factors)  # without the popularity column for users with interactions
        self._als = replace(
            fitted,
            item_factors=np.ascontiguousarray(fitted.item_factors[:, columns]),
            solve=lambda others: np.ascontiguousarray(fitted.solve(others)[:, columns]),
        )
        share = n_users / max(n_users.max(initial=0), 1)
        self._item_factors = np.column_stack((self._als.item_factors, share)).astype(np.float32)
        self._popularity_weight = max(
            _POPULARITY_WEIGHT, fitted.about.get("popularity_weight", 0.0)
        )
        probes = _users_of_one_item(weights)
        best = self._als.fold_in(probes).top_k(1, n_threads=1).scores[:, 0]
        self._mean_top_score = float(best.mean())

    def fold_in(
        self,
        items: sp.csr_matrix,
        genres: sp.csr_matrix,
        excluded: sp.csr_matrix,
        n_threads: int,
    ) -> FittedFactors:
        """Return the model of users with these preferences.

        Args:
            items: (n_users, n_items) weights of the liked items.
            genres: (n_users, n_items) weights of the items that represent the liked genres.
            excluded: (n_users, n_items), an entry for each item excluded from the list.
            n_threads: Number of threads; 0 means all processors.
        """
        by_genre = self._als.fold_in(genres)
        best = by_genre.top_k(1, n_threads=n_threads).scores[:, :1]
        has_genre = np.isfinite(best) & (best > 0)
        scale = np.where(
            has_genre, _GENRE_WEIGHT * self._mean_top_score / np.where(has_genre, best, 1), 0
        )
        factors = self._als.fold_in(items).user_factors + scale * by_genre.user_factors
        popularity = np.full(len(factors), self._popularity_weight * self._mean_top_score or 1.0)
        user_factors = np.column_stack((factors, popularity)).astype(np.float32)
        return replace(
            by_genre, user_factors=user_factors, item_factors=self._item_factors, seen=excluded
        )


def _users_of_one_item(weights: sp.csr_matrix) -> sp.csr_matrix:
    """Return (n, n_items) users with one item each, sampled in proportion to the items' users."""
    sampled = np.random.default_rng(0).integers(0, weights.nnz, _N_PROBES)
    ones = np.full(_N_PROBES, _ITEM_WEIGHT, np.float32)
    cells = (np.arange(_N_PROBES), weights.indices[sampled])
    return sp.csr_matrix((ones, cells), shape=(_N_PROBES, weights.shape[1]))


class _PreferenceMatrix:
    """Stated preferences as matrices of (n_preferences, n_items)."""

    def __init__(
        self,
        item_ids: Sequence[str],
        n_users: Floats,
        items: Mapping[str, Item],
        similar: Sequence[Sequence[int]],
    ) -> None:
        by_popularity = np.lexsort((np.arange(len(n_users)), -n_users)).tolist()
        listed = [items.get(item_id) for item_id in item_ids]
        self._n_users = n_users
        self._similar = similar
        self._rows_by_genre: dict[str, list[int]] = {}
        for row in by_popularity:
            item = listed[row]
            for name in item.genres if item else ():
                self._rows_by_genre.setdefault(name, []).append(row)
        self._adult = [row for row, item in enumerate(listed) if item and item.adult]

    def of_items(self, preferences: Sequence[StatedPreferences]) -> sp.csr_matrix:
        """Return the liked items, or the neighbours that replace them, as interactions."""
        rows = []
        for stated in preferences:
            row: dict[int, float] = {}
            for liked in stated.items:
                known = self._with_users(liked)
                for item in known:
                    row[item] = max(row.get(item, 0.0), _ITEM_WEIGHT / len(known))
            rows.append(row)
        return self._matrix(rows)

    def of_genres(self, preferences: Sequence[StatedPreferences]) -> sp.csr_matrix:
        """Return the most popular items of the liked genres as interactions."""
        rows = []
        for stated in preferences:
            best = (
                item
                for genre in stated.genres
                for item in self._rows_by_genre[genre][:_N_GENRE_ITEMS]
            )
            rows.append(dict.fromkeys(best, _ITEM_WEIGHT))
        return self._matrix(rows)

    def excluded(self, preferences: Sequence[StatedPreferences]) -> sp.csr_matrix:
        """Return an entry for each item excluded from a list."""
        rows = []
        for stated in preferences:
            items = {*stated.items, *stated.disliked_items}
            if stated.is_minor:
                items.update(self._adult)
            for genre in stated.disliked_genres:
                items.update(self._rows_by_genre.get(genre, ()))
            rows.append(dict.fromkeys(sorted(items), 1.0))
        return self._matrix(rows)

    def _with_users(self, item_row: int) -> list[int]:
        if self._n_users[item_row]:
            return [item_row]
        near = [row for row in self._similar[item_row] if self._n_users[row]]
        return near[:_N_NEIGHBOURS]

    def _matrix(self, rows: Sequence[Mapping[int, float]]) -> sp.csr_matrix:
        indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
        indices = np.fromiter((item for row in rows for item in row), np.int64, int(indptr[-1]))
        data = np.fromiter((w for row in rows for w in row.values()), np.float32, int(indptr[-1]))
        matrix = sp.csr_matrix((data, indices, indptr), shape=(len(rows), len(self._n_users)))
        matrix.sort_indices()
        return matrix
