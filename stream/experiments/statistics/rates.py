"""Rates of an arm: a ratio of two sums over users, and how far it varies.

    R = Σ C_u / Σ V_u        clicks by requests, minutes by views, …
    Var(R) = Σ (C_u - R·V_u)² / ((n - 1) · n · V̄²)

A mean is the ratio with V_u = 1.

Source:
    Deng, Knoblich and Lu, "Applying the Delta Method in Metric Analytics", KDD 2018
    (ratio metrics whose unit of randomisation is the user).
"""

from typing import NamedTuple

import numpy as np

from batch.arrays import Doubles
from batch.errors import InputError


class ArmRate(NamedTuple):
    """The rate of one arm.

    Attributes:
        rate: Ratio of the two sums.
        variance: Variance of one user's linearised value; the rate's own is variance / n_users.
        n_users: Number of users, at least 2.
    """

    rate: float
    variance: float
    n_users: int

    @property
    def squared_error(self) -> float:
        """Variance of the rate."""
        return self.variance / self.n_users


class UserSums(NamedTuple):
    """Sums over the users of one arm, which can be added up from one hour to the next.

    Attributes:
        n_users: Number of users.
        numerator: Sum of the numerators C.
        numerator_squares: Sum of C².
        denominator: Sum of the denominators V.
        denominator_squares: Sum of V².
        products: Sum of C · V.
    """

    n_users: int
    numerator: float
    numerator_squares: float
    denominator: float
    denominator_squares: float
    products: float

    def rate(self) -> ArmRate:
        """Return the rate and its variance by the delta method.

        Raises:
            InputError: There are fewer than two users, or the denominator is 0.
        """
        check_users(self.n_users, self.denominator)
        rate = self.numerator / self.denominator
        squares = (
            self.numerator_squares - 2 * rate * self.products + rate**2 * self.denominator_squares
        )
        mean_denominator = self.denominator / self.n_users
        variance = max(squares, 0.0) / ((self.n_users - 1) * mean_denominator**2)
        return ArmRate(rate, variance, self.n_users)


def user_sums(numerators: Doubles, denominators: Doubles) -> UserSums:
    """Return the sums of an arm.

    Args:
        numerators: (n_users,) finite, such as each user's clicks.
        denominators: (n_users,) finite, such as each user's requests.
    """
    return UserSums(
        len(numerators),
        float(numerators.sum()),
        float(numerators @ numerators),
        float(denominators.sum()),
        float(denominators @ denominators),
        float(numerators @ denominators),
    )


def mean_rate(n_users: int, total: float, squares: float) -> ArmRate:
    """Return the mean of one value a user, from the sums of values and of squares."""
    return UserSums(n_users, total, squares, n_users, n_users, total).rate()


def proportion(n_users: int, n_successes: float) -> ArmRate:
    """Return the share of users with a success; its variance is p (1 - p)."""
    check_users(n_users, n_users)
    share = n_successes / n_users
    return ArmRate(share, share * (1 - share), n_users)


def linearised(numerators: Doubles, denominators: Doubles) -> Doubles:
    """Return (n_users,) values whose mean is the ratio and whose variance is that of a user."""
    check_users(len(numerators), float(denominators.sum()))
    rate = numerators.sum() / denominators.sum()
    return np.asarray(rate + (numerators - rate * denominators) / denominators.mean())


def check_users(n_users: int, denominator: float) -> None:
    """Refuse an arm that has no rate or no variance.

    Raises:
        InputError: There are fewer than two users, or the denominator is 0.
    """
    if n_users < 2:
        raise InputError("arm", f"{n_users} users have no variance", "wait for more users")
    if denominator == 0:
        raise InputError("arm", "the denominator of the metric is 0", "wait for more requests")
