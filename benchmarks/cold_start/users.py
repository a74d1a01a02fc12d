"""Cold users: a fifth of the users with a profile; all their interactions are hidden.

other users ─► popular, segments, likes ─► lists for the hidden users ─► hidden interactions
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np

from batch.arrays import Codes, ItemRows, Rows
from batch.cold_start.popular import popular_items
from batch.cold_start.preference_lists import (
    PreferenceInputs,
    make_preference_lists,
    preferences_by_user,
)
from batch.cold_start.segments import segment_items
from batch.interactions.build import Interactions
from batch.models.factors import FittedFactors
from batch.models.holdout import without
from batch.models.ials import Ials
from batch.records.profiles import Profile, segments
from batch.records.vectors import OutsideVectors
from batch.topk import NO_ITEM
from benchmarks.cold_start.data import of_users
from benchmarks.cold_start.evaluated import K, evaluate_lists
from benchmarks.harness.data_sets import Service
from benchmarks.harness.report import print_figure

_SHARE: Final = 0.2
_N_TITLES: Final = (1, 3)  # titles in the stated likes of a cold user
MIN_HIDDEN: Final = 5  # interactions of a user whose likes are made of some of them
_N_SPARES: Final = 10  # items behind the list: some of the list are excluded


def cold_users(data: Service, seed: int) -> list[Sequence[str]]:
    """Evaluate lists by segment against the popular list."""
    train, cold = split_users(data, seed)
    popular, by_segment = segment_lists(data, train, cold)
    test = data.interactions.weights[cold]
    by_counts = _by_counts(data, train, cold)
    subjects = {
        "popular": popular[:, :K],
        "segment by counts": by_counts,
        "segment": by_segment[:, :K],
    }
    return evaluate_lists(data.name, subjects, test, seed=seed, hidden="users")


def likes_of_titles(data: Service, seed: int) -> list[Sequence[str]]:
    """Evaluate lists by likes: cold users name some of their hidden items."""
    train, cold = split_users(data, seed)
    cold = cold[np.diff(data.interactions.weights[cold].indptr) >= MIN_HIDDEN]
    hidden = data.interactions.weights[cold]
    popular, by_segment = segment_lists(data, train, cold)
    random = np.random.default_rng(seed)
    order = random.random(hidden.nnz)
    entries = [np.arange(*hidden.indptr[row : row + 2]) for row in range(len(cold))]
    named = [of_user[np.argsort(order[of_user])[: max(_N_TITLES)]] for of_user in entries]
    test = without(hidden, np.concatenate(named))
    excluded = [set(hidden.indices[of_user].tolist()) for of_user in named]
    fitted = Ials(seed=seed).fit(train.weights)
    subjects = {
        "popular": without_items(popular, excluded),
        "segment": without_items(by_segment, excluded),
    }
    for n_titles in _N_TITLES:
        stated = [hidden.indices[of_user[:n_titles]] for of_user in named]
        profiled = dataclasses.replace(data, profiles=profiles_stating(data, cold, stated))
        lists = lists_by_likes(fitted, profiled, train, cold, by_segment)
        subjects[f"likes, {n_titles} title{'s' * (n_titles > 1)}"] = without_items(lists, excluded)
        _print_recognition(profiled, train, cold, stated, n_titles)
    return evaluate_lists(data.name, subjects, test, seed=seed, hidden="users with likes")


def likes_of_genres(data: Service, seed: int) -> list[Sequence[str]]:
    """Evaluate lists by the likes of the profiles."""
    train, cold = split_users(data, seed)
    popular, by_segment = segment_lists(data, train, cold)
    fitted = Ials(seed=seed).fit(train.weights)
    liked = lists_by_likes(fitted, data, train, cold, by_segment)
    lists = {"popular": popular, "segment": by_segment, "likes, genres": liked}
    subjects = {name: item_rows[:, :K] for name, item_rows in lists.items()}
    test = data.interactions.weights[cold]
    return evaluate_lists(data.name, subjects, test, seed=seed, hidden="users with likes")


def split_users(data: Service, seed: int) -> tuple[Interactions, Rows]:
    """Return the interactions of the other users, and the rows of the hidden users."""
    user_ids = data.interactions.user_ids.to_pylist()
    profiled = np.flatnonzero([user_id in data.profiles for user_id in user_ids])
    random = np.random.default_rng(seed)
    cold = np.sort(random.choice(profiled, int(_SHARE * len(profiled)), replace=False))
    rest = np.setdiff1d(np.arange(len(user_ids)), cold)
    return of_users(data.interactions, rest), cold


def segment_lists(data: Service, train: Interactions, cold: Rows) -> tuple[ItemRows, ItemRows]:
    """Return (n_cold, 30) popular and segment lists, with the server's back-off."""
    n = K + _N_SPARES
    popular = popular_items(train, n)
    lists = segment_items(train, data.profiles, n)
    return _back_off(data, cold, {}, popular), _back_off(data, cold, lists, popular)


def _back_off(
    data: Service, cold: Rows, lists: dict[str, list[int]], popular: list[int]
) -> ItemRows:
    """Return the list of each cold user's most specific segment that has one."""
    user_ids = data.interactions.user_ids.take(cold).to_pylist()
    specific_first = (segments(data.profiles[user_id]) for user_id in user_ids)
    return np.array(
        [
            next((lists[name] for name in names if name in lists), popular)
            for names in specific_first
        ],
        np.int32,
    )


def _by_counts(data: Service, train: Interactions, cold: Rows) -> ItemRows:
    """Return naive lists: the most specific segment of 20 users, ranked by its own counts."""
    members: dict[str, list[int]] = {}
    for row, user_id in enumerate(train.user_ids.to_pylist()):
        if profile := data.profiles.get(user_id):
            for name in segments(profile):
                members.setdefault(name, []).append(row)
    popular = popular_items(train, K)
    lists = {}
    for name, rows in members.items():
        if len(rows) >= K:
            own = popular_items(dataclasses.replace(train, weights=train.weights[rows]), K)
            lists[name] = list(dict.fromkeys(own + popular))[:K]
    return _back_off(data, cold, lists, popular)


def without_items(lists: ItemRows, excluded: Sequence[set[int]]) -> ItemRows:
    """Return each list without a user's excluded items, cut to K."""
    pairs = zip(lists.tolist(), excluded, strict=True)
    return np.array(
        [[row for row in listed if row not in rows][:K] for listed, rows in pairs], np.int32
    )


def profiles_stating(data: Service, cold: Rows, stated: Sequence[Codes]) -> dict[str, Profile]:
    """Return the hidden users' profiles, with some titles as their likes."""
    item_ids = data.interactions.item_ids.to_pylist()
    user_ids = data.interactions.user_ids.take(cold).to_pylist()
    titles = [[data.items[item_ids[row]].title or "" for row in rows.tolist()] for rows in stated]
    return {
        user_id: dataclasses.replace(
            data.profiles[user_id], likes=f"I love {', '.join(of_user)}.", dislikes=None
        )
        for user_id, of_user in zip(user_ids, titles, strict=True)
    }


def lists_by_likes(
    fitted: FittedFactors,
    data: Service,
    train: Interactions,
    cold: Rows,
    otherwise: ItemRows,
    vectors: OutsideVectors | None = None,
) -> ItemRows:
    """Return (n_cold, K + spares) lists by likes and vectors, filled up from `otherwise`."""
    unneeded: list[list[int]] = [[]] * len(data.interactions.item_ids)  # no item is new here
    length = otherwise.shape[1]
    inputs = PreferenceInputs(
        train,
        data.items,
        data.profiles,
        unneeded,
        user_vectors=vectors,
        by_segment=segment_items(train, data.profiles, K) if vectors else {},
    )
    found = make_preference_lists(inputs, fitted, length)
    by_user = dict(zip(found.user_ids, found.item_rows.tolist(), strict=True))
    lists = []
    for user_id, rest in zip(
        data.interactions.user_ids.take(cold).to_pylist(), otherwise.tolist(), strict=True
    ):
        own = [row for row in by_user.get(user_id, []) if row != NO_ITEM]
        lists.append(list(dict.fromkeys([*own, *rest]))[:length])
    return np.array(lists, np.int32)


def _print_recognition(
    data: Service, train: Interactions, cold: Rows, stated: Sequence[Codes], n_titles: int
) -> None:
    """Print the shares of stated titles that were recognized, and of other titles found."""
    preferences = preferences_by_user(train, data.items, data.profiles)
    n_stated = n_right = n_wrong = 0
    user_ids = data.interactions.user_ids.take(cold).to_pylist()
    for user_id, rows in zip(user_ids, stated, strict=True):
        expected = set(rows.tolist())
        found = set(preferences[user_id].items) if user_id in preferences else set()
        n_stated += len(expected)
        n_right += len(found & expected)
        n_wrong += len(found - expected)
    for metric, n in (("titles_understood", n_right), ("titles_made_up", n_wrong)):
        print_figure(
            *("cold_start", metric, round(n / max(n_stated, 1), 4), "1"),
            subject=f"likes, {n_titles} title{'s' * (n_titles > 1)}",
            data=data.name,
            named=n_stated,
            said=n_titles,
        )
