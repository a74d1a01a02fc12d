"""Plackett–Luce: places of a list that are drawn with known probabilities.

    first place    P(i) = w_i / Σ w
    next ones      the same among the candidates that are left

Adding Gumbel noise to the logarithms of the weights and sorting draws all places at once.
The probability of a rank given the ranks above is a quotient. Regardless of those above,

    P(i at rank r + 1) = ∫ p_i exp(-p_i t) · P(r others before t) dt,    p = w / Σ w

because candidates that arrive after exponential times with these rates arrive in such an
order. The integral is a sum over steps of ln t, and the number of others before t is
counted from both ends of the candidates, without i.

Source:
    Plackett, "The Analysis of Permutations", 1975; Kool, van Hoof and Welling, "Stochastic
    Beams and Where to Find Them", ICML 2019 (Gumbel-top-k).
"""

from typing import Final

import numpy as np

from batch.arrays import Doubles, Rows

_STEP: Final = 0.4  # of ln t: the sum converges exponentially
_FIRST: Final = 1e-6  # share of the first arrivals before the sum begins
_LAST: Final = 30.0  # expected arrivals of the rarest candidate when it ends
_MIN_SHARE: Final = 1e-12
_BLOCK_USERS: Final = 64


def draw(log_weights: Doubles, n_places: int, random: np.random.Generator) -> Rows:
    """Return (n_users, n_places) candidates in the order drawn.

    Args:
        log_weights: (n_users, n_candidates), -inf for a candidate that is not drawn.
        n_places: Number of places, at most the number of candidates with a weight.
        random: Random generator.
    """
    keys = log_weights + random.gumbel(size=log_weights.shape)
    return np.asarray(np.argsort(-keys, axis=1, kind="stable")[:, :n_places], np.int64)


def conditional_propensities(log_weights: Doubles, drawn: Rows) -> Doubles:
    """Return (n_users, n_places) the probability of each rank's candidate, given those above."""
    weights = _shares(log_weights)
    chosen = np.take_along_axis(weights, drawn, axis=1)
    above = np.cumsum(chosen, axis=1) - chosen
    left = np.maximum(1 - above, np.maximum(chosen, np.finfo(np.float64).tiny))
    return np.asarray(np.minimum(chosen / left, 1.0))


def rank_propensities(log_weights: Doubles, n_places: int) -> Doubles:
    """Return (n_users, n_candidates, n_places) the probability of a candidate at each rank."""
    found = np.empty((*log_weights.shape, n_places))
    for first in range(0, len(log_weights), _BLOCK_USERS):
        block = slice(first, first + _BLOCK_USERS)
        found[block] = _rank_propensities(_shares(log_weights[block]), n_places)
    return found


def _rank_propensities(shares: Doubles, n_places: int) -> Doubles:
    rarest = max(float(shares[shares > 0].min()), _MIN_SHARE)
    times = np.exp(np.arange(np.log(_FIRST), np.log(_LAST / rarest), _STEP))
    arrived = -np.expm1(-shares[:, :, None] * times)
    before = _counts(arrived, n_places)
    behind = _counts(arrived[:, ::-1], n_places)[:, ::-1]
    density = shares[:, :, None] * times * (1 - arrived) * _STEP
    found = np.zeros((*shares.shape, n_places))
    for n in range(n_places):
        for i in range(n + 1):
            found[:, :, n] += (density * before[:, :, :, i] * behind[:, :, :, n - i]).sum(axis=2)
    return found


def _counts(arrived: Doubles, n: int) -> Doubles:
    """Return (…, n) probabilities of 0, 1 … arrivals among the candidates before each one."""
    found = np.zeros((*arrived.shape, n))
    found[:, 0, :, 0] = 1
    for i in range(1, arrived.shape[1]):
        chance = arrived[:, i - 1, :, None]
        found[:, i] = found[:, i - 1] * (1 - chance)
        found[:, i, :, 1:] += found[:, i - 1, :, :-1] * chance
    return found


def _shares(log_weights: Doubles) -> Doubles:
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
