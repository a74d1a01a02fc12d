"""Cold items: a tenth of those with content, all of whose interactions are hidden.

the others ─► ALS, ridge from content ─► vectors of the hidden ones
    ranked among themselves for the users who had one, and among all for users who lost another
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.cold_start.item_features import has_content
from batch.cold_start.new_items import with_expected_vectors
from batch.interactions.build import Interactions
from batch.models.als import Als
from batch.models.auto import Auto
from batch.models.factors import FittedFactors
from batch.models.holdout import Holdout, hold_out, without
from batch.models.popularity import users_of_items
from batch.topk import top_k
from benchmarks.cold_start.data import Data, Rows
from benchmarks.cold_start.judged import K, Lists, rows_of
from benchmarks.report import print_figure

_SHARE: Final = 0.1
_MOST_USERS: Final = 20_000
_N_FACTORS: Final = 64


def cold_items(data: Data, seed: int) -> list[Sequence[str]]:
    """Judge vectors from content: the hidden items among themselves, then among all."""
    random = np.random.default_rng(seed)
    weights = data.interactions.weights
    item_ids = data.interactions.item_ids.to_pylist()
    able = np.flatnonzero([has_content(data.items.get(item_id)) for item_id in item_ids])
    cold = np.sort(random.choice(able, int(_SHARE * len(able)), replace=False))
    held = hold_out(_without_items(weights, cold), None, _MOST_USERS, seed)
    train = dataclasses.replace(data.interactions, weights=held.weights)
    before = Auto(Als(seed=seed, n_held_out=20_000)).fit(train.weights)
    after = with_expected_vectors(before, train, data.items, _N_FACTORS, seed)
    for metric in ("new_items", "new_items_regularization", "new_items_explained"):
        print_figure("cold_start", metric, round(after.about[metric], 4), "1", data=data.name)
    return [
        *_among_themselves(data, train, after, cold, seed),
        *_among_all(data, before, after, held, cold, seed),
    ]


def _among_themselves(
    data: Data, train: Interactions, fitted: FittedFactors, cold: Rows, seed: int
) -> list[Sequence[str]]:
    """Rank the hidden items for users who had any of them, and are known by others."""
    random = np.random.default_rng(seed)
    theirs = data.interactions.weights[:, cold]
    is_judged = (np.diff(theirs.indptr) > 0) & (np.diff(train.weights.indptr) > 0)
    users = np.flatnonzero(is_judged)[:_MOST_USERS]
    test = theirs[users]
    nothing = without(test, np.arange(test.nnz))

    def ranked(users: npt.ArrayLike, items: npt.ArrayLike) -> Lists:
        user_factors, item_factors = np.array(users, np.float32), np.array(items, np.float32)
        return top_k(user_factors, item_factors, nothing, K).item_rows

    one = np.ones((len(users), 1))
    by_content = ranked(
        fitted.user_factors[users, :_N_FACTORS], fitted.item_factors[cold, :_N_FACTORS]
    )
    subjects = {
        "popularity of genres": ranked(one, _popularity_of_genres(data, train)[cold][:, None]),
        "random": ranked(one, random.random((len(cold), 1))),
        "content": by_content,
    }
    return rows_of(data.name, subjects, test, seed=seed, hidden="items, among themselves")


def _among_all(
    data: Data,
    before: FittedFactors,
    after: FittedFactors,
    held: Holdout,
    cold: Rows,
    seed: int,
) -> list[Sequence[str]]:
    """Rank all items for users who lost a known one; by it, and by the hidden ones they had too."""
    rows: list[Sequence[str]] = []
    lists = {
        name: model.top_k(K, user_rows=held.user_rows).item_rows
        for name, model in (("without", before), ("with content", after))
    }
    for judge, test in (("known", _known(data, held)), ("all", _all(data, held, cold))):
        subjects = {f"{name}, by {judge}": rows for name, rows in lists.items()}
        rows += rows_of(data.name, subjects, test, seed=seed, hidden=f"items, judged by {judge}")
    listed = np.isin(lists["with content"], cold).mean()
    print_figure("cold_start", "share_of_lists", round(float(listed), 4), "1", data=data.name)
    return rows


def _known(data: Data, held: Holdout) -> sp.csr_matrix:
    n_users, n_items = len(held.user_rows), data.interactions.weights.shape[1]
    place = (np.arange(n_users), held.item_rows)
    return sp.csr_matrix((np.ones(n_users, np.float32), place), shape=(n_users, n_items))


def _all(data: Data, held: Holdout, cold: Rows) -> sp.csr_matrix:
    weights = data.interactions.weights
    is_cold = np.zeros(weights.shape[1], np.float32)
    is_cold[cold] = 1
    new = sp.csr_matrix(weights[held.user_rows] @ sp.diags_array(is_cold))
    new.eliminate_zeros()
    return sp.csr_matrix(new + _known(data, held))


def _without_items(weights: sp.csr_matrix, item_rows: Rows) -> sp.csr_matrix:
    is_kept = ~np.isin(weights.indices, item_rows)
    before = np.concatenate(([0], np.cumsum(is_kept)))[weights.indptr]
    return sp.csr_matrix(
        (weights.data[is_kept], weights.indices[is_kept], before), shape=weights.shape
    )


def _popularity_of_genres(data: Data, train: Interactions) -> npt.NDArray[np.float64]:
    """Return (n_items,) the mean number of users of the known items of an item's genres."""
    n_users = users_of_items(train.weights)
    items = [data.items.get(item_id) for item_id in train.item_ids.to_pylist()]
    of_genre: dict[str, list[float]] = {}
    for item, n in zip(items, n_users.tolist(), strict=True):
        for genre in item.genres if item and n else ():
            of_genre.setdefault(genre, []).append(n)
    mean = {genre: float(np.mean(counts)) for genre, counts in of_genre.items()}
    return np.array(
        [np.mean([mean.get(g, 0.0) for g in item.genres or ("",)]) if item else 0 for item in items]
    )
