"""Users: their profiles, and the latent tastes and rates of viewing that no profile has."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.arrays import Doubles, Flags, Floats, Rows
from benchmarks.simulator.clock import DAY_SECONDS, seconds_of_day
from benchmarks.simulator.seeds import generator, shares
from benchmarks.simulator.world.fitted import (
    AGES,
    CASUAL_VIEWS_PER_WEEK,
    GROUP_SPREAD,
    KEEN_SHARE,
    KEEN_VIEWS_PER_WEEK,
    MALE_SHARE,
    NEW_USERS_PER_DAY,
    OCCUPATIONS,
    TASTE_CONCENTRATION,
)
from benchmarks.simulator.world.items import ALWAYS, first_days

_LAST_JOIN_SECONDS: Final = 3600  # before the history ends
_BLOCK: Final = 50_000  # users whose tastes are drawn at a time


@dataclass(frozen=True, slots=True)
class Users:
    """All users of a world.

    Attributes:
        ids: (n_users,) ascending integers, written in decimal wherever they appear.
        ages: (n_users,) years.
        is_male: (n_users,) True for gender "M", else "F".
        occupations: (n_users,) rows in OCCUPATIONS.
        tastes: (n_users, N_TASTES) share of each taste at the beginning; rows sum to 1.
        turns: (n_users,) the taste that a user drifts to.
        rates: (n_users,) views a week.
        joined: (n_users,) seconds after the history's beginning, ALWAYS for most.
    """

    ids: Rows
    ages: npt.NDArray[np.int32]
    is_male: Flags
    occupations: npt.NDArray[np.int8]
    tastes: Floats
    turns: npt.NDArray[np.int8]
    rates: Floats
    joined: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)


def make_users(n_users: int, n_days: int, common_tastes: Doubles, seed: int) -> Users:
    """Draw users; some of them are new on each day.

    Args:
        n_users: Number of users, the new ones included.
        n_days: Length of the history.
        common_tastes: (N_TASTES,) mean taste of all users; sums to 1.
        seed: Random seed of the world.
    """
    rng = generator(seed, "users")
    low, high, share = (np.array(column) for column in zip(*AGES, strict=True))
    band = rng.choice(len(AGES), n_users, p=shares(share))
    is_male = rng.random(n_users) < MALE_SHARE
    is_keen = rng.random(n_users) < KEEN_SHARE
    rates = np.where(is_keen, _keen_rates(n_users, rng), CASUAL_VIEWS_PER_WEEK)
    return Users(
        ids=np.sort(rng.choice(max(1_000_000, 2 * n_users), n_users, replace=False)),
        ages=rng.integers(low[band], high[band] + 1).astype(np.int32),
        is_male=is_male,
        occupations=rng.choice(len(OCCUPATIONS), n_users, p=shares(OCCUPATIONS.values())).astype(
            np.int8
        ),
        tastes=_tastes(2 * band + is_male, common_tastes, seed),
        turns=rng.choice(len(common_tastes), n_users, p=common_tastes).astype(np.int8),
        rates=rates.astype(np.float32),
        joined=_joined(n_users, n_days, rng),
    )


def _keen_rates(n_users: int, rng: np.random.Generator) -> Doubles:
    """Draw exponential rates of users with at least one view in a week.

    That density, exp(-r/m) · (1 - exp(-r)), is that of the sum of two
    exponential numbers of means m and m / (1 + m).
    """
    mean = KEEN_VIEWS_PER_WEEK
    return rng.exponential(mean, n_users) + rng.exponential(mean / (1 + mean), n_users)


def _joined(n_users: int, n_days: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    day = first_days(n_users, n_days, NEW_USERS_PER_DAY, rng)
    second = day * DAY_SECONDS + seconds_of_day(rng.random(n_users))
    last = n_days * DAY_SECONDS - _LAST_JOIN_SECONDS
    return np.where(day == ALWAYS, ALWAYS, np.minimum(second, last)).astype(np.int32)


def groups_of(users: Users) -> Rows:
    """Return (n_users,) the group of each user, by the age band and the gender."""
    first_ages = [low for low, _, _ in AGES]
    band = np.searchsorted(first_ages, users.ages, side="right") - 1
    return np.asarray(2 * band + users.is_male)


def taste_shapes(group: Rows, common: Doubles, seed: int) -> Doubles:
    """Return (n_groups, N_TASTES), the shapes of the Dirichlet of each group's tastes.

    Args:
        group: (n_users,) group of each user of the world.
        common: (N_TASTES,) mean taste of all users; sums to 1.
        seed: Random seed of the world.
    """
    n_groups = 2 * len(AGES)
    tilt = np.exp(generator(seed, "groups").normal(0, GROUP_SPREAD, (n_groups, len(common))))
    # Weighted by the groups' sizes the tilts cancel out: the mean of all users stays `common`.
    tilt /= np.bincount(group, minlength=n_groups) / len(group) @ tilt
    return np.asarray(TASTE_CONCENTRATION * common * tilt)


def _tastes(group: Rows, common: Doubles, seed: int) -> Floats:
    """Draw a Dirichlet taste for each user; its mean depends on the user's group."""
    shapes = taste_shapes(group, common, seed)
    tastes = np.empty((len(group), len(common)), np.float32)
    for block, begin in enumerate(range(0, len(group), _BLOCK)):
        rng = generator(seed, "tastes", block)
        drawn = rng.standard_gamma(shapes[group[begin : begin + _BLOCK]]) + 1e-30 * common
        tastes[begin : begin + _BLOCK] = drawn / drawn.sum(axis=1, keepdims=True)
    return tastes
