"""The plan of an experiment: how long it has to run, and what looking early costs.

    traffic, smallest lift ─► information by day ─► power of each design by day ─► duration

The effects of daily looks are normal together, with the correlations of returning users.
Their standard errors are estimates: where few very active users make most of the variance,
these differ from one experiment to the next, which moves a power towards one half.
Draws of both by a fixed sequence say how often a design crosses its bounds.

Source:
    Owen, "Scrambling Sobol' and Niederreiter-Xing Points", 1998 (the sequence).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import ndtri
from scipy.stats.qmc import Sobol

from batch.arrays import Doubles
from batch.errors import InputError
from stream.experiments.statistics.confidence_sequences import mixture_scale, two_sided_multiplier
from stream.experiments.statistics.designs import ALPHA, bonferroni
from stream.experiments.statistics.group_sequential import (
    bounds,
    obrien_fleming,
)
from stream.experiments.traffic import ExperimentTraffic

FIXED: Final = "fixed"
GROUP_SEQUENTIAL: Final = "group sequential"
ALWAYS_VALID: Final = "always valid"
_LOG_DRAWS: Final = 13
_SEED: Final = 1
_JITTER: Final = 1e-9  # added to correlations of days without new requests


@dataclass(frozen=True, slots=True)
class Goal:
    """What an experiment has to find.

    Attributes:
        min_lift: Smallest lift to be found, relative to control; not 0, above -1.
        power: Probability to find it, between 0 and 1.
        alpha: Probability to find something where there is no difference.
        shares: Shares of the traffic, control first; they sum to at most 1.
        n_metrics: Number of metrics that are tested with this error together.
    """

    min_lift: float
    power: float = 0.8
    alpha: float = ALPHA
    shares: tuple[float, ...] = (0.5, 0.5)
    n_metrics: int = 1

    def __post_init__(self) -> None:
        if not (-1 < self.min_lift < np.inf and self.min_lift != 0):
            raise InputError("effect", f"{self.min_lift} is not a lift", "give such as 0.05")
        for name in ("power", "alpha"):
            if not 0 < getattr(self, name) < 1:
                problem = f"{getattr(self, name)} is not between 0 and 1"
                raise InputError(name, problem, "give such as 0.8 for power, 0.05 for alpha")
        if self.alpha >= self.power:
            raise InputError("power", f"{self.power} is not above alpha", "give such as 0.8")
        is_share = all(0 < share < 1 for share in self.shares)
        if len(self.shares) < 2 or not is_share or sum(self.shares) > 1 + 1e-9:
            problem = f"{self.shares} are not shares of two or more arms"
            raise InputError("shares", problem, "give such as 0.5 0.5")
        if self.n_metrics < 1:
            raise InputError("metrics", f"{self.n_metrics} is not a number of metrics", "give 1")

    @property
    def level(self) -> float:
        """Error of each comparison."""
        return bonferroni(self.alpha, len(self.shares) - 1, self.n_metrics)


class DesignPlan(NamedTuple):
    """The plan of one design.

    Attributes:
        n_days: Days until the power is reached, or all days of the traffic.
        is_enough: Whether the power is reached.
        n_users: Users of all arms until then.
        power: Power then.
        width: Half width of the lift's interval at that end.
    """

    n_days: int
    is_enough: bool
    n_users: int
    power: float
    width: float


class ExperimentPlan(NamedTuple):
    """The plan of an experiment, by each design.

    Attributes:
        goal: What is to be found.
        designs: Plan of each design by its name.
        width_ratio: Width of the always-valid interval ÷ that of a fixed test at the same end.
        user_ratio: Users that an always-valid interval as narrow as the fixed one needs ÷ its.
    """

    goal: Goal
    designs: Mapping[str, DesignPlan]
    width_ratio: float
    user_ratio: float

    def as_json(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        designs = {name: found._asdict() for name, found in self.designs.items()}
        ratios = {"width_ratio": self.width_ratio, "user_ratio": self.user_ratio}
        return {"goal": asdict(self.goal), "designs": designs, "always_valid": ratios}

    def as_text(self) -> str:
        """Return the plan as some lines for a terminal."""
        goal = self.goal
        lines = [
            f"to find a lift of {goal.min_lift:+.1%} with power {goal.power:.0%} and error "
            f"{goal.alpha:.0%}; arms: {len(goal.shares)}, metrics: {goal.n_metrics}",
            "",
            f"{'design':18}{'days':>8}{'users':>14}{'power':>9}{'interval':>12}",
        ]
        for name, found in self.designs.items():
            days = f"{'' if found.is_enough else '> '}{found.n_days}"
            lines.append(
                f"{name:18}{days:>8}{found.n_users:>14,}{found.power:>9.1%}"
                f"{f'±{found.width:.2%}':>12}"
            )
        lines += [
            "",
            f"{FIXED}: one look at the end; {GROUP_SEQUENTIAL}: daily looks until then; "
            f"{ALWAYS_VALID}: any look.",
            f"An {ALWAYS_VALID} interval is {self.width_ratio:.2f} x as wide as a fixed one at the "
            f"same end; one as narrow needs {self.user_ratio:.1f} x the users.",
        ]
        return "\n".join(lines)


def plan(goal: Goal, traffic: ExperimentTraffic) -> ExperimentPlan:
    """Return duration, users and power of each design for a goal.

    Args:
        goal: What is to be found.
        traffic: Users and their deviation by day, for as many days as the experiment may last.

    Raises:
        InputError: The traffic has no days.
    """
    if not traffic.n_days:
        raise InputError("traffic", "it has no days", "give at least one")
    looks = _Looks.of(goal, traffic)
    designs = {name: _design_plan(power, looks, traffic) for name, power in _DESIGNS.items()}
    ratio = two_sided_multiplier(1, mixture_scale(1, goal.level), goal.level) / looks.fixed_z
    return ExperimentPlan(goal, designs, ratio, ratio**2)


class _Looks(NamedTuple):
    """Daily looks at the control and the smallest treatment.

    Attributes:
        goal: What is to be found.
        information: (n_days,) 1 / variance of the lift.
        n_users: (n_days,) users of both arms.
        z: (n_draws, n_days) draws of the test statistic if the lift is there, by estimated errors.
    """

    goal: Goal
    information: Doubles
    n_users: Doubles
    z: Doubles

    @classmethod
    def of(cls, goal: Goal, traffic: ExperimentTraffic) -> "_Looks":
        """Return the looks; the deviation of a user's value grows with the rate."""
        shares = np.array([goal.shares[0], min(goal.shares[1:])])
        arms = np.array([1, (1 + goal.min_lift) ** 2]) / shares
        information = traffic.n_users / (traffic.deviations**2 * arms.sum())
        draws, common = _normal_draws(traffic.correlations)
        z = goal.min_lift * np.sqrt(information) + draws
        errors = traffic.variance_errors * math.sqrt((arms**2 / shares).sum()) / arms.sum()
        z /= np.sqrt(_lognormal(common, errors))
        return cls(goal, information, traffic.n_users * shares.sum(), z)

    @property
    def fixed_z(self) -> float:
        """Bound of one look at the end."""
        return float(ndtri(1 - self.goal.level / 2))

    def until(self, n_days: int) -> "_Looks":
        """Return the looks of the first days."""
        some = slice(n_days)
        return _Looks(self.goal, self.information[some], self.n_users[some], self.z[:, some])


def _normal_draws(correlations: Doubles) -> tuple[Doubles, Doubles]:
    """Return (n_draws, n) draws of normal variables with these correlations, and (n_draws,) more.

    The latter are independent of the former.
    """
    n = len(correlations)
    uniform = Sobol(n + 1, rng=np.random.default_rng(_SEED)).random_base2(_LOG_DRAWS)
    root = np.linalg.cholesky(correlations + _JITTER * np.eye(n))
    draws = np.asarray(ndtri(np.clip(uniform, 1e-12, 1 - 1e-12)))
    return draws[:, :n] @ root.T, draws[:, n]


def _lognormal(common: Doubles, errors: Doubles) -> Doubles:
    """Return (n_draws, n_days) estimated variances ÷ true ones, of mean 1.

    Args:
        common: (n_draws,) normal draws: the same users make the variance of all days.
        errors: (n_days,) relative standard errors.
    """
    sigma = np.sqrt(np.log1p(errors**2))
    return np.asarray(np.exp(np.outer(common, sigma) - sigma**2 / 2))


def _fixed(looks: _Looks) -> Doubles:
    """Return the bound of each look: only the last one counts."""
    limits = np.full(len(looks.information), np.inf)
    limits[-1] = looks.fixed_z
    return limits


def _group_sequential(looks: _Looks) -> Doubles:
    n_days, side = len(looks.information), looks.goal.level / 2
    spent = [obrien_fleming((day + 1) / n_days, side) for day in range(n_days)]
    return bounds(looks.information, np.array(spent))


def _always_valid(looks: _Looks) -> Doubles:
    level = looks.goal.level
    scale = mixture_scale(looks.n_users[-1], level)
    return np.array([two_sided_multiplier(n, scale, level) for n in looks.n_users.tolist()])


_DESIGNS: Final[Mapping[str, Callable[[_Looks], Doubles]]] = {
    FIXED: _fixed,
    GROUP_SEQUENTIAL: _group_sequential,
    ALWAYS_VALID: _always_valid,
}


def _design_plan(
    limits_of: Callable[[_Looks], Doubles], looks: _Looks, traffic: ExperimentTraffic
) -> DesignPlan:
    """Return the first end at which a design has the power, found by bisection."""

    def power_by(n_days: int) -> float:
        some = looks.until(n_days)
        return float((np.abs(some.z) > limits_of(some)).any(axis=1).mean())

    low, high = 0, traffic.n_days
    power = power_by(high)
    is_enough = power >= looks.goal.power
    while is_enough and high - low > 1:
        middle = (low + high) // 2
        found = power_by(middle)
        if found >= looks.goal.power:
            high, power = middle, found
        else:
            low = middle
    width = float(limits_of(looks.until(high))[-1] / np.sqrt(looks.information[high - 1]))
    n_users = round(float(traffic.n_users[high - 1]) * sum(looks.goal.shares))
    return DesignPlan(high, is_enough, n_users, power, width)
