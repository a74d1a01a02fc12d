"""New items: an item of the catalogue without interactions gets a vector from its content.

    items with users    content ─► ridge ◄─ vectors learned by ALS
    items without       content ─► ridge ─► vectors

The vectors keep the length that ridge regression gives them. They are expected vectors, so
their products are expected scores, shrunk where content explains little. A new item enters
a list only where its content supports it. (Scaling vectors up to the length of similar items'
adds noise to the lists.) A new item gets no popularity.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from batch.cold_start.item_features import features_of, has_content
from batch.cold_start.ridge import learn_ridge
from batch.interactions.build import Interactions, with_items
from batch.models.factors import FittedFactors
from batch.models.popularity import users_of_items
from batch.records.catalogue import Item

_HALF_WEIGHT_USERS: Final = 10.0  # users with whom an item's vector has half of the full weight


def with_new_items(interactions: Interactions, items: Mapping[str, Item]) -> Interactions:
    """Return the interactions with a row for each new item that has content.

    They are returned unchanged where no item with users has content, or no new item has.
    """
    known = set(interactions.item_ids.to_pylist())
    if not any(has_content(items.get(name)) for name in known):
        return interactions
    new = {name for name, item in items.items() if name not in known and has_content(item)}
    return with_items(interactions, new) if new else interactions


def with_expected_vectors(
    fitted: FittedFactors,
    interactions: Interactions,
    items: Mapping[str, Item],
    n_factors: int,
    seed: int,
) -> FittedFactors:
    """Return the model with vectors for its items without users.

    Args:
        fitted: Model of the interactions.
        interactions: Interactions with a row for each new item; without new items the model
            is returned unchanged.
        items: Catalogue entries by item_id.
        n_factors: Number of ALS factors; a popularity column behind them stays 0.
        seed: Random seed of the rows held out to choose the regularization.
    """
    n_users = users_of_items(interactions.weights)
    if n_users.all():
        return fitted
    listed = [items.get(name) for name in interactions.item_ids.to_pylist()]
    is_described = np.array([has_content(item) for item in listed])
    known, new = np.flatnonzero(is_described & (n_users > 0)), np.flatnonzero(n_users == 0)
    features = features_of(listed)
    row_weights = n_users[known] / (n_users[known] + _HALF_WEIGHT_USERS)
    known_vectors = fitted.item_factors[known, :n_factors].astype(np.float64)
    ridge = learn_ridge(features[known], known_vectors, row_weights.astype(np.float64), seed)
    vectors = fitted.item_factors.copy()
    vectors[new, :n_factors] = ridge(features[new])
    about = {
        "new_items": len(new),
        "new_items_regularization": ridge.regularization,
        "new_items_explained": ridge.explained,
    }
    return replace(fitted, item_factors=vectors, about={**fitted.about, **about})
