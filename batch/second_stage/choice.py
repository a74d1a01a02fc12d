"""The choice: the second stage makes the lists where it is significantly better on a holdout.

    trained on the previous period ─► judged on the newest: significantly better, by the margin?
        └─► trained on the newest ─► ranks everything
        └─► of the previous period ─► judged once more, by the gate, on the last day

What made the served lists stays, the second stage or the model alone, unless the other is
significantly better by the margin: the choice does not change with chance.

Sources and trees are fitted to a sample of users where there are many. The comparison is
paired by user, with a 95 % bootstrap interval.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Rows, Times
from batch.errors import SecondStageError
from batch.evaluation.bootstrap import Interval, intervals
from batch.evaluation.metrics import per_user
from batch.evaluation.splits import Split
from batch.models.choice import MIN_GAIN
from batch.models.protocol import Ranker
from batch.sampling import sample
from batch.second_stage.metadata import Metadata
from batch.second_stage.past import Past
from batch.second_stage.periods import Periods, last_periods
from batch.second_stage.ranking import Proposer, SecondStage, examples_of
from batch.second_stage.training import lightgbm, train
from batch.unavailable import Unavailable
from store.layout import LIST_LENGTH

_MAX_USERS: Final = 10_000  # of a period, to train or to judge on
_MIN_INTERACTIONS: Final = 2_000_000  # no sample is taken of fewer
_INTERACTIONS_PER_ITEM: Final = 300  # on average, that sources are fitted to

# Function that fits the model of the lists to weights and their times.
FitModel = Callable[[sp.csr_matrix, Times | None], Ranker]


@dataclass(frozen=True, slots=True)
class StageInputs:
    """What a second stage is made from.

    Attributes:
        weights: (n_users, n_items) weights of the interactions.
        at: (n_interactions,) seconds since 1970 beside them, 0 if unknown; None if all are.
        metadata: Fields of items and users.
        fit_model: Function that fits the model of the lists to a part of the interactions.
        seed: Random seed of samples, trees and the bootstrap.
        n_threads: Number of threads.
    """

    weights: sp.csr_matrix
    at: Times | None
    metadata: Metadata
    fit_model: FitModel
    seed: int
    n_threads: int

    def sample(self) -> "StageInputs":
        """Return a sample of users, where there are many."""
        n_items = self.weights.shape[1]
        limit = max(_INTERACTIONS_PER_ITEM * n_items, _MIN_INTERACTIONS)
        users = sample(self.weights, self.at, limit, self.seed)
        metadata = self.metadata.of_users(users.user_rows)
        return replace(self, weights=users.weights, at=users.at, metadata=metadata)


@dataclass(frozen=True, slots=True)
class StageComparison:
    """NDCG@20 of the newest period's users, by the lists of the model and of the second stage.

    Attributes:
        n_users: Number of users.
        seconds: Length of the period.
        without: NDCG@20 of the model alone.
        with_stage: NDCG@20 of the second stage.
        gain: Difference of the two, paired by user.
        is_served: Whether the second stage made the served lists.
    """

    n_users: int
    seconds: int
    without: Interval
    with_stage: Interval
    gain: Interval
    is_served: bool

    @property
    def gain_of_other(self) -> float:
        """Gain in NDCG@20 over what made the served lists, of the other one."""
        return -self.gain.mean if self.is_served else self.gain.mean

    @property
    def margin(self) -> float:
        """Least gain of the other one that changes the choice."""
        return MIN_GAIN * (self.with_stage if self.is_served else self.without).mean

    @property
    def is_other_better(self) -> bool:
        """Whether the other one is significantly better, and by the margin."""
        is_significant = self.gain.high < 0 if self.is_served else self.gain.low > 0
        return is_significant and self.gain_of_other >= self.margin

    @property
    def reason_against(self) -> str:
        """Reason why the model alone makes the lists; empty if the second stage does."""
        if self.is_served:
            return "the model alone is significantly better" if self.is_other_better else ""
        if self.is_other_better:
            return ""
        if self.gain.low > 0:
            return f"better by less than {self.margin:.5f}"
        return "not significantly better"

    def metrics(self) -> dict[str, Any]:
        """Return the figures for the manifest."""
        return {
            "second_stage_users": self.n_users,
            "second_stage_period_seconds": self.seconds,
            "second_stage_ndcg_without": round(self.without.mean, 4),
            "second_stage_ndcg": round(self.with_stage.mean, 4),
            "second_stage_gain": round(self.gain.mean, 5),
            "second_stage_gain_low": round(self.gain.low, 5),
            "second_stage_gain_high": round(self.gain.high, 5),
            "second_stage_margin": round(self.margin, 5),
        }


@dataclass(frozen=True, slots=True)
class EarlierStage:
    """The second stage as it would have been a period before.

    Attributes:
        booster: The `lightgbm.Booster`, trained on the previous period.
        period_seconds: Length of the period.
        metadata: Fields of all items and users.
        n_threads: Number of threads.
    """

    booster: Any
    period_seconds: int
    metadata: Metadata
    n_threads: int

    def on(self, model: Ranker, split: Split, user_rows: Rows) -> SecondStage:
        """Return it on top of a model, with features of the training side of a split.

        Args:
            model: Model fitted to the training side.
            split: Split whose test side began after the previous period.
            user_rows: (n_users,) rows of the split's users in the metadata.
        """
        past = Past(split.train, split.at, self.period_seconds)
        metadata = self.metadata.of_users(user_rows)
        return SecondStage(Proposer.of(model, past, metadata, self.n_threads), self.booster)


class StageDecision(NamedTuple):
    """What ranks the items of the lists, and why.

    Attributes:
        ranker: The second stage, or the model itself.
        metrics: Figures for the manifest; empty where the second stage is off.
        comparison: Comparison of both; None where there was none.
        earlier: The second stage of a period before; None where the model makes the lists.
    """

    ranker: Ranker
    metrics: dict[str, Any]
    comparison: StageComparison | None = None
    earlier: EarlierStage | None = None


def choose(
    model: Ranker, make_inputs: Callable[[], StageInputs], mode: str, *, is_served: bool = False
) -> StageDecision:
    """Train a second stage, and return it if it is to make the lists.

    Args:
        model: Model of the lists, fitted to all interactions.
        make_inputs: Function that looks up interactions, catalogue and profiles, if needed.
        mode: Value of `[batch] second_stage`: "auto", "on" or "off".
        is_served: Whether "auto" chose the second stage for the served lists.

    Raises:
        SecondStageError: The mode is "on", and LightGBM or data to train on is missing.
    """
    if mode == "off":
        return StageDecision(model, {})
    try:
        lightgbm()
        inputs = make_inputs()
        trial = _Trial.of(inputs.sample())
        found, previous = trial.judge(is_served=is_served)
        if mode == "auto" and (reason := found.reason_against):
            outcome = {"second_stage": f"not used: {reason}"}
            return StageDecision(model, outcome | found.metrics(), found)
        booster = trial.booster(trial.periods.newest, trial.newest)
    except SecondStageError as error:
        if mode == "on":
            raise
        return StageDecision(model, {"second_stage": f"not used: {error.reason}"})
    seconds = trial.periods.seconds
    past = Past(inputs.weights, inputs.at, seconds)
    proposer = Proposer.of(model, past, inputs.metadata, inputs.n_threads)
    return StageDecision(
        SecondStage(proposer, booster),
        {"second_stage": "used"} | found.metrics(),
        found,
        EarlierStage(previous, seconds, inputs.metadata, inputs.n_threads),
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """Sources at the two moments of a trial.

    Attributes:
        inputs: Interactions of the sampled users.
        periods: The last two periods.
        model: Model of the lists, fitted to everything before the newest period.
        newest: Sources and features of the same time.
    """

    inputs: StageInputs
    periods: Periods
    model: Ranker
    newest: Proposer

    @classmethod
    def of(cls, inputs: StageInputs) -> "_Trial":
        """Split off the periods, and fit the sources of the newest.

        Raises:
            SecondStageError: There are no two periods with enough users.
        """
        periods = last_periods(inputs.weights, inputs.at)
        if isinstance(periods, Unavailable):
            raise SecondStageError(periods.reason, 'set second_stage = "auto" or "off"')
        periods = periods.limited(_MAX_USERS, inputs.seed)
        model = inputs.fit_model(periods.newest.train, periods.newest.at)
        return cls(inputs, periods, model, _proposer(model, periods.newest, periods, inputs))

    def judge(self, *, is_served: bool) -> tuple[StageComparison, Any]:
        """Train on the previous period, and compare on the newest; return the trees, too."""
        previous, newest, inputs = self.periods.previous, self.periods.newest, self.inputs
        model = inputs.fit_model(previous.train, previous.at)
        before = _proposer(model, previous, self.periods, inputs)
        booster = self.booster(previous, before)
        stage = SecondStage(self.newest, booster)
        ndcg = [ndcg_of(ranker, newest, inputs.n_threads) for ranker in (self.model, stage)]
        columns = np.stack([*ndcg, ndcg[1] - ndcg[0]], axis=1)
        all_users = np.ones((len(columns), 1), dtype=bool)
        without, with_stage, gain = intervals(columns, all_users, seed=inputs.seed)[0]
        n_users, seconds = len(columns), self.periods.seconds
        found = StageComparison(n_users, seconds, without, with_stage, gain, is_served)
        return found, booster

    def booster(self, split: Split, proposer: Proposer) -> Any:
        """Return trees trained on the test side of a split."""
        examples = examples_of(proposer, split, self.inputs.n_threads)
        return train(examples, self.inputs.seed)


def ndcg_of(ranker: Ranker, split: Split, n_threads: int) -> Doubles:
    """Return (n_users,) the NDCG@20 of each evaluated user of a split."""
    lists = ranker.top_k(LIST_LENGTH, user_rows=split.user_rows, n_threads=n_threads)
    return per_user(lists.item_rows, split.test)["ndcg"]


def _proposer(model: Ranker, split: Split, periods: Periods, inputs: StageInputs) -> Proposer:
    """Return sources and features of the training side of a split."""
    past = Past(split.train, split.at, periods.seconds)
    return Proposer.of(model, past, inputs.metadata, inputs.n_threads)
