"""CUPED: a metric adjusted by each user's rate before the start, which lowers its variance.

    L_u - θ · (X_u - X̄)        θ = Cov(L, X) / Var(X) within arms, L linearised, X before

The variance falls by the factor 1 - rho², rho the correlation of L and X. Users without a
history get the mean of X: the covariate stays a value from before the start.

Source:
    Deng, Xu, Kohavi and Walker, "Improving the Sensitivity of Online Controlled
    Experiments by Utilizing Pre-Experiment Data", WSDM 2013.
"""

from typing import NamedTuple

import numpy as np

from batch.arrays import Doubles
from batch.errors import InputError
from stream.experiments.statistics.rates import ArmRate, linearised, user_sums


class UserValues(NamedTuple):
    """A metric of one arm, one row a user.

    Attributes:
        numerators: (n_users,) finite.
        denominators: (n_users,) finite, at least 0.
        covariate: (n_users,) rate before the start, NaN for users without one; None: unknown.
    """

    numerators: Doubles
    denominators: Doubles
    covariate: Doubles | None = None

    def rate(self) -> ArmRate:
        """Return the rate without adjustment.

        Raises:
            InputError: There are fewer than two users, or no denominators.
        """
        return user_sums(self.numerators, self.denominators).rate()


def adjusted_rates(control: UserValues, treatment: UserValues) -> tuple[ArmRate, ArmRate]:
    """Return the rates of control and treatment, adjusted where both have a covariate.

    Raises:
        InputError: An arm has fewer than two users, no denominators, or arrays that differ
            in length.
    """
    arms = (control, treatment)
    for arm in arms:
        _check_lengths(arm)
    if control.covariate is None or treatment.covariate is None:
        return control.rate(), treatment.rate()
    values = [linearised(arm.numerators, arm.denominators) for arm in arms]
    before = _filled(control.covariate, treatment.covariate)
    mean = np.concatenate(before).mean()
    theta = _slope(values, before)
    n_control, n_treatment = (len(arm.numerators) for arm in arms)
    rates = [
        ArmRate(
            float(value.mean() - theta * (x.mean() - mean)),
            float(np.var(value - theta * x, ddof=1)),
            n_users,
        )
        for value, x, n_users in zip(values, before, (n_control, n_treatment), strict=True)
    ]
    return rates[0], rates[1]


def _filled(*covariates: Doubles) -> list[Doubles]:
    known = np.concatenate(covariates)
    known = known[np.isfinite(known)]
    mean = known.mean() if len(known) else 0.0
    return [np.where(np.isfinite(x), x, mean) for x in covariates]


def _slope(values: list[Doubles], before: list[Doubles]) -> float:
    """Return θ from deviations within each arm, so that the effect itself does not enter."""
    value = np.concatenate([v - v.mean() for v in values])
    x = np.concatenate([b - b.mean() for b in before])
    square = float(x @ x)
    return float(value @ x) / square if square else 0.0


def _check_lengths(arm: UserValues) -> None:
    lengths = {len(column) for column in arm if column is not None}
    if len(lengths) > 1:
        raise InputError("arm", f"columns of {sorted(lengths)} users", "give one row a user")
