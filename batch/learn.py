"""Learning: a trial on the last day, then a model of everything that begins where it ended.

served factors ─► fit to users drawn by lot, without the last day ─► judged beside what is served
                        └─► a sweep over everything ─► the model
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from batch.arrays import Rows, Times
from batch.cold_start.new_items import with_expected_vectors
from batch.gate.settings import GateSettings
from batch.gate.trial import LastDay, Trial, judge_last_day, last_day
from batch.interactions.build import Interactions
from batch.models.als import als_factors
from batch.models.choose import recommender
from batch.models.drawn import UserSample, draw
from batch.models.factors import FittedFactors
from batch.models.least_squares import Model
from batch.models.protocol import Fitted
from batch.parent import DATA_UNTIL, seen_until, served_lists, start_from
from batch.records.catalogue import Item
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.threads import usable
from store.snapshot import Snapshot

# Interactions an item, on average, that a trial learns from. (ALS lost nothing of its NDCG@20
# on ML-1M with half of its 290, and 1 % with a third.)
_PER_ITEM: Final = 300
_FEW: Final = 2_000_000  # interactions: so many are learned from in seconds, and none is left out
_TASTE_MODELS: Final = ("auto", "als")
_CLOCK_SKEW: Final = timedelta(days=1)  # local times may be ahead of UTC


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned.

    Attributes:
        fitted: Makes the lists.
        taste: ALS, with popularity or without, whatever makes the lists.
        model: Its factors alone, for the index and the tables.
        trial: What the last day told, or why there was no trial.
        learned_from: What training began with: `generation 41`, or why from nothing.
        metrics: For the manifest.
        n_threads: That it took, and that the lists may take.
    """

    fitted: Fitted
    taste: FittedFactors
    model: Model
    trial: Trial | str
    learned_from: str
    metrics: dict[str, Any]
    n_threads: int


def known_times(at: Times | None, *, not_after: datetime) -> Times | None:
    """Return the times, those that have not come yet as 0, unknown."""
    if at is None:
        return None
    latest = int((not_after + _CLOCK_SKEW).timestamp())
    return np.where(at > latest, 0, at)


def learn(
    interactions: Interactions,
    at: Times | None,
    items: Mapping[str, Item],
    served: Snapshot | str,
    settings: BatchSettings,
    gate: GateSettings,
    stages: Stages,
) -> Learned:
    """Try the model on the last day, then train it on everything.

    Args:
        interactions: To learn from.
        at: (n_interactions,) seconds since 1970 beside their weights, 0 if unknown;
            None if all are.
        items: What the catalogue says, by item_id.
        served: What is served now, or why nothing of it can be used.
        settings: Which model, and its parameters.
        gate: How many users the trial wants.
        stages: To time each step.

    Raises:
        BatchError: The weights, or what was learned from them, are not finite.
    """
    n_threads = usable(settings.n_threads)
    tried = _try(interactions, at, served, settings, gate, n_threads, stages)
    fitted = tried.fitted
    if not tried.is_everything:
        with stages("train all"):
            everything = recommender(settings.model, settings, tried.start)
            fitted = everything.refit(
                fitted, tried.user_rows, interactions.weights, n_threads=n_threads
            )
    with stages("new items"):
        n_factors = settings.n_factors
        taste = _taste(fitted, tried.start, interactions, settings, n_threads)
        taste = with_expected_vectors(taste, interactions, items, n_factors, settings.seed)
        fitted = taste if settings.model in _TASTE_MODELS else fitted
    metrics = {name: round(value, 4) for name, value in fitted.about.items()}
    return Learned(
        fitted=fitted,
        taste=taste,
        model=als_factors(taste, n_factors),
        trial=tried.trial,
        learned_from=tried.learned_from,
        metrics=metrics | _of_times(at) | _of_trial(tried.trial),
        n_threads=n_threads,
    )


class _Tried(NamedTuple):
    """What the trial left.

    Attributes:
        fitted: To the part that it learned from.
        user_rows: (n_part,) that part's users.
        is_everything: Nothing was left out, so there is nothing more to learn.
        trial: What the last day told, or why there was no trial.
        start: Everybody's factors to begin with.
        learned_from: Whose these are, or why there are none.
    """

    fitted: Fitted
    user_rows: Rows
    is_everything: bool
    trial: Trial | str
    start: Model | None
    learned_from: str


def _try(
    interactions: Interactions,
    at: Times | None,
    served: Snapshot | str,
    settings: BatchSettings,
    gate: GateSettings,
    n_threads: int,
    stages: Stages,
) -> _Tried:
    """Learn from users drawn by lot, without the last day if it can be judged by."""
    weights = interactions.weights
    with stages("split"):
        most = max(_PER_ITEM * weights.shape[1], _FEW)
        drawn = draw(weights, at, most, settings.seed)
        until = None if isinstance(served, str) else seen_until(served)
        day = last_day(drawn.weights, drawn.at, until, gate, settings.seed)
        if isinstance(day, str) and settings.model not in _TASTE_MODELS:
            drawn = draw(weights, at, weights.nnz, settings.seed)  # to learn a part is of no use
        part, part_at = (
            (drawn.weights, drawn.at) if isinstance(day, str) else (day.split.train, day.split.at)
        )
    with stages("start"):
        start, learned_from = _start(interactions, served, day, settings)
    with stages("train", total=settings.iterations) as advance:
        fitted = recommender(settings.model, settings, drawn.only(start)).fit(
            part, at=part_at, n_threads=n_threads, on_step=lambda: advance(1)
        )
    with stages("trial"):
        trial = _judge(fitted, day, drawn, interactions, served, settings, n_threads)
    is_everything = drawn.is_everybody and isinstance(day, str)
    return _Tried(fitted, drawn.user_rows, is_everything, trial, start, learned_from)


def _start(
    interactions: Interactions, served: Snapshot | str, day: LastDay | str, settings: BatchSettings
) -> tuple[Model | None, str]:
    """Return the factors to begin with, and whose they are or why there are none."""
    if not settings.warm_start:
        return None, "nothing: [batch] warm_start is off"
    if isinstance(served, str):
        return None, f"nothing: {served}"
    if not isinstance(day, str) and not day.is_new_to_served:
        return None, "nothing: what is served has seen the day that the trial is judged by"
    start = start_from(
        served, interactions.user_ids, interactions.item_ids, settings.n_factors, settings.seed
    )
    if start is None:
        return None, f"nothing: generation {served.generation} has vectors of another length"
    return start, f"generation {served.generation}"


def _judge(
    fitted: Fitted,
    day: LastDay | str,
    drawn: UserSample,
    interactions: Interactions,
    served: Snapshot | str,
    settings: BatchSettings,
    n_threads: int,
) -> Trial | str:
    """Judge by the last day of the drawn users, or say again why there is none."""
    if isinstance(day, str):
        return day
    lists = None
    if not isinstance(served, str):
        user_ids = interactions.user_ids.take(drawn.user_rows[day.split.user_rows]).to_pylist()
        lists = served_lists(served, user_ids, interactions.item_ids)
    return judge_last_day(fitted, day, lists, n_threads=n_threads, seed=settings.seed)


def _taste(
    fitted: Fitted,
    start: Model | None,
    interactions: Interactions,
    settings: BatchSettings,
    n_threads: int,
) -> FittedFactors:
    """Return ALS, which index, tables and cold start want whatever makes the lists."""
    if settings.model not in _TASTE_MODELS:
        als = recommender("als", settings, start)
        fitted = als.fit(interactions.weights, n_threads=n_threads)
    assert isinstance(fitted, FittedFactors)
    return fitted


def _of_times(at: Times | None) -> dict[str, str]:
    if at is None or not (latest := int(at.max(initial=0))):
        return {}
    return {
        DATA_UNTIL: datetime.fromtimestamp(latest, UTC).isoformat()[: len("2026-01-07T23:59:59")]
    }


def _of_trial(trial: Trial | str) -> dict[str, float]:
    if isinstance(trial, str):
        return {}
    ndcg = {f"last_day_ndcg_{name}": round(found.mean, 4) for name, found in trial.ndcg.items()}
    return {"last_day_users": trial.n_judged, **ndcg}
