"""Figures of the vectors from outside: how many ids are known, what they cost, what they bring.

The ids of a file that belong to nothing are counted, and the refresh warns of them.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from batch.inputs import RefreshInputs
from batch.interactions.build import Interactions
from batch.models.popularity import users_of_items
from batch.records.vectors import OutsideVectors

_UNLEARNED: Final = "no id has interactions; give the vectors of known ids, too, to learn from"
_TOO_FEW: Final = "too few users have interactions and a vector; new users get no lists from them"
_NOT_BETTER: Final = (
    "lists from the vectors are not significantly better than segment and popular lists; not used"
)


class _IdCounts(NamedTuple):
    """Numbers of the ids in one file.

    Attributes:
        known: Ids with interactions.
        new: Ids without; of items only those that the catalogue lists.
        unknown: Ids of items without interactions that the catalogue does not list.
    """

    known: int
    new: int
    unknown: int


def vector_figures(
    inputs: RefreshInputs, interactions: Interactions, about: Mapping[str, float]
) -> dict[str, float]:
    """Return ids, costs and figures of use, for the manifest; nothing without vectors.

    Args:
        inputs: Vectors and catalogue.
        interactions: Interactions of all users and items.
        about: Figures of the lists that users' vectors gave.
    """
    figures = {name: round(value, 4) for name, value in about.items()}
    if inputs.item_vectors:
        figures |= _named("item_vectors", _item_counts(inputs, interactions), inputs.item_vectors)
    if inputs.user_vectors:
        counts = _user_counts(inputs.user_vectors, interactions)
        figures |= _named("user_vectors", counts, inputs.user_vectors)
    return figures


def vector_warnings(
    inputs: RefreshInputs, interactions: Interactions, metrics: Mapping[str, float]
) -> list[str]:
    """Return a sentence for each reason why vectors are not used.

    Args:
        inputs: Vectors and catalogue.
        interactions: Interactions of all users and items.
        metrics: Figures of the manifest, with those of `vector_figures`.
    """
    warnings = []
    if outside := inputs.item_vectors:
        counts = _item_counts(inputs, interactions)
        if counts.unknown:
            warnings.append(
                f"{outside.source.path}: {counts.unknown:,} of {sum(counts):,} ids have no "
                "interactions and are in no catalogue; they are not used"
            )
        if not counts.known:
            warnings.append(f"{outside.source.path}: {_UNLEARNED}")
    if outside := inputs.user_vectors:
        counts = _user_counts(outside, interactions)
        if counts.new and not metrics.get("user_vectors_weight"):
            is_tried = "user_vectors_weight" in metrics
            why = _NOT_BETTER if is_tried else _TOO_FEW if counts.known else _UNLEARNED
            warnings.append(f"{outside.source.path}: {why}")
    return warnings


def _item_counts(inputs: RefreshInputs, interactions: Interactions) -> _IdCounts:
    assert inputs.item_vectors is not None
    ids = inputs.item_vectors.ids
    is_used = pa.array(users_of_items(interactions.weights) > 0)
    known = pc.is_in(ids, interactions.item_ids.filter(is_used))
    listed = pc.is_in(ids, pa.array(list(inputs.catalogue.items), pa.string()))
    n_known = known.true_count
    n_new = pc.and_not(listed, known).true_count
    return _IdCounts(n_known, n_new, len(ids) - n_known - n_new)


def _user_counts(outside: OutsideVectors, interactions: Interactions) -> _IdCounts:
    n_known = pc.is_in(outside.ids, interactions.user_ids).true_count
    return _IdCounts(n_known, len(outside.ids) - n_known, 0)


def _named(name: str, counts: _IdCounts, outside: OutsideVectors) -> dict[str, float]:
    n_ids = {f"{name}_{kind}": n for kind, n in counts._asdict().items()}
    costs = {f"{name}_{unit}": round(cost, 6) for unit, cost in outside.costs.items()}
    return {**n_ids, **costs}
