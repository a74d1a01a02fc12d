"""Designs: when a test may be looked at, and how wide its interval is then.

| design             | looks                        | interval                        |
| ------------------ | ---------------------------- | ------------------------------- |
| `Fixed`            | one, at the planned end      | narrowest                       |
| `GroupSequential`  | as planned, such as daily    | at the end little wider         |
| `AlwaysValid`      | any, without a planned end   | 1.55 × as wide at `n_planned`   |

Every interval is effect ± multiplier · standard error. With several treatments or metrics
each comparison has the level alpha / number of comparisons (Bonferroni), which is valid under
any dependence and at any look.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from batch.arrays import Doubles
from stream.experiments.statistics.confidence_sequences import (
    always_valid_p,
    mixture_scale,
    two_sided_log_evidence,
    two_sided_multiplier,
)
from stream.experiments.statistics.effects import Effect
from stream.experiments.statistics.group_sequential import Spending, bounds, obrien_fleming

ALPHA: Final = 0.05
MIN_USERS: Final = 200
_MIN_P: Final = 1e-12  # the bounds of the smallest p and of the largest are computed first
_MAX_P: Final = 0.99


class Design(Protocol):
    """A rule of a two-sided test."""

    def multiplier(self, effect: Effect) -> float:
        """Return the half width of the interval in standard errors."""

    def p_value(self, effect: Effect) -> float:
        """Return the smallest alpha at which the interval excludes 0."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """One look, at the planned end: Welch's t test.

    Attributes:
        alpha: Error of both sides together.
    """

    alpha: float = ALPHA

    def multiplier(self, effect: Effect) -> float:
        """Return the half width of the interval in standard errors."""
        return float(stdtrit(effect.degrees, 1 - self.alpha / 2))

    def p_value(self, effect: Effect) -> float:
        """Return the smallest alpha at which the interval excludes 0."""
        return 2 * float(stdtr(effect.degrees, -abs(effect.z)))


@dataclass(frozen=True, slots=True)
class AlwaysValid:
    """Looks at any time: an asymptotic confidence sequence.

    Attributes:
        n_planned: Number of users of both arms at which the interval is narrowest.
        alpha: Error of both sides together.
        min_users: Number of users below which the interval is infinite: it is asymptotic, and
            the variance of few users is uncertain.
    """

    n_planned: int
    alpha: float = ALPHA
    min_users: int = MIN_USERS

    def multiplier(self, effect: Effect) -> float:
        """Return the half width of the interval in standard errors."""
        if effect.n_users < self.min_users:
            return math.inf
        scale = mixture_scale(self.n_planned, self.alpha)
        return two_sided_multiplier(effect.n_users, scale, self.alpha)

    def p_value(self, effect: Effect) -> float:
        """Return the p value of this look; its minimum over all looks is valid too."""
        if effect.n_users < self.min_users:
            return 1.0
        scale = mixture_scale(self.n_planned, self.alpha)
        return always_valid_p(two_sided_log_evidence(effect.z, effect.n_users, scale))


@dataclass(frozen=True, slots=True)
class GroupSequential:
    """Looks as planned: O'Brien–Fleming-like bounds of Lan and DeMets.

    Attributes:
        elapsed: Share of the planned duration at each look so far, the current one last.
        information: 1 / variance of the effect at each look so far.
        alpha: Error of both sides together.
        spending: Spending function of one side's error.
    """

    elapsed: Sequence[float]
    information: Sequence[float]
    alpha: float = ALPHA
    spending: Spending = obrien_fleming

    def bounds(self) -> Doubles:
        """Return (n_looks,) bounds on |z|."""
        spent = [self.spending(min(share, 1.0), self.alpha / 2) for share in self.elapsed]
        return bounds(np.asarray(self.information, np.float64), np.array(spent))

    def multiplier(self, _effect: Effect) -> float:
        """Return the half width of the interval in standard errors: the bound of this look."""
        return float(self.bounds()[-1])

    def p_value(self, effect: Effect) -> float:
        """Return the repeated p value of this look (Jennison and Turnbull)."""

        def excess(log_alpha: float) -> float:
            bound = replace(self, alpha=float(np.exp(log_alpha))).multiplier(effect)
            return bound - abs(effect.z)

        low, high = np.log(_MIN_P), np.log(_MAX_P)
        if excess(low) <= 0:
            return _MIN_P
        if excess(high) >= 0:
            return 1.0
        return float(np.exp(brentq(excess, low, high, xtol=1e-6)))


def bonferroni(alpha: float, n_treatments: int, n_metrics: int = 1) -> float:
    """Return the level of each comparison, of every treatment with control on every metric."""
    return alpha / (n_treatments * n_metrics)
