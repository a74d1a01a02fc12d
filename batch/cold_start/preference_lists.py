"""Lists for users without interactions, from stated preferences and vectors from outside.

    likes  ─► items and genres ─► treated as interactions ─► folded in ─┐
    vector ─► factors that users of such vectors have ──────────────────┴─► a list of their own

A liked item without users is replaced by its nearest neighbours with users, and a liked genre
by its most popular items, which have a small weight. Items they named are excluded, and so are
items of a genre they dislike. Popularity has more weight than for users with interactions; for
users who state dislikes alone, it decides. Of a user with both, the factors are added, those of
the vector with a weight of their own beside liked items.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, ItemRows
from batch.cold_start.new_users import ExpectedUsers, expected_users
from batch.cold_start.preference_scores import ITEM_WEIGHT, PreferenceScorer
from batch.cold_start.stated_preferences import PreferenceParser, StatedPreferences
from batch.interactions.build import Interactions
from batch.models.factors import FittedFactors
from batch.models.popularity import users_of_items
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor, segments
from batch.records.vectors import OutsideVectors
from batch.topk import NO_ITEM

_N_NEIGHBOURS: Final = 5  # that replace an item without users
_N_GENRE_ITEMS: Final = 20  # that represent a genre
_BATCH_SIZE: Final = 1024  # preferences scored at a time
_EMPTY_PROFILE: Final = Profile(None, None, None)


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
        user_vectors: Vectors from outside by user_id; None without any.
        by_segment: List of each segment, which users with a vector would get without it.
        are_stated_used: Whether likes and dislikes count; vectors alone do otherwise.
    """

    interactions: Interactions
    items: Mapping[str, Item]
    profiles: Mapping[str, Profile]
    similar: Sequence[Sequence[int]]
    hidden: Collection[int] = frozenset()
    is_minor: Callable[[Profile], bool] = is_minor
    user_vectors: OutsideVectors | None = None
    by_segment: Mapping[str, Sequence[int]] = field(default_factory=dict)
    are_stated_used: bool = True

    def segment_list(self, user_id: str) -> Sequence[int]:
        """Return the list of a user's most specific segment that has one, or an empty one."""
        names = segments(self.profiles.get(user_id, _EMPTY_PROFILE))
        return next((self.by_segment[name] for name in names if name in self.by_segment), ())


@dataclass(frozen=True, slots=True)
class PreferenceLists:
    """Lists of users without interactions.

    Attributes:
        user_ids: Ids of the users, sorted.
        item_rows: (n_users, k) best first; NO_ITEM fills the places left over.
        about: Figures of the vectors from outside, for the manifest.
    """

    user_ids: Sequence[str]
    item_rows: ItemRows
    about: Mapping[str, float] = field(default_factory=dict)


NO_PREFERENCE_LISTS: Final = PreferenceLists((), np.empty((0, 0), np.int32))


def make_preference_lists(
    inputs: PreferenceInputs, fitted: FittedFactors, k: int, *, n_threads: int = 0
) -> PreferenceLists:
    """Return k items for each user without interactions of whom anything useful is known.

    That is a known item or genre that they name, or a vector from outside.

    Args:
        inputs: Interactions, catalogue, profiles, vectors.
        fitted: Model with fold-in, fitted to the interactions.
        k: Length of the lists.
        n_threads: Number of threads; 0 means all processors.
    """
    interactions = inputs.interactions
    stated = (
        preferences_by_user(interactions, inputs.items, inputs.profiles, inputs.is_minor)
        if inputs.are_stated_used
        else {}
    )
    if not stated and inputs.user_vectors is None:
        return PreferenceLists((), np.empty((0, k), np.int32))
    n_users = users_of_items(interactions.weights).astype(np.float32)
    scorer = PreferenceScorer(fitted, interactions.weights, n_users)
    expected = expected_users(
        interactions, inputs.user_vectors, scorer, inputs.segment_list, n_threads
    )
    by_user = _known_of_users(stated, expected, inputs)
    matrix = _PreferenceMatrix(
        interactions.item_ids.to_pylist(), n_users, inputs.items, inputs.similar
    )
    distinct = sorted(set(by_user.values()))
    lists = np.full((len(distinct), k), NO_ITEM, np.int32)
    for first in range(0, len(distinct), _BATCH_SIZE):
        preferences, vector_rows = zip(*distinct[first : first + _BATCH_SIZE], strict=True)
        factors = scorer.fold_in(
            matrix.of_items(preferences), matrix.of_genres(preferences), n_threads
        )
        names_items = np.array([bool(stated.items) for stated in preferences])
        factors = factors + expected.weighted(np.array(vector_rows), names_items)
        model = scorer.model(factors, matrix.excluded(preferences))
        best = model.top_k(k, hidden=inputs.hidden, n_threads=n_threads)
        lists[first : first + _BATCH_SIZE] = best.item_rows
    row_of = {known: row for row, known in enumerate(distinct)}
    user_ids = sorted(by_user)
    rows = [row_of[by_user[user_id]] for user_id in user_ids]
    return PreferenceLists(user_ids, lists[rows], expected.about)


def _known_of_users(
    stated: Mapping[str, StatedPreferences], expected: ExpectedUsers, inputs: PreferenceInputs
) -> dict[str, tuple[StatedPreferences, int]]:
    """Return each user's preferences, empty ones without any, and row among the vectors."""
    vector_row = {user_id: row for row, user_id in enumerate(expected.user_ids)}
    no_vector = len(vector_row)
    unstated = {
        user_id: StatedPreferences(
            is_minor=inputs.is_minor(inputs.profiles.get(user_id, _EMPTY_PROFILE))
        )
        for user_id in vector_row
        if user_id not in stated
    }
    return {
        user_id: (preferences, vector_row.get(user_id, no_vector))
        for user_id, preferences in (*stated.items(), *unstated.items())
    }


def preferences_by_user(
    interactions: Interactions,
    items: Mapping[str, Item],
    profiles: Mapping[str, Profile],
    is_minor: Callable[[Profile], bool] = is_minor,
) -> dict[str, StatedPreferences]:
    """Return the preferences of the users without interactions, where they name anything known."""
    known = interactions.elsewhere.union(interactions.user_ids.to_pylist())
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
                    row[item] = max(row.get(item, 0.0), ITEM_WEIGHT / len(known))
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
            rows.append(dict.fromkeys(best, ITEM_WEIGHT))
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
