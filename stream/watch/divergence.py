"""How different two distributions are, with an interval by user.

    counts of the last 24 hours ─┐
                                 ├─► smoothed shares p, q ─► PSI, Jensen–Shannon divergence
    counts of the reference    ──┘
    users in 64 random groups ─► groups sampled with replacement ─► interval

Events of one user belong together: as independent draws they would make every interval too
narrow. So users fall into groups by a hash of their id, and groups are what is sampled.
Of few events PSI is too large by chance; the sampled ones say by how much.

Source:
    PSI: Siddiqi, "Credit Risk Scorecards", 2006, the sum over bins of (p - q) ln(p / q).
    Lin, "Divergence measures based on the Shannon entropy", 1991.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Integers
from stream.user_hashes import N_GROUPS

_N_RESAMPLES: Final = 400
_PSEUDO_COUNT: Final = 0.5  # in each bin, or an empty one would make PSI infinite
_TAILS: Final = (0.025, 0.975)


class Drift(NamedTuple):
    """How far the last 24 hours differ from the reference.

    Attributes:
        psi: Population stability index, less its bias by few events.
        psi_low, psi_high: Edges of its 95 % interval by user.
        usual_psi: Largest PSI of a day of the reference against its other days.
        js: Jensen–Shannon divergence in bits, 0 to 1.
    """

    psi: float
    psi_low: float
    psi_high: float
    usual_psi: float
    js: float


def drift(counts: Integers, seed: int = 0) -> Drift | None:
    """Return the drift of the last day against the days before; None if either is empty.

    Args:
        counts: (n_days, N_GROUPS, n_bins) events, the reference first.
        seed: Random seed of the interval.
    """
    reference, last = counts[:-1].sum(axis=0), counts[-1]
    if not reference.sum() or not last.sum():
        return None
    draws = _draws(seed)
    drawn = psi(draws @ last, draws @ reference)
    value = float(psi(last.sum(axis=0), reference.sum(axis=0)))
    bias = float(drawn.mean()) - value  # few events differ by chance, and a draw of them again
    low, high = np.maximum(np.quantile(drawn, _TAILS) - 2 * bias, 0)
    js = float(jensen_shannon(last.sum(axis=0), reference.sum(axis=0)))
    return Drift(max(value - bias, 0), float(low), float(high), _usual(counts[:-1].sum(axis=1)), js)


def share_of(groups: Integers, number: int | None) -> tuple[float, float, float]:
    """Return the share of one bin with its 95 % interval by user.

    Args:
        groups: (N_GROUPS, n_bins) events, one at least.
        number: Bin; None for one that does not occur.
    """
    found = np.zeros(len(groups)) if number is None else groups[:, number]
    draws = _draws(0)
    totals = np.maximum(draws @ groups.sum(axis=1), 1)
    low, high = np.quantile(draws @ found / totals, _TAILS)
    return float(found.sum() / groups.sum()), float(low), float(high)


def psi(one: Integers, other: Integers) -> Doubles:
    """Return the population stability index over the last axis, the bins."""
    p, q = _shares(one), _shares(other)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=-1))


def jensen_shannon(one: Integers, other: Integers) -> Doubles:
    """Return the Jensen–Shannon divergence in bits over the last axis, the bins."""
    p, q = _shares(one), _shares(other)
    middle = (p + q) / 2
    both = p * np.log2(p / middle) + q * np.log2(q / middle)
    return np.asarray(both.sum(axis=-1) / 2)


def _draws(seed: int) -> Integers:
    """Return (_N_RESAMPLES, N_GROUPS) how often each group of users is drawn."""
    random = np.random.default_rng(seed)
    return random.multinomial(N_GROUPS, np.full(N_GROUPS, 1 / N_GROUPS), size=_N_RESAMPLES)


def _usual(days: Integers) -> float:
    """Return the largest PSI of a day with events against the other days."""
    days = days[days.sum(axis=1) > 0]
    if len(days) < 2:
        return 0.0
    return float(psi(days, days.sum(axis=0) - days).max())


def _shares(counts: Integers) -> Doubles:
    smoothed = counts + _PSEUDO_COUNT
    return np.asarray(smoothed / smoothed.sum(axis=-1, keepdims=True))
