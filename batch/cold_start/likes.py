"""Lists for users who have not watched anything yet, but have said what they like.

    likes ─► taste ─► as if they had had the items that it names ─► folded in ─► their own list

A liked item that nobody has had stands for its nearest neighbours that somebody has, a liked genre
for the most popular items of it, which count little. Never in the list is what they named: what
they like they know, and what they do not like, item or genre, they do not want. Popularity counts
for more than with users who are known better, and is all that is left to those who say only what
they do not like.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, ItemRows
from batch.cold_start.stated_preferences import StatedPreferences, TasteReader
from batch.interactions.build import Interactions
from batch.models.factors import FittedFactors
from batch.models.popularity import users_of_items
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor
from batch.topk import NO_ITEM

_ITEM_WEIGHT: Final = 1.0  # of a liked item: as if watched to the end
_N_NEIGHBOURS: Final = 5  # that stand for an item which nobody has had
_GENRE_ITEMS: Final = 20  # that stand for a genre
_PROBES: Final = 1000  # users of one item, whose best scores say what a large score is
_POPULARITY: Final = 3.0  # of such a score, that the most popular item gains
_GENRES: Final = 1.5  # of such a score, that the best item of somebody's genres has
_TASTES: Final = 1024  # whose lists are made at a time


@dataclass(frozen=True, slots=True)
class LikedLists:
    """Lists by what users have said.

    Attributes:
        user_ids: Sorted; none of them has any interaction.
        item_rows: (n_users, k) best first; NO_ITEM fills the places left over.
    """

    user_ids: Sequence[str]
    item_rows: ItemRows


NO_LIKED: Final = LikedLists((), np.empty((0, 0), np.int32))


def liked_lists(
    fitted: FittedFactors,
    interactions: Interactions,
    items: Mapping[str, Item],
    profiles: Mapping[str, Profile],
    similar: Sequence[Sequence[int]],
    k: int,
    n_factors: int,
    hidden: Collection[int] = frozenset(),
    *,
    is_minor: Callable[[Profile], bool] = is_minor,
    n_threads: int = 0,
) -> LikedLists:
    """Return k items for each user without interactions whose likes name anything known.

    Args:
        fitted: A model that users can be folded into.
        interactions: Which it was trained on.
        items: By item_id.
        profiles: By user_id.
        similar: For each item row its neighbours.
        k: Length of the lists.
        n_factors: Columns of the taste in the model's factors.
        hidden: Item rows that nobody is offered.
        is_minor: Whether adult titles are kept from users of a profile.
        n_threads: 0 means all processors.
    """
    by_user = tastes_of(interactions, items, profiles, is_minor)
    if not by_user:
        return LikedLists((), np.empty((0, k), np.int32))
    user_ids = sorted(by_user)
    tastes = sorted(set(by_user.values()))
    n_users = users_of_items(interactions.weights).astype(np.float32)
    signs = _PreferenceMatrix(interactions.item_ids.to_pylist(), n_users, items, similar)
    scorer = _Scorer(fitted, interactions.weights, n_users, n_factors)
    lists = np.full((len(tastes), k), NO_ITEM, np.int32)
    for first in range(0, len(tastes), _TASTES):
        some = tastes[first : first + _TASTES]
        named = (signs.of_items(some), signs.of_genres(some), signs.unwanted(some))
        scored = scorer.model(*named, n_threads)
        lists[first : first + _TASTES] = scored.top_k(
            k, hidden=hidden, n_threads=n_threads
        ).item_rows
    place_of = {taste: place for place, taste in enumerate(tastes)}
    places = [place_of[by_user[user_id]] for user_id in user_ids]
    return LikedLists(user_ids, lists[places])


def tastes_of(
    interactions: Interactions,
    items: Mapping[str, Item],
    profiles: Mapping[str, Profile],
    is_minor: Callable[[Profile], bool] = is_minor,
) -> dict[str, StatedPreferences]:
    """Return the tastes of the users without interactions, of those who tell of any."""
    known = set(interactions.user_ids.to_pylist())
    telling = {
        user_id: profile
        for user_id, profile in profiles.items()
        if user_id not in known and (profile.likes or profile.dislikes)
    }
    if not telling:
        return {}
    n_users = users_of_items(interactions.weights).tolist()
    reader = TasteReader(interactions.item_ids.to_pylist(), items, n_users, is_minor)
    tastes = {user_id: reader.taste(profile) for user_id, profile in telling.items()}
    return {user_id: taste for user_id, taste in tastes.items() if taste}


class _Scorer:
    """Scores for who has said little: taste, and a good deal of popularity besides.

    Everything is measured by the usual best score of somebody who has had one item.
    """

    def __init__(
        self, fitted: FittedFactors, weights: sp.csr_matrix, n_users: Floats, n_factors: int
    ) -> None:
        columns = slice(n_factors)  # behind them, the popularity for those who are known better
        self._taste = replace(
            fitted,
            item_factors=np.ascontiguousarray(fitted.item_factors[:, columns]),
            solve=lambda others: np.ascontiguousarray(fitted.solve(others)[:, columns]),
        )
        share = n_users / max(n_users.max(initial=0), 1)
        self._items = np.column_stack((self._taste.item_factors, share)).astype(np.float32)
        self._popularity = max(_POPULARITY, fitted.about.get("popularity_weight", 0.0))
        one_each = _one_item_each(weights)
        best = self._taste.fold_in(one_each).top_k(1, n_threads=1).scores[:, 0]
        self._usual_best = float(best.mean())

    def model(
        self,
        items: sp.csr_matrix,
        genres: sp.csr_matrix,
        unwanted: sp.csr_matrix,
        n_threads: int,
    ) -> FittedFactors:
        """Return the model for users who like these, and are not offered what is unwanted.

        Args:
            items: (n_users, n_items) weights of what they named.
            genres: (n_users, n_items) weights of what stands for the genres that they named.
            unwanted: (n_users, n_items), an entry where it is.
            n_threads: 0 means all processors.
        """
        by_genre = self._taste.fold_in(genres)
        best = by_genre.top_k(1, n_threads=n_threads).scores[:, :1]
        is_one = np.isfinite(best) & (best > 0)
        scale = np.where(is_one, _GENRES * self._usual_best / np.where(is_one, best, 1), 0)
        taste = self._taste.fold_in(items).user_factors + scale * by_genre.user_factors
        gain = np.full(len(taste), self._popularity * self._usual_best or 1.0)
        users = np.column_stack((taste, gain)).astype(np.float32)
        return replace(by_genre, user_factors=users, item_factors=self._items, seen=unwanted)


def _one_item_each(weights: sp.csr_matrix) -> sp.csr_matrix:
    """Return (n, n_items) users who have one item, drawn as often as items are had."""
    drawn = np.random.default_rng(0).integers(0, weights.nnz, _PROBES)
    ones = np.full(_PROBES, _ITEM_WEIGHT, np.float32)
    place = (np.arange(_PROBES), weights.indices[drawn])
    return sp.csr_matrix((ones, place), shape=(_PROBES, weights.shape[1]))


class _PreferenceMatrix:
    """What tastes mean in rows of items."""

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
        self._of_genre: dict[str, list[int]] = {}
        for row in by_popularity:
            item = listed[row]
            for name in item.genres if item else ():
                self._of_genre.setdefault(name, []).append(row)
        self._adult = [row for row, item in enumerate(listed) if item and item.adult]

    def of_items(self, tastes: Sequence[StatedPreferences]) -> sp.csr_matrix:
        """Return (n_tastes, n_items), as if they had had the items that they like."""
        rows = []
        for taste in tastes:
            row: dict[int, float] = {}
            for liked in taste.items:
                stand_in = self._known(liked)
                for item in stand_in:
                    row[item] = max(row.get(item, 0.0), _ITEM_WEIGHT / len(stand_in))
            rows.append(row)
        return self._matrix(rows)

    def of_genres(self, tastes: Sequence[StatedPreferences]) -> sp.csr_matrix:
        """Return (n_tastes, n_items), as if they had had the best known items of their genres."""
        rows = []
        for taste in tastes:
            best = (item for genre in taste.genres for item in self._of_genre[genre][:_GENRE_ITEMS])
            rows.append(dict.fromkeys(best, _ITEM_WEIGHT))
        return self._matrix(rows)

    def unwanted(self, tastes: Sequence[StatedPreferences]) -> sp.csr_matrix:
        """Return (n_tastes, n_items), an entry where an item must not be in the list."""
        rows = []
        for taste in tastes:
            named = {*taste.items, *taste.not_items, *(self._adult if taste.is_minor else ())}
            for genre in taste.not_genres:
                named.update(self._of_genre.get(genre, ()))
            rows.append(dict.fromkeys(sorted(named), 1.0))
        return self._matrix(rows)

    def _known(self, item_row: int) -> list[int]:
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
