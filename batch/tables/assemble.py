"""Assembly: from the trained models to the lists, neighbours and fallbacks of the tables.

trusted interactions ─► what all users share: second stage, index, fallbacks, likes
all interactions ─────► every user's list ─► tables
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from annoy import AnnoyIndex

from batch.cold_start.popular import popular_items
from batch.cold_start.preference_lists import (
    PreferenceInputs,
    PreferenceLists,
    make_preference_lists,
)
from batch.cold_start.segments import segment_items
from batch.learn import Learned
from batch.models.choose import auto, recommender
from batch.models.protocol import Ranker
from batch.parent import has_chosen_second_stage
from batch.prepare import Prepared
from batch.ratings.model import RatingModel
from batch.second_stage.choice import StageDecision, StageInputs, choose
from batch.second_stage.metadata import Metadata
from batch.served.files import ServedModel
from batch.served.make import served_model
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.tables.neighbours import build_index, similar_items
from batch.tables.write import SnapshotTables
from batch.topk import TopK
from batch.unavailable import Unavailable
from store.layout import LIST_LENGTH
from store.snapshot import Snapshot

_RESERVE_LENGTH: Final = 80  # items behind the popular 20, which takedowns may need


@dataclass(frozen=True, slots=True)
class SharedTables:
    """What depends on the interactions of all users together.

    Attributes:
        ranker: What makes the lists: the model of them, or a second stage on top of it.
        stage: Decision on the second stage.
        index: Annoy index of the items.
        similar: Neighbours of each item row.
        popular: Popular item rows, those for takedowns behind them.
        by_segment: Item rows of each segment.
        liked: Lists of users without interactions.
    """

    ranker: Ranker
    stage: StageDecision
    index: AnnoyIndex
    similar: list[list[int]]
    popular: list[int]
    by_segment: dict[str, list[int]]
    liked: PreferenceLists


def assemble_shared(
    prepared: Prepared,
    learned: Learned,
    parent: Snapshot | Unavailable,
    settings: BatchSettings,
    stages: Stages,
) -> SharedTables:
    """Make the index, the neighbours and the lists of users without interactions.

    Args:
        prepared: Trusted interactions, catalogue, profiles and rules.
        learned: Trained models.
        parent: Snapshot that is served now.
        settings: Settings of the batch.
        stages: Timer of the stages.

    Raises:
        SecondStageError: The second stage is on, and LightGBM or data to train on is missing.
    """
    assembly = _Assembly(prepared, learned, settings)
    interactions, inputs = prepared.interactions, prepared.inputs
    with stages("second stage"):
        stage = assembly.second_stage(parent)
    with stages("index", total=len(interactions.item_ids), unit="item") as advance:
        index = assembly.index()
        similar = assembly.similar(index, advance)
    with stages("fallbacks"):
        popular = popular_items(interactions, LIST_LENGTH + _RESERVE_LENGTH, prepared.hidden)
        by_segment = segment_items(
            interactions, inputs.profiles.users, LIST_LENGTH, prepared.hidden
        )
    with stages("likes"):
        liked = assembly.liked(similar, by_segment)
    return SharedTables(stage.ranker, stage, index, similar, popular, by_segment, liked)


def assemble_tables(
    prepared: Prepared,
    learned: Learned,
    shared: SharedTables,
    ratings: RatingModel | None,
    settings: BatchSettings,
    stages: Stages,
) -> SnapshotTables:
    """Make every user's list, and put all tables together.

    Args:
        prepared: All interactions, catalogue, profiles and rules.
        learned: Trained models, with all interactions of every user.
        shared: What all users share.
        ratings: Rating model; None without ratings.
        settings: Settings of the batch.
        stages: Timer of the stages.
    """
    assembly = _Assembly(prepared, learned, settings)
    interactions, inputs = prepared.interactions, prepared.inputs
    with stages("top-k", total=len(interactions.user_ids), unit="user") as advance:
        lists = assembly.lists(shared.ranker, advance)
    with stages("served model"):
        served = assembly.served(shared.ranker)
    return SnapshotTables(
        interactions=interactions,
        factors=learned.factors,
        lists=lists,
        similar=shared.similar,
        popular=shared.popular[:LIST_LENGTH],
        reserve=shared.popular[LIST_LENGTH:],
        by_segment=shared.by_segment,
        items=inputs.catalogue.items,
        profiles=inputs.profiles.users,
        ratings=ratings,
        is_minor=prepared.rules.is_minor,
        liked=shared.liked,
        served=served,
    )


@dataclass(frozen=True, slots=True)
class _Assembly:
    """The steps of one assembly.

    Attributes:
        prepared: Interactions, catalogue, profiles and rules.
        learned: Trained models.
        settings: Number of spares and of trees.
    """

    prepared: Prepared
    learned: Learned
    settings: BatchSettings

    @property
    def n_kept(self) -> int:
        """Number of items kept for each user: the list, and the spares behind it."""
        return LIST_LENGTH + self.settings.n_spares

    def stage_inputs(self) -> StageInputs:
        """Return what a second stage is made from."""
        interactions, inputs = self.prepared.interactions, self.prepared.inputs
        settings, n_threads = self.settings, self.learned.n_threads
        choice = self.learned.choice
        model = auto(settings, choice=choice) if choice else recommender(settings.model, settings)
        return StageInputs(
            interactions.weights,
            self.prepared.data.at,
            Metadata.of(interactions, inputs.catalogue.items, inputs.profiles.users),
            lambda weights, at: model.fit(weights, at=at, n_threads=n_threads),
            settings.seed,
            n_threads,
        )

    def second_stage(self, parent: Snapshot | Unavailable) -> StageDecision:
        """Return what ranks the items of the lists."""
        return choose(
            self.learned.ranker,
            self.stage_inputs,
            self.settings.second_stage_mode,
            is_served=has_chosen_second_stage(parent),
        )

    def lists(self, ranker: Ranker, on_users: Callable[[int], object]) -> TopK:
        """Return the list and the spares of each user."""
        return self.prepared.rules.lists(
            ranker,
            self.learned.factors.item_factors,
            self.n_kept,
            hidden=self.prepared.taken_down_rows,
            n_threads=self.learned.n_threads,
            on_users=on_users,
        )

    def index(self) -> AnnoyIndex:
        """Return the index of all items but those that a rule hides."""
        return build_index(
            self.learned.factors.item_factors,
            n_trees=self.settings.n_trees,
            seed=self.settings.seed,
            hidden=self.prepared.rules.hidden_rows,
        )

    def similar(self, index: AnnoyIndex, on_items: Callable[[int], object]) -> list[list[int]]:
        """Return the neighbours of each item row."""
        vectors = self.learned.factors.item_factors
        left_out = {row: vectors[row] for row in self.prepared.rules.hidden_rows}
        return similar_items(
            index, LIST_LENGTH, self.prepared.hidden, left_out=left_out, on_items=on_items
        )

    def served(self, ranker: Ranker) -> ServedModel | Unavailable:
        """Return the model of the lists and the users' histories, for folding in."""
        prepared = self.prepared
        return served_model(
            ranker,
            prepared.interactions,
            prepared.data.at,
            self.settings,
            self.learned.n_threads,
        )

    def liked(self, similar: list[list[int]], by_segment: dict[str, list[int]]) -> PreferenceLists:
        """Return the lists of users without interactions: by stated preferences, by vectors."""
        prepared, inputs = self.prepared, self.prepared.inputs
        return make_preference_lists(
            PreferenceInputs(
                prepared.interactions,
                inputs.catalogue.items,
                inputs.profiles.users,
                similar,
                prepared.hidden,
                prepared.rules.is_minor,
                inputs.user_vectors,
                by_segment,
                self.settings.preference_lists,
            ),
            self.learned.vectors,
            self.n_kept,
            n_threads=self.learned.n_threads,
        )
