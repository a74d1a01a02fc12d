"""From what was learned to everything that the tables hold: lists, neighbours, fallbacks."""

from collections.abc import Collection
from typing import Final

from annoy import AnnoyIndex

from batch.cold_start.popular import popular_items
from batch.cold_start.preference_lists import PreferenceInputs, make_preference_lists
from batch.cold_start.segments import segment_items
from batch.inputs import RefreshInputs
from batch.interactions.build import Interactions
from batch.learn import Learned
from batch.ratings.model import RatingModel
from batch.rules.rules import Rules
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.tables.neighbours import build_index, similar_items
from batch.tables.write import SnapshotTables
from store.layout import LIST_LENGTH

_RESERVE_LENGTH: Final = 80  # items after the popular 20, which takedowns may need


def assemble_tables(
    learned: Learned,
    interactions: Interactions,
    given: RefreshInputs,
    ratings: RatingModel | None,
    taken_down: Collection[int],
    rules: Rules,
    settings: BatchSettings,
    stages: Stages,
) -> tuple[SnapshotTables, AnnoyIndex]:
    """Make every list that is served, and the index of what is not.

    Args:
        learned: Model and factors.
        interactions: What they were learned from.
        given: Catalogue and profiles.
        ratings: The rating model, if there are any ratings.
        taken_down: Item rows that must vanish.
        rules: What may be recommended to whom.
        settings: How many spares, how many trees.
        stages: To time each step.
    """
    hidden = rules.hidden_rows.union(taken_down)
    model, n_threads = learned.model, learned.n_threads
    with stages("top-k", total=len(interactions.user_ids), unit="user") as advance:
        lists = rules.lists(
            learned.fitted,
            model.item_factors,
            LIST_LENGTH + settings.n_spares,
            hidden=taken_down,
            n_threads=n_threads,
            on_users=advance,
        )
    with stages("index", total=len(interactions.item_ids), unit="item") as advance:
        index = build_index(
            model.item_factors,
            n_trees=settings.n_trees,
            seed=settings.seed,
            hidden=rules.hidden_rows,
        )
        left_out = {row: model.item_factors[row] for row in rules.hidden_rows}
        similar = similar_items(index, LIST_LENGTH, hidden, left_out=left_out, on_items=advance)
    with stages("likes"):
        liked = make_preference_lists(
            PreferenceInputs(
                interactions,
                given.catalogue.items,
                given.profiles.users,
                similar,
                hidden,
                rules.is_minor,
            ),
            learned.taste,
            settings.n_factors,
            LIST_LENGTH + settings.n_spares,
            n_threads=n_threads,
        )
    with stages("fallbacks"):
        popular = popular_items(interactions, LIST_LENGTH + _RESERVE_LENGTH, hidden)
        by_segment = segment_items(interactions, given.profiles.users, LIST_LENGTH, hidden)
    content = SnapshotTables(
        interactions=interactions,
        model=model,
        lists=lists,
        similar=similar,
        popular=popular[:LIST_LENGTH],
        reserve=popular[LIST_LENGTH:],
        by_segment=by_segment,
        items=given.catalogue.items,
        profiles=given.profiles.users,
        ratings=ratings,
        is_minor=rules.is_minor,
        liked=liked,
    )
    return content, index
