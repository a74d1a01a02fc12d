"""Training: a trial on the last day, then a model of everything that starts where it ended.

parent's factors ─► fit to a sample of users, without the last day ─► evaluate beside the parent
                        └─► one sweep over everything ─► the model

Where a second stage makes the lists, the last day is evaluated again, with it: see `with_stage`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.cold_start.new_items import with_expected_vectors
from batch.evaluation.groups import ALL, groups_of
from batch.gate.learning_curve import LearningCurve
from batch.gate.settings import GateSettings
from batch.gate.trial import LastDay, Trial, TrialModel, last_day
from batch.interactions.build import Interactions
from batch.models.all_users import AllUsers, train_on_all
from batch.models.choice import Choice
from batch.models.choose import VECTOR_MODELS, auto, factor_model, recommender
from batch.models.factors import Factors, FittedFactors
from batch.models.families import Extent
from batch.models.fitted_auto import FittedAuto
from batch.models.popularity import users_of_items
from batch.models.protocol import Fitted, Recommender
from batch.models.sweep import Sweep
from batch.parent import (
    DATA_UNTIL,
    initial_factors,
    seen_until,
    served_choice,
    served_lists,
)
from batch.records.catalogue import Item
from batch.records.profiles import Profile
from batch.records.vectors import OutsideVectors
from batch.sampling import UserSample, sample
from batch.second_stage.choice import EarlierStage
from batch.settings import BatchSettings
from batch.stages import Stages
from batch.threads import usable
from batch.unavailable import Unavailable
from store.snapshot import Snapshot

# Interactions per item, on average, that a trial is trained on. (ALS lost nothing of its
# NDCG@20 on ML-1M with half of its 290, and 1 % with a third.)
_TRIAL_INTERACTIONS_PER_ITEM: Final = 300
_MIN_TRIAL_INTERACTIONS: Final = 2_000_000  # trained on in seconds: no sample is taken of fewer
_AUTO: Final = "auto"
_DAY_SECONDS: Final = 86_400
_CLOCK_SKEW: Final = timedelta(days=1)  # lead that local times may have over UTC


def trial_interactions(n_items: int) -> int:
    """Return the maximum interactions in a sample of users that a trial is trained on."""
    return max(_TRIAL_INTERACTIONS_PER_ITEM * n_items, _MIN_TRIAL_INTERACTIONS)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Data that a refresh is trained on.

    Attributes:
        interactions: Weights of all users and items.
        at: (n_interactions,) seconds since 1970 beside the weights, 0 if unknown; None if
            all are unknown.
        items: Catalogue entries by item_id.
        item_vectors: Vectors of items from outside; None without any.
        profiles: Profiles by user_id, for the quality by group.
        all_users: All users, where the interactions are those of a sample; None: they are all.
    """

    interactions: Interactions
    at: Times | None
    items: Mapping[str, Item]
    item_vectors: OutsideVectors | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    all_users: AllUsers | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """The trained models of a refresh.

    Attributes:
        ranker: Model that makes the lists.
        vectors: Model of factors, for the index, the tables and users without interactions.
        choice: Choice of `auto`; None for other models.
        trial: Result of the trial on the last day.
        warm_start: Origin of the initial factors, or `none: ` and the reason.
        metrics: Figures for the manifest.
        n_threads: Number of threads that training used, and that the lists may use.
        trial_model: Model of the trial; None without a trial, or where no second stage can
            make the lists.
    """

    ranker: Fitted
    vectors: FittedFactors
    choice: Choice | None
    trial: Trial | Unavailable
    warm_start: str
    metrics: dict[str, Any]
    n_threads: int
    trial_model: TrialModel | None = None

    @property
    def factors(self) -> Factors:
        """Factors for the index and the tables."""
        return self.vectors.factors

    def with_stage(self, stage: EarlierStage | None) -> "Learned":
        """Return the models with the trial of what makes the lists, and free the trial's model.

        Args:
            stage: The second stage of a period before; None if the model makes the lists.
        """
        tried = self.trial_model
        if stage is None or tried is None:
            return replace(self, trial_model=None)
        ranker = stage.on(tried.fitted, tried.day.split, tried.user_rows)
        return replace(self, trial=tried.evaluate(ranker, "second stage"), trial_model=None)


def known_times(at: Times | None, *, not_after: datetime) -> Times | None:
    """Return the times, with those in the future as 0, unknown."""
    if at is None:
        return None
    latest = int((not_after + _CLOCK_SKEW).timestamp())
    return at if at.max(initial=0) <= latest else np.where(at > latest, 0, at)


def learn(
    data: TrainingData,
    parent: Snapshot | Unavailable,
    settings: BatchSettings,
    gate: GateSettings,
    stages: Stages,
    *,
    max_trial_interactions: int | None = None,
) -> Learned:
    """Evaluate the model on the last day, then train it on everything.

    Args:
        data: Data to train on.
        parent: Snapshot that is served now.
        settings: Model and its parameters.
        gate: Gate settings with the limits of the number of evaluated users.
        stages: Timer of the stages.
        max_trial_interactions: Maximum interactions in the trial's sample of users; None:
            300 per item, at least 2 million.

    Raises:
        BatchError: The weights or the trained factors are not finite.
    """
    training = _Training(data, parent, settings, gate, usable(settings.n_threads))
    with stages("split"):
        users, day = training.split(max_trial_interactions)
    with stages("choose", unit="model") as advance:
        training = replace(training, choice=training.choose(users, day, lambda: advance(1)))
    with stages("start"):
        start = training.start(day)
        training = replace(training, factors=None if isinstance(start, Unavailable) else start)
    curve = LearningCurve(day, settings.seed, training.n_threads)
    with stages("train", unit="step") as advance:
        ranker = training.fit(users, day, curve, lambda: advance(1))
    with stages("trial"):
        trial, trial_model = training.trial(ranker, users, day)
    if not (users.is_complete and isinstance(day, Unavailable)):
        with stages("train all"):
            ranker = training.refit(ranker, users)
    n_users_of: Rows | None = None
    if data.all_users and settings.spark_sweeps:
        with stages("sweeps"):
            ranker, n_users_of = training.train_on_all(ranker, data.all_users)
    with stages("new items"):
        ranker, vectors = training.with_new_items(ranker, n_users_of)
    metrics = {name: round(value, 4) for name, value in ranker.about.items()}
    return Learned(
        ranker=ranker,
        vectors=vectors,
        choice=training.choice,
        trial=trial,
        warm_start=_warm_start(start, parent),
        metrics=metrics | curve.metrics() | _time_metrics(data.at),
        n_threads=training.n_threads,
        trial_model=trial_model,
    )


@dataclass(frozen=True, slots=True)
class _Training:
    """The steps of one training.

    Attributes:
        data: Data to train on.
        parent: Snapshot that is served now.
        settings: Model and its parameters.
        gate: Gate settings with the limits of the number of evaluated users.
        n_threads: Number of threads.
        choice: Choice of `auto`; None before it is made, and for other models.
        factors: Initial factors of all users and items; None: random ones.
    """

    data: TrainingData
    parent: Snapshot | Unavailable
    settings: BatchSettings
    gate: GateSettings
    n_threads: int
    choice: Choice | None = None
    factors: Factors | None = None

    def split(self, max_interactions: int | None) -> tuple[UserSample, LastDay | Unavailable]:
        """Sample users, and split off the last day of their interactions."""
        weights, at, seed = self.data.interactions.weights, self.data.at, self.settings.seed
        if max_interactions is None:
            max_interactions = trial_interactions(weights.shape[1])
        users = sample(weights, at, max_interactions, seed)
        day = last_day(users.weights, users.at, seen_until(self.parent), self.gate, seed)
        if isinstance(day, Unavailable) and self.settings.model not in (_AUTO, *VECTOR_MODELS):
            users = sample(weights, at, weights.nnz, seed)  # the others do not refit from a sample
        return users, day

    def choose(
        self, users: UserSample, day: LastDay | Unavailable, on_step: Callable[[], object]
    ) -> Choice | None:
        """Return the choice of the served snapshot while it is recent, else that of a search."""
        if self.settings.model != _AUTO:
            return None
        served = served_choice(self.parent)
        incumbent = None if isinstance(served, Unavailable) else served
        if incumbent and self._is_recent(incumbent):
            return incumbent
        search = auto(self.settings, incumbent=incumbent).search
        weights = self.data.interactions.weights
        return search(
            *_train_side(users, day),
            extent=Extent(weights.shape[0], weights.nnz),
            n_threads=self.n_threads,
            on_step=on_step,
        )

    def start(self, day: LastDay | Unavailable) -> Factors | Unavailable:
        """Return the initial factors of all users and items."""
        if not self.settings.warm_start:
            return Unavailable("[batch] warm_start is off")
        if isinstance(self.parent, Unavailable):
            return self.parent
        if isinstance(day, LastDay) and not day.is_new_to_served:
            return Unavailable("the served snapshot was trained on the last day, too")
        return initial_factors(
            self.parent,
            self.data.interactions.user_ids,
            self.data.interactions.item_ids,
            self._n_factors,
            self.settings.seed,
        )

    def fit(
        self,
        users: UserSample,
        day: LastDay | Unavailable,
        curve: LearningCurve,
        on_step: Callable[[], object],
    ) -> Fitted:
        """Fit the model to the sample, without the last day if there is one to evaluate on."""
        weights, at = _train_side(users, day)
        model = self._model(users.restrict(self.factors))

        def measure(sweep: Sweep | None = None, /) -> None:
            on_step()
            curve(sweep)

        return model.fit(weights, at=at, n_threads=self.n_threads, on_step=measure)

    def trial(
        self, fitted: Fitted, users: UserSample, day: LastDay | Unavailable
    ) -> tuple[Trial | Unavailable, TrialModel | None]:
        """Evaluate the new lists of the sampled users, and the served ones, on the last day.

        The model is returned, too, if a second stage can make the lists.
        """
        if isinstance(day, Unavailable):
            return day, None
        user_rows = users.user_rows[day.split.user_rows]
        user_ids = self.data.interactions.user_ids.take(user_rows).to_pylist()
        served = served_lists(self.parent, user_ids, self.data.interactions.item_ids)
        n_interactions = np.diff(day.split.train.indptr)[day.split.user_rows]
        groups = groups_of(user_ids, n_interactions, self.data.profiles)
        del groups[ALL]
        seed, n_threads = self.settings.seed, self.n_threads
        model = TrialModel(fitted, day, users.user_rows, served, groups, seed, n_threads)
        is_kept = self.settings.second_stage_mode != "off"
        return model.evaluate(), model if is_kept else None

    def refit(self, ranker: Fitted, users: UserSample) -> Fitted:
        """Train the model of the sample on everything."""
        weights, at = self.data.interactions.weights, self.data.at
        model = self._model(self.factors)
        return model.refit(ranker, users.user_rows, weights, at=at, n_threads=self.n_threads)

    def train_on_all(self, ranker: Fitted, users: AllUsers) -> tuple[Fitted, Rows | None]:
        """Return the model whose factors are trained on all users, and the users of each item.

        The parts of a blend that are no factors stay as the sample has made them.
        """
        iterations, n_threads = self.settings.spark_sweeps, self.n_threads
        if isinstance(ranker, FittedAuto):
            part = ranker.choice.vectors
            settings = replace(self.settings, **part.parameters)
            model = factor_model(part.model, settings)
            vectors, n_users_of = train_on_all(model, ranker.vectors, users, iterations, n_threads)
            return ranker.with_vectors(vectors), n_users_of
        if isinstance(ranker, FittedFactors) and self.settings.model in VECTOR_MODELS:
            model = factor_model(self.settings.model, self.settings)
            return train_on_all(model, ranker, users, iterations, n_threads)
        return ranker, None

    def with_new_items(
        self, ranker: Fitted, n_users_of: Rows | None
    ) -> tuple[Fitted, FittedFactors]:
        """Return the model and its vectors, with vectors for new items.

        A model without vectors of its own gets those of ALS, for the index and the tables.

        Args:
            ranker: Model of everything.
            n_users_of: (n_items,) users of each item; None: those of the data.
        """
        interactions, settings = self.data.interactions, self.settings
        if n_users_of is None:
            n_users_of = users_of_items(interactions.weights)
        if isinstance(ranker, FittedAuto):
            vectors = self._expected(ranker.vectors, n_users_of)
            return ranker.with_vectors(vectors), vectors
        if isinstance(ranker, FittedFactors) and settings.model in VECTOR_MODELS:
            vectors = self._expected(ranker, n_users_of)
            return vectors, vectors
        als = recommender("als", settings, self.factors)
        fitted = als.fit(interactions.weights, n_threads=self.n_threads)
        assert isinstance(fitted, FittedFactors)
        return ranker, self._expected(fitted, n_users_of)

    def _expected(self, vectors: FittedFactors, n_users_of: Rows) -> FittedFactors:
        data, seed = self.data, self.settings.seed
        return with_expected_vectors(
            vectors, data.interactions.item_ids, n_users_of, data.items, seed, data.item_vectors
        )

    def _model(self, start: Factors | None) -> Recommender:
        if self.settings.model == _AUTO:
            return auto(self.settings, start, choice=self.choice)
        return recommender(self.settings.model, self.settings, start)

    def _is_recent(self, choice: Choice) -> bool:
        """Return whether the data has become less than `choice_days` longer since the choice."""
        latest = 0 if self.data.at is None else int(self.data.at.max(initial=0))
        age_seconds = latest - choice.made_at
        return bool(choice.made_at) and age_seconds < self.settings.choice_days * _DAY_SECONDS

    @property
    def _n_factors(self) -> int:
        """Length of the vectors for the index and the tables."""
        settings = self.settings
        if self.choice:
            settings = replace(settings, **self.choice.vectors.parameters)
        return settings.ials_factors if settings.model in (_AUTO, "ials") else settings.n_factors


def _train_side(
    users: UserSample, day: LastDay | Unavailable
) -> tuple[sp.csr_matrix, Times | None]:
    """Return the sample's weights and times, without the last day if there is one."""
    if isinstance(day, LastDay):
        return day.split.train, day.split.at
    return users.weights, users.at


def _warm_start(start: Factors | Unavailable, parent: Snapshot | Unavailable) -> str:
    if isinstance(start, Unavailable):
        return f"none: {start.reason}"
    assert not isinstance(parent, Unavailable)
    return f"generation {parent.generation}"


def _time_metrics(at: Times | None) -> dict[str, str]:
    if at is None or not (latest := int(at.max(initial=0))):
        return {}
    return {
        DATA_UNTIL: datetime.fromtimestamp(latest, UTC).isoformat()[: len("2026-01-07T23:59:59")]
    }
