"""Preparation: events become interactions, and the rules are made for their rows.

inputs ─► interactions, new items included ─► rules, times, takedowns ─► `Prepared`
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from batch.cold_start.new_items import with_new_items
from batch.errors import InputError
from batch.inputs import RefreshInputs
from batch.interactions.aggregate import Runtimes
from batch.interactions.build import Interactions
from batch.learn import TrainingData, known_times
from batch.options import RefreshOptions
from batch.rules.rules import Rules
from batch.settings import BatchSettings
from store.takedown import takedowns


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data and rules of a refresh, before training.

    Attributes:
        inputs: Catalogue, profiles and sources; without the events.
        data: Data to train on.
        rules: Rules of what may be recommended to whom.
        taken_down: Ids of the items that are taken down, sorted.
        taken_down_rows: Item rows of those among them that have one.
    """

    inputs: RefreshInputs
    data: TrainingData
    rules: Rules
    taken_down: list[str]
    taken_down_rows: frozenset[int]

    def with_interactions(self, interactions: Interactions, not_after: datetime) -> "Prepared":
        """Return the same with other interactions of the same users and items.

        Args:
            interactions: The interactions.
            not_after: Time after which an event has a wrong clock.
        """
        at = known_times(interactions.began_at, not_after=not_after)
        return replace(self, data=replace(self.data, interactions=interactions, at=at))

    @property
    def interactions(self) -> Interactions:
        """Interactions of all users and items."""
        return self.data.interactions

    @property
    def hidden(self) -> frozenset[int]:
        """Item rows that are in no list: hidden by a rule, or taken down."""
        return self.rules.hidden_rows | self.taken_down_rows


# From inputs, runtimes by item id and settings to interactions
Build = Callable[[RefreshInputs, Runtimes | None, BatchSettings], Interactions]


def interactions_of(inputs: RefreshInputs, settings: BatchSettings, build: Build) -> Interactions:
    """Return the interactions of the events, with rows for new items if these are on.

    Args:
        inputs: Events and catalogue.
        settings: Settings of the batch.
        build: Function that makes the interactions.
    """
    items = inputs.catalogue.items if settings.catalogue else None
    runtimes = {name: item.runtime for name, item in items.items()} if items else None
    interactions = build(inputs, runtimes, settings)
    if settings.fold_in == "off":
        interactions = replace(interactions, evidence=None)  # frees its memory
    if items and settings.new_items == "content":
        return with_new_items(interactions, items, inputs.item_vectors)
    return interactions


def prepare(
    store: Path,
    inputs: RefreshInputs,
    interactions: Interactions,
    options: RefreshOptions,
    began_at: datetime,
) -> Prepared:
    """Make the rules, and look up what is taken down.

    Args:
        store: Directory of the store, where takedowns are recorded.
        inputs: Catalogue and profiles.
        interactions: Interactions of the events.
        options: Options of the refresh.
        began_at: Time when the refresh began, with its zone.

    Raises:
        InputError: The deny list cannot be read, no item may be recommended, or there are no
            spares to explore.
    """
    items = inputs.catalogue.items
    if options.rules.explore and not options.batch.n_spares:
        remedy = "set [batch] n_spares above 0, or explore = 0"
        raise InputError("[rules] explore", "draws from the spares, but n_spares is 0", remedy)
    at = known_times(interactions.began_at, not_after=began_at)
    data = TrainingData(interactions, at, items, inputs.item_vectors, inputs.profiles.users)
    rules = Rules.of(
        options.rules,
        interactions,
        items,
        inputs.profiles.users,
        at=options.at or began_at,
        salt=_salt(data, options.batch.seed),
    )
    taken_down = sorted(takedowns(store))
    return Prepared(inputs, data, rules, taken_down, _rows_of(interactions, taken_down))


def _salt(data: TrainingData, seed: int) -> str:
    """Return a hash of seed and data: new data get new draws, the same data the same ones."""
    latest = 0 if data.at is None else int(data.at.max(initial=0))
    weights = data.interactions.weights
    described = f"{seed} {latest} {weights.shape} {weights.nnz}"
    return blake2b(described.encode(), digest_size=8).hexdigest()


def _rows_of(interactions: Interactions, item_ids: Collection[str]) -> frozenset[int]:
    rows = pc.index_in(pa.array(item_ids, pa.string()), interactions.item_ids)
    return frozenset(rows.drop_null().to_pylist())
