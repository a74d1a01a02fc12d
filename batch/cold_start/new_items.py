"""New items: an item of the catalogue without interactions gets a vector from what it is.

    items with users    content, vectors from outside ─► ridge ◄─ vectors learned by ALS
    items without       content, vectors from outside ─► ridge ─► vectors

The features are the item's content, its vector from outside, or both: of these kinds the one
counts first that explains most of the held-out vectors of items that have all of them, content
where none explains any. An item that lacks some gets its vector by the best kind that it has.

The vectors keep the length that ridge regression gives them. They are expected vectors, so
their products are expected scores, shrunk where the features explain little. A new item enters
a list only where its features support it. (Scaling vectors up to the length of similar items'
adds noise to the lists.) A new item gets no popularity.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.arrays import Doubles, Flags, Rows
from batch.cold_start.item_features import features_of, has_content
from batch.cold_start.projection import learn_projection
from batch.cold_start.ridge import Features, Ridge, learn_ridge
from batch.interactions.build import Interactions, with_items
from batch.models.factors import FittedFactors
from batch.records.catalogue import Item
from batch.records.vectors import OutsideVectors

_HALF_WEIGHT_USERS: Final = 10.0  # users with whom an item's vector has half of the full weight


def with_new_items(
    interactions: Interactions,
    items: Mapping[str, Item],
    outside: OutsideVectors | None = None,
) -> Interactions:
    """Return the interactions with a row for each new item that has content or a vector.

    Of content and of vectors each counts only if an item with users has it, too. Without any
    such new item the interactions are returned unchanged.

    Args:
        interactions: Interactions of the known items.
        items: Catalogue entries by item_id.
        outside: Vectors from outside by item_id; None without any.
    """
    known = set(interactions.item_ids.to_pylist())
    with_content = {name for name, item in items.items() if has_content(item)}
    with_vector = set(outside.ids.to_pylist()) & items.keys() if outside else set()
    new: set[str] = set()
    for described in (with_content, with_vector):
        if not known.isdisjoint(described):
            new |= described - known
    return with_items(interactions, new) if new else interactions


def with_expected_vectors(
    fitted: FittedFactors,
    item_ids: pa.StringArray,
    n_users: Rows,
    items: Mapping[str, Item],
    seed: int,
    outside: OutsideVectors | None = None,
) -> FittedFactors:
    """Return the model with vectors for its items without users.

    Args:
        fitted: Model of the interactions.
        item_ids: (n_items,) ids of the model's items, new items included.
        n_users: (n_items,) users of each; where all have some, the model is returned unchanged.
        items: Catalogue entries by item_id.
        seed: Random seed of the rows held out to choose the regularization.
        outside: Vectors from outside by item_id; None without any.
    """
    if n_users.all():
        return fitted
    learned = fitted.item_factors.astype(np.float64)
    training = _Training(_feature_kinds(item_ids, items, outside, seed), n_users, learned, seed)
    compared = training.compare()
    expected = fitted.item_factors.copy()
    about: dict[str, float] = {
        f"new_items_explained_by_{name}": ridge.explained for name, ridge in compared.items()
    }
    for kind, ridge, new in training.ridges(compared):
        expected[new] = ridge(kind.features[new])
        about = _about(ridge) | about  # the figures of the first one, the best, stay
        about["new_items"] = about.get("new_items", 0) + len(new)
        if outside:
            about[f"new_items_by_{kind.name}"] = len(new)
    return replace(fitted, item_factors=expected, about={**fitted.about, **about})


@dataclass(frozen=True, slots=True)
class _FeatureKind:
    """One kind of features.

    Attributes:
        name: Name in the manifest.
        features: (n_items, n_features).
        is_given: (n_items,) whether an item has them.
    """

    name: str
    features: Features
    is_given: Flags


def _feature_kinds(
    item_ids: pa.StringArray,
    items: Mapping[str, Item],
    outside: OutsideVectors | None,
    seed: int,
) -> list[_FeatureKind]:
    """Return content, vectors from outside, and both, as far as items have them."""
    listed = [items.get(name) for name in item_ids.to_pylist()]
    sparse, has_any = features_of(listed), np.array([has_content(item) for item in listed])
    content = _FeatureKind("content", sparse, has_any)
    if outside is None:
        return [content]
    position = pc.fill_null(pc.index_in(item_ids, outside.ids), -1).to_numpy()
    has_vector = position >= 0
    if not has_vector.any():
        return [content]
    given = outside.vectors[position[has_vector]]
    projection = learn_projection(given, seed)
    dense = np.zeros((len(listed), projection.n_features))
    dense[has_vector] = projection(given)
    vectors = _FeatureKind("vectors", dense, has_vector)
    joined = sp.csr_matrix(sp.hstack((sparse, sp.csr_matrix(dense)), format="csr"))
    both = _FeatureKind("both", joined, has_any & has_vector)
    return [kind for kind in (content, vectors, both) if kind.is_given.any()]


@dataclass(frozen=True, slots=True)
class _Training:
    """The ridge regressions of each kind of features.

    Attributes:
        kinds: Kinds of features, the preferred one of equally good ones first.
        n_users: (n_items,) users of each item.
        learned: (n_items, n_factors) vectors that the model has learned.
        seed: Random seed of the rows held out.
    """

    kinds: Sequence[_FeatureKind]
    n_users: Rows
    learned: Doubles
    seed: int

    def compare(self) -> dict[str, Ridge]:
        """Return the ridge of each kind on the known items that have all kinds, best first."""
        has_all = np.logical_and.reduce([kind.is_given for kind in self.kinds])
        if len(self.kinds) == 1 or not (has_all & (self.n_users > 0)).any():
            return {}
        ridges = [(kind.name, self._learn(kind, has_all)) for kind in self.kinds]
        return dict(sorted(ridges, key=lambda entry: -max(entry[1].explained, 0.0)))

    def ridges(self, compared: Mapping[str, Ridge]) -> Iterator[tuple[_FeatureKind, Ridge, Rows]]:
        """Yield each kind, best first, its ridge, and the new items without a better kind.

        Args:
            compared: Result of `compare`; a kind that all of its items were compared on is
                not learned again.
        """
        best_first = list(compared) or [kind.name for kind in self.kinds]
        is_left = self.n_users == 0
        has_all = np.logical_and.reduce([kind.is_given for kind in self.kinds])
        for kind in sorted(self.kinds, key=lambda kind: best_first.index(kind.name)):
            is_new, is_known = is_left & kind.is_given, kind.is_given & (self.n_users > 0)
            if is_new.any() and is_known.any():
                is_same = kind.name in compared and bool(has_all[is_known].all())
                ridge = compared[kind.name] if is_same else self._learn(kind, kind.is_given)
                yield kind, ridge, np.flatnonzero(is_new)
                is_left &= ~is_new

    def _learn(self, kind: _FeatureKind, is_row: Flags) -> Ridge:
        known = np.flatnonzero(is_row & (self.n_users > 0))
        weights = self.n_users[known] / (self.n_users[known] + _HALF_WEIGHT_USERS)
        return learn_ridge(
            kind.features[known], self.learned[known], weights.astype(np.float64), self.seed
        )


def _about(ridge: Ridge) -> dict[str, float]:
    return {
        "new_items_regularization": ridge.regularization,
        "new_items_explained": ridge.explained,
    }
