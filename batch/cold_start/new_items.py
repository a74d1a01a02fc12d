"""New items: what the catalogue has and nobody has had yet gets a vector from its content.

    items with users    content ─► ridge ◄─ vectors, as ALS learned them
    items without       content ─► ridge ─► vectors

A vector is used as long as ridge makes it. That is the expected one, so its products are expected
scores: shrunk where content says little, and a new item enters a list only where its content speaks
for it. (Scaling it up to the usual length of its like lets noise into the lists.) It gets
no popularity, for it has none yet.
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

_HALF_KNOWN: Final = 10.0  # users of an item, whose vector then counts half


def with_new_items(interactions: Interactions, items: Mapping[str, Item]) -> Interactions:
    """Return the interactions with a row for each item that only its content tells of.

    They stay as they are where content cannot tell anything: where no item that has users
    has any, or no other item does.
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
        fitted: Of the interactions.
        interactions: With rows of items that have no users; without any, the model stays.
        items: By item_id.
        n_factors: Columns of the taste; what stands behind them is popularity, and stays 0.
        seed: Of the items that the regularization is chosen on.
    """
    n_users = users_of_items(interactions.weights)
    if n_users.all():
        return fitted
    listed = [items.get(name) for name in interactions.item_ids.to_pylist()]
    is_told = np.array([has_content(item) for item in listed])
    known, new = np.flatnonzero(is_told & (n_users > 0)), np.flatnonzero(n_users == 0)
    features = features_of(listed)
    counts = n_users[known] / (n_users[known] + _HALF_KNOWN)
    taste = fitted.item_factors[known, :n_factors].astype(np.float64)
    ridge = learn_ridge(features[known], taste, counts.astype(np.float64), seed)
    vectors = fitted.item_factors.copy()
    vectors[new, :n_factors] = ridge(features[new])
    about = {
        "new_items": len(new),
        "new_items_regularization": ridge.regularization,
        "new_items_explained": ridge.explained,
    }
    return replace(fitted, item_factors=vectors, about={**fitted.about, **about})
