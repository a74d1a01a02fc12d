"""Effects: the difference of two arms, absolute or relative to control.

    Δ = R_T - R_C            Var = Var(R_T) + Var(R_C)
    lift = Δ / R_C           Var = Var(R_T) / R_C² + R_T² · Var(R_C) / R_C⁴

The delta method of the lift fails where control itself is uncertain: Fieller's interval
takes its place when g = z² · Var(R_C) / R_C² is 0.1 or more.

Source:
    Fieller, "Some Problems in Interval Estimation", JRSS B 1954;
    Welch, "The generalization of Student's problem", Biometrika 1947 (degrees of freedom).
"""

import math
from typing import Final, NamedTuple

from batch.errors import InputError
from stream.experiments.statistics.rates import ArmRate

_MAX_DELTA_G: Final = 0.1


class Effect(NamedTuple):
    """An effect and how far it varies.

    Attributes:
        value: Difference of the arms, or the lift.
        variance: Variance of the value.
        degrees: Degrees of freedom of the variance, by Welch and Satterthwaite.
        n_users: Number of users of both arms.
    """

    value: float
    variance: float
    degrees: float
    n_users: int

    @property
    def error(self) -> float:
        """Standard error of the value."""
        return math.sqrt(self.variance)

    def interval(self, multiplier: float) -> tuple[float, float]:
        """Return both ends of value ± multiplier · error."""
        width = multiplier * self.error if multiplier < math.inf else math.inf
        return self.value - width, self.value + width

    @property
    def information(self) -> float:
        """1 / variance; 0 where all users are equal, which says nothing about others."""
        return 1 / self.variance if self.variance else 0.0

    @property
    def z(self) -> float:
        """Value in standard errors; 0 where both are 0."""
        if self.variance:
            return self.value / self.error
        return math.copysign(math.inf, self.value) if self.value else 0.0


def difference(control: ArmRate, treatment: ArmRate) -> Effect:
    """Return the absolute difference, treatment less control."""
    variance = treatment.squared_error + control.squared_error
    n_users = treatment.n_users + control.n_users
    return Effect(treatment.rate - control.rate, variance, _degrees(control, treatment), n_users)


def lift(control: ArmRate, treatment: ArmRate) -> Effect:
    """Return the difference relative to control, with the variance of the delta method.

    Raises:
        InputError: The rate of control is 0.
    """
    if control.rate == 0:
        raise InputError("lift", "the rate of control is 0", "compare the absolute difference")
    ratio = treatment.rate / control.rate
    variance = (treatment.squared_error + ratio**2 * control.squared_error) / control.rate**2
    n_users = treatment.n_users + control.n_users
    return Effect(ratio - 1, variance, _degrees(control, treatment), n_users)


def lift_interval(control: ArmRate, treatment: ArmRate, multiplier: float) -> tuple[float, float]:
    """Return the interval of the lift: by the delta method, or by Fieller where that fails.

    Args:
        control: Rate of control, not 0.
        treatment: Rate of treatment.
        multiplier: Half width of the interval in standard errors.

    Returns:
        Both ends; both infinite where control does not differ from 0.
    """
    g = multiplier**2 * control.squared_error / control.rate**2 if multiplier < math.inf else 1
    if g >= 1:
        return -math.inf, math.inf
    if g >= _MAX_DELTA_G:
        return _fieller(control, treatment, multiplier)
    return lift(control, treatment).interval(multiplier)


def _fieller(control: ArmRate, treatment: ArmRate, multiplier: float) -> tuple[float, float]:
    """Return the ratios r, less 1, with (R_T - r·R_C)² = z² · (Var(R_T) + r² · Var(R_C))."""
    square = control.rate**2 - multiplier**2 * control.squared_error
    constant = treatment.rate**2 - multiplier**2 * treatment.squared_error
    middle = treatment.rate * control.rate
    root = math.sqrt(max(middle**2 - square * constant, 0.0))
    return (middle - root) / square - 1, (middle + root) / square - 1


def _degrees(control: ArmRate, treatment: ArmRate) -> float:
    squares = sum(arm.squared_error**2 / (arm.n_users - 1) for arm in (control, treatment))
    total = control.squared_error + treatment.squared_error
    return total**2 / squares if squares else math.inf
