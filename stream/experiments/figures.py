"""The figures of an experiment at one look: arms, lift, guardrails, sample ratio, preference.

    users by arm ─┬─► rate of each arm
    rate before ──┴─► lift against control, by the design of its kind ─► better, worse, n.s.
    credits of interleaved lists ─► preference ────────────────────────┘
    guardrails, sample ratio: valid at any look

| kind         | design                                                   |
| ------------ | -------------------------------------------------------- |
| `ab`         | group sequential: a look a day, until the planned end    |
| `canary`     | always valid                                             |
| `interleave` | preference of the users, always valid                    |
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import ndtri

from batch.arrays import Doubles
from batch.errors import InputError
from store.experiment import Experiment
from stream.experiments.looks import ExperimentLook
from stream.experiments.observed import NEW, ExperimentUsers
from stream.experiments.statistics.compare import Comparison, compare
from stream.experiments.statistics.cuped import UserValues, adjusted_rates
from stream.experiments.statistics.designs import (
    MIN_USERS,
    AlwaysValid,
    Design,
    GroupSequential,
    bonferroni,
)
from stream.experiments.statistics.effects import difference
from stream.experiments.statistics.group_sequential import obrien_fleming
from stream.experiments.statistics.guardrail import Guardrail, GuardrailResult
from stream.experiments.statistics.preference import Preference, preference
from stream.experiments.statistics.sample_ratio import MAX_P, sample_ratio_p
from stream.online.figures import METRICS, OnlineMetric
from stream.online.users import UserFigures

BETTER: Final = "better"
WORSE: Final = "worse"
UNDECIDED: Final = "n.s."
INTERLEAVE: Final = "interleave"
ANY_TIME: Final = ("canary", INTERLEAVE)  # kinds that may be looked at always
PREFERRED: Final = "treatment"  # side of an interleaving that may be promoted
_METRICS: Final = {metric.name: metric for metric in METRICS}
METRIC_NAMES: Final = tuple(_METRICS)
_MIN_ARM_USERS: Final = 2


class ArmFigures(NamedTuple):
    """One arm.

    Attributes:
        name: Name of the arm.
        n_users: Users with requests.
        n_requests: Number of their requests.
        rate: Metric of the experiment; None for too few users.
        low, high: Ends of its interval, of one look.
        contaminated_share: Share of the users who got another arm's lists.
    """

    name: str
    n_users: int
    n_requests: int
    rate: float | None
    low: float | None
    high: float | None
    contaminated_share: float


class ArmComparison(NamedTuple):
    """One arm against the control.

    Attributes:
        arm: Name of the arm.
        found: Difference and lift with their intervals by the design.
        is_adjusted: Whether users' rates before the start were used (CUPED).
        bound: Half width of the interval in standard errors.
        spent: Error that a group sequential design spends up to this look; None for another.
        information: 1 / variance of the difference.
        verdict: `better`, `worse` or `n.s.`.
    """

    arm: str
    found: Comparison
    is_adjusted: bool
    bound: float
    spent: float | None
    information: float
    verdict: str


class ArmGuardrail(NamedTuple):
    """A guardrail of one arm.

    Attributes:
        arm: Name of the arm.
        metric: Name of the metric.
        margin: Largest loss that is allowed.
        found: Verdict and bounds.
    """

    arm: str
    metric: str
    margin: float
    found: GuardrailResult


@dataclass(frozen=True, slots=True)
class ExperimentFigures:
    """The figures of a look.

    Attributes:
        until: Time of the newest event, ISO 8601 by its clock.
        elapsed: Share of the planned duration.
        n_planned: Users of all arms at which the always-valid intervals are narrowest.
        is_higher_better: Whether more of the metric is better.
        arms: Arms, the control first.
        comparisons: Arms against the control; those of too few users are missing.
        preference: Preference of the users with interleaved lists; None for other kinds.
        guardrails: Guardrails by arm; those of too few users are missing.
        sample_ratio_p: p value of the users' numbers by the shares, over all looks.
    """

    until: str
    elapsed: float
    n_planned: int
    is_higher_better: bool
    arms: Sequence[ArmFigures]
    comparisons: Sequence[ArmComparison]
    preference: Preference | None
    guardrails: Sequence[ArmGuardrail]
    sample_ratio_p: float

    @property
    def is_sample_ratio_alarm(self) -> bool:
        """Whether the arms do not have the users that their shares promise."""
        return self.sample_ratio_p < MAX_P

    @property
    def verdicts(self) -> dict[str, str]:
        """`better`, `worse` or `n.s.`, by arm beside the control."""
        if self.preference:
            words = {"higher": BETTER, "lower": WORSE}
            return {PREFERRED: words.get(self.preference.decision, UNDECIDED)}
        return {one.arm: one.verdict for one in self.comparisons}

    def as_json(self) -> dict[str, Any]:
        """Return the figures as plain data; None in place of values that are not finite."""
        found: dict[str, Any] = _finite({
            "until": self.until,
            "elapsed": self.elapsed,
            "n_planned": self.n_planned,
            "is_higher_better": self.is_higher_better,
            "arms": [one._asdict() for one in self.arms],
            "comparisons": [_flat(one) for one in self.comparisons],
            "preference": self.preference and self.preference._asdict(),
            "guardrails": [_flat(one) for one in self.guardrails],
            "sample_ratio": {"p_value": self.sample_ratio_p, "alarm": self.is_sample_ratio_alarm},
        })  # fmt: skip
        return found


def analyse(
    experiment: Experiment, users: ExperimentUsers, looks: Sequence[ExperimentLook]
) -> ExperimentFigures:
    """Return the figures of a look.

    Args:
        experiment: Experiment.
        users: Users until now.
        looks: Earlier looks that count, oldest first.

    Raises:
        InputError: A metric of the experiment does not exist.
    """
    n_planned = looks[0].n_planned if looks else users.n_planned
    metric = metric_of(experiment.metric)
    values = [_values(users, metric, number) for number in range(len(experiment.arms))]
    arms = [_arm_figures(experiment, users, number, of_arm) for number, of_arm in enumerate(values)]
    n_users = [*(list(look.n_users) for look in looks), [arm.n_users for arm in arms]]
    return ExperimentFigures(
        until=users.until_text,
        elapsed=users.elapsed,
        n_planned=n_planned,
        is_higher_better=metric.is_higher_better,
        arms=arms,
        comparisons=[
            _comparison(experiment, number, (values[0], values[number]), users.elapsed, looks,
                        n_planned)
            for number in range(1, len(values))
            if _is_enough(values[0], values[number], n_users=MIN_USERS)
        ],
        preference=_preference(experiment, users, n_planned),
        guardrails=_guardrails(experiment, users, n_planned),
        sample_ratio_p=_sample_ratio_p(experiment, n_users),
    )  # fmt: skip


def metric_of(name: str) -> OnlineMetric:
    """Return a metric of the online figures.

    Raises:
        InputError: It does not exist.
    """
    if name not in _METRICS:
        remedy = f"start the experiment with one of {', '.join(METRIC_NAMES)}"
        raise InputError(name, "is not a metric of `python -m stream online`", remedy)
    return _METRICS[name]


def _values(users: ExperimentUsers, metric: OnlineMetric, arm: int) -> UserValues:
    """Return a metric of an arm, of the users who have a denominator."""
    now, before = users.since_start, users.before
    numerators, denominators = _columns(now, metric)
    rows = np.flatnonzero((now.arm == arm) & (denominators > 0))
    earlier, place = _columns(before, metric), users.place_before[rows]
    covariate = np.full(len(rows), np.nan)
    is_old = place != NEW
    with np.errstate(invalid="ignore"):
        covariate[is_old] = earlier[0][place[is_old]] / earlier[1][place[is_old]]
    is_used = np.isfinite(covariate).any()
    return UserValues(numerators[rows], denominators[rows], covariate if is_used else None)


def _columns(figures: UserFigures, metric: OnlineMetric) -> tuple[Doubles, Doubles]:
    return getattr(figures, metric.numerator), getattr(figures, metric.denominator)


def _arm_figures(
    experiment: Experiment, users: ExperimentUsers, number: int, values: UserValues
) -> ArmFigures:
    is_here = users.since_start.arm == number
    n_users = int(is_here.sum())
    rate = values.rate() if _is_enough(values) else None
    width = float(ndtri(1 - experiment.alpha / 2)) * math.sqrt(rate.squared_error) if rate else 0
    return ArmFigures(
        name=experiment.arms[number].name,
        n_users=n_users,
        n_requests=int(users.since_start.n_requests[is_here].sum()),
        rate=rate.rate if rate else None,
        low=rate.rate - width if rate else None,
        high=rate.rate + width if rate else None,
        contaminated_share=int(users.n_contaminated[number]) / max(n_users, 1),
    )


def _comparison(
    experiment: Experiment,
    number: int,
    values: tuple[UserValues, UserValues],
    elapsed: float,
    looks: Sequence[ExperimentLook],
    n_planned: int,
) -> ArmComparison:
    arm = experiment.arms[number]
    effect = difference(*adjusted_rates(*values))
    level = bonferroni(experiment.alpha, len(experiment.arms) - 1)
    is_daily = experiment.kind not in ANY_TIME
    design: Design = AlwaysValid(_planned(experiment, number, n_planned), level)
    if is_daily:
        information = [*(look.information.get(arm.name, 0.0) for look in looks), effect.information]
        design = GroupSequential([*(look.elapsed for look in looks), elapsed], information, level)
    found = compare(*values, design)
    return ArmComparison(
        arm=arm.name,
        found=found,
        is_adjusted=all(one.covariate is not None for one in values),
        bound=design.multiplier(effect),
        spent=2 * obrien_fleming(min(elapsed, 1.0), level / 2) if is_daily else None,
        information=effect.information,
        verdict=_verdict(found.decision, metric_of(experiment.metric)),
    )


def _verdict(decision: str, metric: OnlineMetric) -> str:
    good, bad = ("higher", "lower") if metric.is_higher_better else ("lower", "higher")
    return {good: BETTER, bad: WORSE}.get(decision, UNDECIDED)


def _guardrails(
    experiment: Experiment, users: ExperimentUsers, n_planned: int
) -> list[ArmGuardrail]:
    """Return the state of each guardrail of each arm; together they have the error alpha."""
    n_treatments = len(experiment.arms) - 1
    found = []
    for one in experiment.guardrails:
        metric = metric_of(one.metric)
        control = _values(users, metric, 0)
        level = bonferroni(experiment.alpha, n_treatments, len(experiment.guardrails))
        for number in range(1, len(experiment.arms)):
            treatment = _values(users, metric, number)
            if not _is_enough(control, treatment):
                continue
            planned = _planned(experiment, number, n_planned)
            rule = Guardrail(one.margin, planned, metric.is_higher_better, level)
            effect = difference(*adjusted_rates(control, treatment))
            name = experiment.arms[number].name
            found.append(ArmGuardrail(name, one.metric, one.margin, rule.check(effect)))
    return found


def _preference(
    experiment: Experiment, users: ExperimentUsers, n_planned: int
) -> Preference | None:
    """Return the preference of the users with merged lists, who are those of the last arm."""
    if experiment.kind != INTERLEAVE:
        return None
    last = len(experiment.arms) - 1
    is_here = users.since_start.arm == last
    if is_here.sum() < _MIN_ARM_USERS:
        return None
    design = AlwaysValid(max(round(n_planned * experiment.arms[last].share), 1), experiment.alpha)
    figures = users.since_start
    return preference(
        figures.n_control_clicks[is_here], figures.n_treatment_clicks[is_here], design
    )


def _sample_ratio_p(experiment: Experiment, n_users: Sequence[Sequence[int]]) -> float:
    """Return the p value over all looks, of the arms that are to have users."""
    shares = np.array([arm.share for arm in experiment.arms])
    counts = np.array(n_users, np.int64)[:, shares > 0]
    planned = (shares[shares > 0] / shares.sum()).tolist()
    return float(sample_ratio_p(counts, planned)[-1]) if len(planned) > 1 else 1.0


def _planned(experiment: Experiment, number: int, n_planned: int) -> int:
    """Return the planned users of the control and one arm."""
    share = experiment.control.share + experiment.arms[number].share
    return max(round(n_planned * share), 1)


def _is_enough(*arms: UserValues, n_users: int = 0) -> bool:
    """Return whether each arm has a variance, and all have so many users together."""
    counts = [len(arm.numerators) for arm in arms]
    return min(counts) >= _MIN_ARM_USERS and sum(counts) >= n_users


def _flat(one: ArmComparison | ArmGuardrail) -> dict[str, Any]:
    """Return the fields of a record, and those of the record within it, in one object."""
    fields: dict[str, Any] = one._asdict()
    return {**one.found._asdict(), **{name: fields[name] for name in fields if name != "found"}}


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
