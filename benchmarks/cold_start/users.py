"""Cold users: a fifth of those with a profile, all of whose interactions are hidden.

the others ─► popular, segments, likes ─► lists for the hidden ones ─► judged by what they had
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.cold_start.popular import popular_items
from batch.cold_start.preference_lists import (
    PreferenceInputs,
    make_preference_lists,
    preferences_by_user,
)
from batch.cold_start.segments import segment_items
from batch.interactions.build import Interactions
from batch.models.als import Als
from batch.models.auto import Auto
from batch.models.factors import FittedFactors
from batch.models.holdout import without
from batch.records.profiles import Profile, segments
from batch.topk import NO_ITEM
from benchmarks.cold_start.data import Data, Rows, of_users
from benchmarks.cold_start.judged import K, Lists, rows_of
from benchmarks.report import print_figure

_SHARE: Final = 0.2
_SAID: Final = (1, 3)  # titles that a user without interactions names
_MIN_HAD: Final = 5  # items of a user who names some of them
_MORE: Final = 10  # items of a list besides, some of which are left out


def cold_users(data: Data, seed: int) -> list[Sequence[str]]:
    """Judge lists by segment against the popular one."""
    train, cold = _split(data, seed)
    popular, by_segment = _segment_lists(data, train, cold)
    test = data.interactions.weights[cold]
    raw = _by_counts(data, train, cold)
    subjects = {"popular": popular[:, :K], "segment by counts": raw, "segment": by_segment[:, :K]}
    return rows_of(data.name, subjects, test, seed=seed, hidden="users")


def likes_of_titles(data: Data, seed: int) -> list[Sequence[str]]:
    """Judge lists by likes: cold users name some of the films that they have had."""
    train, cold = _split(data, seed)
    cold = cold[np.diff(data.interactions.weights[cold].indptr) >= _MIN_HAD]
    theirs = data.interactions.weights[cold]
    popular, by_segment = _segment_lists(data, train, cold)
    random = np.random.default_rng(seed)
    order = random.random(theirs.nnz)
    entries = [np.arange(*theirs.indptr[row : row + 2]) for row in range(len(cold))]
    named = [some[np.argsort(order[some])[: max(_SAID)]] for some in entries]
    test = without(theirs, np.concatenate(named))
    seen = [set(theirs.indices[some].tolist()) for some in named]
    fitted = Auto(Als(seed=seed, n_held_out=20_000)).fit(train.weights)
    subjects = {
        "popular": _without_seen(popular, seen),
        "segment": _without_seen(by_segment, seen),
    }
    for n_said in _SAID:
        said = [theirs.indices[some[:n_said]] for some in named]
        told = data._replace(profiles=_saying(data, cold, said))
        lists = _liked(fitted, told, train, cold, by_segment)
        subjects[f"likes, {n_said} title{'s' * (n_said > 1)}"] = _without_seen(lists, seen)
        _print_understood(told, train, cold, said, n_said)
    return rows_of(data.name, subjects, test, seed=seed, hidden="users with likes")


def likes_of_genres(data: Data, seed: int) -> list[Sequence[str]]:
    """Judge lists by likes as the profiles have them."""
    train, cold = _split(data, seed)
    popular, by_segment = _segment_lists(data, train, cold)
    fitted = Auto(Als(seed=seed, n_held_out=20_000)).fit(train.weights)
    liked = _liked(fitted, data, train, cold, by_segment)
    lists = {"popular": popular, "segment": by_segment, "likes, genres": liked}
    subjects = {name: some[:, :K] for name, some in lists.items()}
    test = data.interactions.weights[cold]
    return rows_of(data.name, subjects, test, seed=seed, hidden="users with likes")


def _split(data: Data, seed: int) -> tuple[Interactions, Rows]:
    """Return the interactions of the users that stay, and the rows of the hidden ones."""
    user_ids = data.interactions.user_ids.to_pylist()
    known = np.flatnonzero([user_id in data.profiles for user_id in user_ids])
    random = np.random.default_rng(seed)
    cold = np.sort(random.choice(known, int(_SHARE * len(known)), replace=False))
    rest = np.setdiff1d(np.arange(len(user_ids)), cold)
    return of_users(data.interactions, rest), cold


def _segment_lists(data: Data, train: Interactions, cold: Rows) -> tuple[Lists, Lists]:
    """Return (n_cold, 30) popular and segment lists, as the server backs off."""
    n = K + _MORE
    popular = popular_items(train, n)
    lists = segment_items(train, data.profiles, n)
    return _served(data, cold, {}, popular), _served(data, cold, lists, popular)


def _served(data: Data, cold: Rows, lists: dict[str, list[int]], popular: list[int]) -> Lists:
    user_ids = data.interactions.user_ids.take(cold).to_pylist()
    backing = (segments(data.profiles[user_id]) for user_id in user_ids)
    return np.array(
        [next((lists[name] for name in names if name in lists), popular) for names in backing],
        np.int32,
    )


def _by_counts(data: Data, train: Interactions, cold: Rows) -> Lists:
    """Return the naive lists: the narrowest segment of 20 users, ranked by its own counts."""
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
    return _served(data, cold, lists, popular)


def _without_seen(lists: Lists, seen: Sequence[set[int]]) -> Lists:
    pairs = zip(lists.tolist(), seen, strict=True)
    return np.array([[row for row in some if row not in had][:K] for some, had in pairs], np.int32)


def _saying(data: Data, cold: Rows, said: Sequence[npt.NDArray[np.int32]]) -> dict[str, Profile]:
    """Return the hidden users' profiles, with some titles as what they like."""
    item_ids = data.interactions.item_ids.to_pylist()
    user_ids = data.interactions.user_ids.take(cold).to_pylist()
    titles = [[data.items[item_ids[row]].title or "" for row in some.tolist()] for some in said]
    return {
        user_id: dataclasses.replace(
            data.profiles[user_id], likes=f"I love {', '.join(some)}.", dislikes=None
        )
        for user_id, some in zip(user_ids, titles, strict=True)
    }


def _liked(
    fitted: FittedFactors, data: Data, train: Interactions, cold: Rows, otherwise: Lists
) -> Lists:
    """Return the lists by likes, of K and more; where somebody has none, `otherwise`."""
    unneeded: list[list[int]] = [[]] * len(data.interactions.item_ids)  # all items are known here
    length = otherwise.shape[1]
    inputs = PreferenceInputs(train, data.items, data.profiles, unneeded)
    found = make_preference_lists(inputs, fitted, Als().n_factors, length)
    by_user = dict(zip(found.user_ids, found.item_rows.tolist(), strict=True))
    lists = []
    for user_id, more in zip(
        data.interactions.user_ids.take(cold).to_pylist(), otherwise.tolist(), strict=True
    ):
        own = [row for row in by_user.get(user_id, []) if row != NO_ITEM]
        lists.append(list(dict.fromkeys([*own, *more]))[:length])
    return np.array(lists, np.int32)


def _print_understood(
    data: Data, train: Interactions, cold: Rows, said: Sequence[npt.NDArray[np.int32]], n_said: int
) -> None:
    """Print how many of the titles that were named were found, and how many others."""
    stated = preferences_by_user(train, data.items, data.profiles)
    n_named = n_right = n_wrong = 0
    for user_id, some in zip(data.interactions.user_ids.take(cold).to_pylist(), said, strict=True):
        meant = set(some.tolist())
        found = set(stated[user_id].items) if user_id in stated else set()
        n_named += len(meant)
        n_right += len(found & meant)
        n_wrong += len(found - meant)
    for metric, n in (("titles_understood", n_right), ("titles_made_up", n_wrong)):
        share = round(n / max(n_named, 1), 4)
        print_figure("cold_start", metric, share, "1", data=data.name, named=n_named, said=n_said)
