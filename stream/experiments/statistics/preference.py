"""Interleaving: which of two lists a user prefers, when both are drafted into one.

    user's credits   treatment 3, control 1  ─►  +1
                     treatment 0, control 2  ─►  -1
                     equal, or none          ─►   0

The mean of the signs is the net share of users who prefer treatment. Each user is a pair
with oneself, so differences between users cancel, and far fewer of them are needed.

Source:
    Radlinski, Kurup and Joachims, "How Does Clickthrough Data Reflect Retrieval Quality?",
    CIKM 2008 (team draft and its sign statistic); signs as a confidence sequence.
"""

from typing import NamedTuple

import numpy as np

from batch.arrays import Doubles
from batch.errors import InputError
from stream.experiments.statistics.designs import Design
from stream.experiments.statistics.effects import Effect


class Preference(NamedTuple):
    """Preference of the users between two interleaved lists.

    Attributes:
        net_share: Share that prefers treatment less share that prefers control.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p_value: p value of no preference.
        n_users: Number of users.
        n_decided: Number of users who prefer one of the two.
        decision: `higher`, `lower` or `n.s.`.
    """

    net_share: float
    low: float
    high: float
    p_value: float
    n_users: int
    n_decided: int
    decision: str


def preference_effect(control_credits: Doubles, treatment_credits: Doubles) -> Effect:
    """Return the mean sign of the difference of credits over the users.

    Args:
        control_credits: (n_users,) clicks on items that control drafted.
        treatment_credits: (n_users,) clicks on items that treatment drafted.

    Raises:
        InputError: There are fewer than two users, or the arrays differ in length.
    """
    n_users = len(control_credits)
    if n_users != len(treatment_credits):
        raise InputError("credits", "the arrays differ in length", "give one row a user")
    if n_users < 2:
        raise InputError("credits", f"{n_users} users have no variance", "wait for more users")
    signs = np.sign(treatment_credits - control_credits)
    variance = float(np.var(signs, ddof=1)) / n_users
    return Effect(float(signs.mean()), variance, n_users - 1, n_users)


def preference(control_credits: Doubles, treatment_credits: Doubles, design: Design) -> Preference:
    """Test whether users prefer one of two lists.

    Raises:
        InputError: There are fewer than two users, or the arrays differ in length.
    """
    effect = preference_effect(control_credits, treatment_credits)
    low, high = effect.interval(design.multiplier(effect))
    return Preference(
        net_share=effect.value,
        low=low,
        high=high,
        p_value=design.p_value(effect),
        n_users=effect.n_users,
        n_decided=int((treatment_credits != control_credits).sum()),
        decision="higher" if low > 0 else "lower" if high < 0 else "n.s.",
    )
