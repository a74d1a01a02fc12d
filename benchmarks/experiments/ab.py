"""Experiments that are looked at every day, by four rules; the sample ratio beside them.

| rule             | significant if on any day                                  |
| ---------------- | ---------------------------------------------------------- |
| always valid     | 0 lies outside of the confidence sequence                  |
| group sequential | the bound of Lan and DeMets is crossed                     |
| fixed            | Welch's test by user is significant at the end; looked at once |
| plain daily      | the same test is significant, looked at every day          |
| requests daily   | a test that takes requests as independent is significant   |
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from scipy.stats import beta

from benchmarks.experiments.service import N_DAYS, simulate, sums_by_day
from stream.experiments.plan import ALWAYS_VALID, FIXED, GROUP_SEQUENTIAL
from stream.experiments.statistics.designs import AlwaysValid, Fixed, GroupSequential
from stream.experiments.statistics.effects import difference
from stream.experiments.statistics.rates import UserSums
from stream.experiments.statistics.sample_ratio import MAX_P, sample_ratio_p

PLAIN_DAILY: Final = "plain daily"
REQUESTS_DAILY: Final = "requests daily"
SAMPLE_RATIO: Final = "sample ratio"
RULES: Final = (ALWAYS_VALID, GROUP_SEQUENTIAL, FIXED, PLAIN_DAILY, REQUESTS_DAILY)
_Z: Final = 1.959964


class Share(NamedTuple):
    """Share of the experiments that a rule finds significant.

    Attributes:
        value: The share.
        low: Lower end of its 95 % interval, by Clopper and Pearson.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def share_of(n_found: int, n: int) -> Share:
    """Return n_found / n with its exact interval."""
    low = float(beta.ppf(0.025, n_found, n - n_found + 1)) if n_found else 0.0
    high = float(beta.ppf(0.975, n_found + 1, n - n_found)) if n_found < n else 1.0
    return Share(n_found / n, low, high)


def significant_shares(
    n_experiments: int, n_users: int, n_planned: int, lift: float, seed: int
) -> Mapping[str, Share]:
    """Simulate experiments and return the share that each rule finds, and the alarms.

    Args:
        n_experiments: Number of experiments.
        n_users: Users of the service.
        n_planned: Users who are planned to come.
        lift: True lift; 0 for A/A.
        seed: Random seed.
    """
    random = np.random.default_rng(seed)
    counts = dict.fromkeys((*RULES, SAMPLE_RATIO), 0)
    for _ in range(n_experiments):
        days = simulate(n_users, lift, random)
        arms = sums_by_day(days, ~days.is_treatment), sums_by_day(days, days.is_treatment)
        for name, is_found in found_by(arms, n_planned).items():
            counts[name] += is_found
    return {name: share_of(n, n_experiments) for name, n in counts.items()}


def found_by(
    arms: tuple[Sequence[UserSums], Sequence[UserSums]], n_planned: int
) -> dict[str, bool]:
    """Return whether each rule finds a difference, and whether the sample ratio is alarming.

    Args:
        arms: Sums of control and of treatment until the end of each day.
        n_planned: Users who are planned to come.
    """
    looks = list(zip(*arms, strict=True))
    effects = [difference(control.rate(), treatment.rate()) for control, treatment in looks]
    always = AlwaysValid(n_planned)
    elapsed = [day / N_DAYS for day in range(1, N_DAYS + 1)]
    bounds = GroupSequential(elapsed, [effect.information for effect in effects]).bounds()
    plain = [Fixed().p_value(effect) < Fixed().alpha for effect in effects]
    by_request = [requests_z(*look) for look in looks]
    users = np.array([[arm.n_users for arm in look] for look in looks])
    return {
        ALWAYS_VALID: any(abs(effect.z) > always.multiplier(effect) for effect in effects),
        GROUP_SEQUENTIAL: any(
            abs(effect.z) > bound for effect, bound in zip(effects, bounds, strict=True)
        ),
        FIXED: plain[-1],
        PLAIN_DAILY: any(plain),
        REQUESTS_DAILY: any(abs(z) > _Z for z in by_request),
        SAMPLE_RATIO: bool(sample_ratio_p(users, (0.5, 0.5))[-1] < MAX_P),
    }


def requests_z(control: UserSums, treatment: UserSums) -> float:
    """Return z of two shares whose requests are taken as independent, as dashboards do."""
    rate = (control.numerator + treatment.numerator) / (control.denominator + treatment.denominator)
    variance = rate * (1 - rate) * (1 / control.denominator + 1 / treatment.denominator)
    gap = treatment.numerator / treatment.denominator - control.numerator / control.denominator
    return gap / math.sqrt(variance) if variance else 0.0
