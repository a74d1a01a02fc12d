"""Asymptotic confidence sequences: intervals that hold at every look together.

    two-sided    E(z) = exp(z² m / (2 (m + 1))) / √(m + 1)
    one-sided    E(z) = 2 exp(z² m / (2 (m + 1))) Φ(z √(m / (m + 1))) / √(m + 1)
    m = n rho²,  z = effect / standard error,  p = min(1, 1 / E),  interval: E < 1 / alpha

E is a mixture of likelihood ratios over effects, a martingale while there is no effect, so
it rarely exceeds 1 / alpha at any time (Ville). rho decides at which number of users the
interval is narrowest; it may not depend on the data.

Source:
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory
    and asymptotic confidence sequences", arXiv 2103.06476, theorem 2.2 and the one-sided
    sequences of appendix B; Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform,
    nonparametric, nonasymptotic confidence sequences", 2021 (normal mixtures).
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import lambertw, log_ndtr


def mixture_scale(n_users: float, alpha: float) -> float:
    """Return rho for the narrowest interval at `n_users`, in its closed form.

    For one side, `alpha` is twice the level.
    """
    twice_log = -2 * math.log(alpha)
    return math.sqrt((twice_log + math.log(twice_log + 1)) / n_users)


def exact_mixture_scale(n_users: float, alpha: float) -> float:
    """Return rho for the narrowest interval at `n_users`, by Lambert's function."""
    branch = float(np.real(lambertw(-(alpha**2) / math.e, -1)))
    return math.sqrt((-branch - 1) / n_users)


def two_sided_multiplier(n_users: float, scale: float, alpha: float) -> float:
    """Return the half width of the interval in standard errors."""
    m = n_users * scale**2
    return math.sqrt(2 * (m + 1) / m * math.log(math.sqrt(m + 1) / alpha))


def one_sided_multiplier(n_users: float, scale: float, alpha: float) -> float:
    """Return the distance of a one-sided bound from the estimate, in standard errors."""
    goal = -math.log(alpha)
    highest = two_sided_multiplier(n_users, scale, alpha)  # always above the one-sided one
    return float(brentq(lambda z: one_sided_log_evidence(z, n_users, scale) - goal, 0.0, highest))


def two_sided_log_evidence(z: float, n_users: float, scale: float) -> float:
    """Return ln E, the evidence against no effect."""
    m = n_users * scale**2
    return z**2 * m / (2 * (m + 1)) - math.log(m + 1) / 2


def one_sided_log_evidence(z: float, n_users: float, scale: float) -> float:
    """Return ln E, the evidence for an effect above 0."""
    m = n_users * scale**2
    tail = float(log_ndtr(z * math.sqrt(m / (m + 1))))
    return math.log(2) + tail + two_sided_log_evidence(z, n_users, scale)


def always_valid_p(log_evidence: float) -> float:
    """Return the p value that may be looked at at any time."""
    return math.exp(min(0.0, -log_evidence))
