"""The comparison of one treatment with control on one metric."""

import math
from typing import NamedTuple

from stream.experiments.statistics.cuped import UserValues, adjusted_rates
from stream.experiments.statistics.designs import Design
from stream.experiments.statistics.effects import difference, lift, lift_interval


class Comparison(NamedTuple):
    """Treatment against control.

    Attributes:
        control: Rate of control, adjusted where there is a covariate.
        treatment: Rate of treatment.
        effect: Absolute difference, treatment less control.
        effect_low: Lower end of its interval.
        effect_high: Upper end of its interval.
        lift: Difference relative to control; NaN where control is 0.
        low: Lower end of the lift's interval; NaN where control is 0.
        high: Upper end of the lift's interval; NaN where control is 0.
        p_value: p value of the difference by the design.
        n_control: Number of users of control.
        n_treatment: Number of users of treatment.
        decision: `higher`, `lower` or `n.s.`: whether the interval of the difference excludes 0.
    """

    control: float
    treatment: float
    effect: float
    effect_low: float
    effect_high: float
    lift: float
    low: float
    high: float
    p_value: float
    n_control: int
    n_treatment: int
    decision: str


def compare(control: UserValues, treatment: UserValues, design: Design) -> Comparison:
    """Compare two arms by a design.

    Raises:
        InputError: An arm has fewer than two users, or no denominators.
    """
    rates = adjusted_rates(control, treatment)
    effect = difference(*rates)
    multiplier = design.multiplier(effect)
    low, high = effect.interval(multiplier)
    has_lift = rates[0].rate != 0
    lift_low, lift_high = lift_interval(*rates, multiplier) if has_lift else (math.nan, math.nan)
    return Comparison(
        control=rates[0].rate,
        treatment=rates[1].rate,
        effect=effect.value,
        effect_low=low,
        effect_high=high,
        lift=lift(*rates).value if has_lift else math.nan,
        low=lift_low,
        high=lift_high,
        p_value=design.p_value(effect),
        n_control=rates[0].n_users,
        n_treatment=rates[1].n_users,
        decision="higher" if low > 0 else "lower" if high < 0 else "n.s.",
    )
