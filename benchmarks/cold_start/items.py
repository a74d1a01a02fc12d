"""Cold items: a tenth of the items with content; all their interactions are hidden.

other items ─► ALS, ridge regression on content and vectors ─► vectors of the hidden items
    ranked among themselves, for users with a hidden one
    ranked among all items, for users with a held-out interaction
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats, Doubles, ItemRows, Rows
from batch.cold_start.item_features import has_content
from batch.cold_start.new_items import with_expected_vectors
from batch.interactions.build import Interactions
from batch.models.factors import FittedFactors
from batch.models.holdout import Holdout, hold_out, without
from batch.models.ials import Ials
from batch.models.popularity import users_of_items
from batch.records.catalogue import Item
from batch.records.vectors import OutsideVectors
from batch.topk import top_k
from benchmarks.cold_start.embedding import embed, item_text, outside_vectors
from benchmarks.cold_start.evaluated import K, evaluate_lists
from benchmarks.harness.data_sets import Service
from benchmarks.harness.report import print_figure

_SHARE: Final = 0.1
_MAX_USERS: Final = 20_000


def cold_items(
    data: Service, seed: int, tastes: OutsideVectors | None = None
) -> list[Sequence[str]]:
    """Evaluate vectors from content and from outside: the hidden items among themselves and all.

    Args:
        data: Interactions and catalogue.
        seed: Random seed of the hidden items.
        tastes: Vectors of a simulated service's tastes; None for other data.
    """
    random = np.random.default_rng(seed)
    weights = data.interactions.weights
    item_ids = data.interactions.item_ids.to_pylist()
    eligible = np.flatnonzero([has_content(data.items.get(item_id)) for item_id in item_ids])
    cold = np.sort(random.choice(eligible, int(_SHARE * len(eligible)), replace=False))
    held = hold_out(_without_items(weights, cold), None, _MAX_USERS, seed)
    train = dataclasses.replace(data.interactions, weights=held.weights)
    before = Ials(seed=seed).fit(train.weights)
    models = {}
    for name, (items, outside) in _descriptions(data, seed, tastes).items():
        models[name] = with_expected_vectors(
            before, train.item_ids, users_of_items(train.weights), items, seed, outside
        )
        for metric, value in models[name].about.items():
            if metric.startswith("new_items"):
                figure = ("cold_start", metric, round(value, 4), "1")
                print_figure(*figure, subject=name, data=data.name, seed=seed)
    return [
        *_among_themselves(data, train, models, cold, seed),
        *_among_all(data, {"without": before, **models}, held, cold, seed),
    ]


def _descriptions(
    data: Service, seed: int, tastes: OutsideVectors | None
) -> dict[str, tuple[Mapping[str, Item], OutsideVectors | None]]:
    """Return the catalogue and the vectors from outside that each model learns from.

    The vectors embed the texts of the catalogue: with content they bring little that is new,
    alone they stand for a service whose catalogue lists titles and nothing else.
    """
    texts = {item_id: item_text(item) for item_id, item in data.items.items()}
    embedded = outside_vectors("item", list(texts), embed(list(texts.values()), seed))
    bare = {
        item_id: dataclasses.replace(item, genres=(), overview=None, year=None, language=None)
        for item_id, item in data.items.items()
    }
    found: dict[str, tuple[Mapping[str, Item], OutsideVectors | None]] = {
        "content": (data.items, None),
        "vectors": (bare, embedded),
        "content, vectors": (data.items, embedded),
    }
    if tastes:
        found["content, taste vectors"] = (data.items, tastes)
    return found


def _among_themselves(
    data: Service,
    train: Interactions,
    models: Mapping[str, FittedFactors],
    cold: Rows,
    seed: int,
) -> list[Sequence[str]]:
    """Rank the hidden items for users with hidden and other interactions."""
    random = np.random.default_rng(seed)
    hidden = data.interactions.weights[:, cold]
    is_evaluated = (np.diff(hidden.indptr) > 0) & (np.diff(train.weights.indptr) > 0)
    users = np.flatnonzero(is_evaluated)[:_MAX_USERS]
    test = hidden[users]
    nothing_seen = without(test, np.arange(test.nnz))

    def ranked(user_factors: AnyFloats, item_factors: AnyFloats) -> ItemRows:
        found = top_k(
            np.array(user_factors, np.float32), np.array(item_factors, np.float32), nothing_seen, K
        )
        return found.item_rows

    one = np.ones((len(users), 1))
    subjects = {
        "popularity of genres": ranked(one, _popularity_of_genres(data, train)[cold][:, None]),
        "random": ranked(one, random.random((len(cold), 1))),
    }
    for name, fitted in models.items():
        subjects[name] = ranked(fitted.user_factors[users], fitted.item_factors[cold])
    return evaluate_lists(data.name, subjects, test, seed=seed, hidden="items, among themselves")


def _among_all(
    data: Service,
    models: Mapping[str, FittedFactors],
    held: Holdout,
    cold: Rows,
    seed: int,
) -> list[Sequence[str]]:
    """Rank all items; the test set is the held-out interaction, then all hidden ones too."""
    rows: list[Sequence[str]] = []
    lists = {
        name: model.top_k(K, user_rows=held.user_rows).item_rows for name, model in models.items()
    }
    for kind, test in (("known", _held_out(data, held)), ("all", _all_hidden(data, held, cold))):
        subjects = {f"{name}, by {kind}": item_rows for name, item_rows in lists.items()}
        rows += evaluate_lists(
            data.name, subjects, test, seed=seed, hidden=f"items, judged by {kind}"
        )
    for name, item_rows in lists.items():
        share = round(float(np.isin(item_rows, cold).mean()), 4)
        figure = ("cold_start", "share_of_lists", share, "1")
        print_figure(*figure, subject=name, data=data.name, seed=seed)
    return rows


def _held_out(data: Service, held: Holdout) -> sp.csr_matrix:
    n_users, n_items = len(held.user_rows), data.interactions.weights.shape[1]
    cells = (np.arange(n_users), held.item_rows)
    return sp.csr_matrix((np.ones(n_users, np.float32), cells), shape=(n_users, n_items))


def _all_hidden(data: Service, held: Holdout, cold: Rows) -> sp.csr_matrix:
    weights = data.interactions.weights
    is_cold = np.zeros(weights.shape[1], np.float32)
    is_cold[cold] = 1
    new = sp.csr_matrix(weights[held.user_rows] @ sp.diags_array(is_cold))
    new.eliminate_zeros()
    return sp.csr_matrix(new + _held_out(data, held))


def _without_items(weights: sp.csr_matrix, item_rows: Rows) -> sp.csr_matrix:
    is_visible = ~np.isin(weights.indices, item_rows)
    indptr = np.concatenate(([0], np.cumsum(is_visible)))[weights.indptr]
    return sp.csr_matrix(
        (weights.data[is_visible], weights.indices[is_visible], indptr), shape=weights.shape
    )


def _popularity_of_genres(data: Service, train: Interactions) -> Doubles:
    """Return (n_items,) the mean number of users of the visible items of an item's genres."""
    n_users = users_of_items(train.weights)
    items = [data.items.get(item_id) for item_id in train.item_ids.to_pylist()]
    counts_by_genre: dict[str, list[float]] = {}
    for item, n in zip(items, n_users.tolist(), strict=True):
        for genre in item.genres if item and n else ():
            counts_by_genre.setdefault(genre, []).append(n)
    mean = {genre: float(np.mean(counts)) for genre, counts in counts_by_genre.items()}
    return np.array(
        [np.mean([mean.get(g, 0.0) for g in item.genres or ("",)]) if item else 0 for item in items]
    )
