"""Lists of every subject for the same users: the ceiling and what stands below and above it.

popular            the items that all users watch most, by the world's true popularity
segment            the segment's list, the fallback of a user without a list
MODEL              a model of `[batch] model`, trained on the history by its own code
ceiling            an oracle with the world's model and the user's views
ceiling, profile   the same with the user's age and gender, too
best               the true taste

The prior of the ceiling is that of all users: the mean of the shapes of their groups.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from batch.arrays import AnyFloats, Flags, Integers, Rows
from batch.cold_start.segments import segment_items
from batch.models.choose import recommender
from batch.models.protocol import Fitted
from batch.records.profiles import segments
from batch.settings import BatchSettings
from benchmarks.ceiling.history import EvaluatedUsers, History
from benchmarks.ceiling.posterior import expected_relevance, posterior_tastes
from benchmarks.simulator.live.audience.seen import Seen
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.fitted import TASTE_CONCENTRATION
from benchmarks.simulator.world.ranking import best_of
from benchmarks.simulator.world.truth import LIST_LENGTH, Truth
from benchmarks.simulator.world.users import groups_of, taste_shapes

POPULAR: Final = "popular"
SEGMENT: Final = "segment"
CEILING: Final = "ceiling"
PROFILE: Final = "ceiling, profile"
BEST: Final = "best"


class Subjects:
    """Makes the lists of one history's evaluated users.

    Args:
        history: The history.
        models: Names of models to train on it.
        settings: Parameters of the models.
    """

    def __init__(self, history: History, models: Sequence[str], settings: BatchSettings) -> None:
        self._history = history
        self._truth = Truth(history.world)
        self._models = [(name, _fit(name, history, settings)) for name in models]
        n_ranked = LIST_LENGTH + max(history.evaluated)  # what is watched already is left out
        rows = segment_items(history.interactions, history.profiles, n_ranked)
        self._segments = {name: np.array(items) for name, items in rows.items()}

    def lists(self, users: EvaluatedUsers, seen: Seen) -> Iterator[tuple[str, Integers]]:
        """Yield each subject's name and its (n, LIST_LENGTH) lists, without watched items."""
        world, is_seen = self._history.world, seen.matrix(users.user_rows)
        popularity = np.broadcast_to(world.items.popularity, is_seen.shape)

        def ranked(scores: AnyFloats) -> Rows:
            return best_of(np.where(is_seen, -1, scores), LIST_LENGTH)

        yield POPULAR, ranked(popularity)
        yield SEGMENT, self._segment_lists(users.user_rows, is_seen)
        for name, fitted in self._models:
            yield name, fitted.top_k(LIST_LENGTH, user_rows=users.user_rows).item_rows
        group = groups_of(world.users)
        by_group = taste_shapes(group, world.common_tastes, world.seed)[group[users.user_rows]]
        of_all = np.tile(TASTE_CONCENTRATION * world.common_tastes, (len(by_group), 1))
        for name, shapes in ((CEILING, of_all), (PROFILE, by_group)):
            rng = generator(world.seed, name, users.items.shape[1])
            tastes = posterior_tastes(world, users, shapes, rng)
            yield name, ranked(expected_relevance(world, tastes, world.n_days))
        yield BEST, ranked(self._truth.watch_chances(users.user_rows, world.n_days))

    def _segment_lists(self, user_rows: Rows, is_seen: Flags) -> Rows:
        """Return the lists that the server falls back on, continued by the popular items."""
        ids = self._history.world.users.ids[user_rows].tolist()
        popularity = self._history.world.items.popularity
        scores, no_items = np.tile(popularity, (len(ids), 1)), np.empty(0, np.int64)
        for row, user_id in enumerate(ids):
            names = segments(self._history.profiles[str(user_id)])
            name = next((name for name in names if name in self._segments), "")
            items = self._segments.get(name, no_items)
            scores[row, items] = 1 + np.arange(len(items), 0, -1)
        return best_of(np.where(is_seen, -1, scores), LIST_LENGTH)


def _fit(name: str, history: History, settings: BatchSettings) -> Fitted:
    interactions = history.interactions
    return recommender(name, settings).fit(
        interactions.weights, at=interactions.began_at, n_threads=settings.n_threads
    )
