"""Sample ratio: whether the arms have the users that their shares promise, at any look.

    E = P(counts | shares around θ, Dirichlet(c·θ)) / P(counts | shares θ),   p = min 1 / E

Arms with other shares than planned point to a defect of the assignment or of the logs, and
no figure of such an experiment is worth reading.

Source:
    Lindon and Malek, "Anytime-Valid Inference for Multinomial Count Data", 2020,
    arXiv 2011.03567.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.special import gammaln

from batch.arrays import AnyFloats, Doubles, Integers
from batch.errors import InputError

CONCENTRATION: Final = 100.0  # how near to θ other shares are expected, in users
MAX_P: Final = 0.01  # p value below which there is an alarm


def log_likelihoods(
    counts: Integers, shares: Sequence[float], prior: AnyFloats
) -> tuple[Doubles, Doubles]:
    """Return ln P of the users in their order, under other shares and under the planned ones.

    Args:
        counts: (…, n_arms) users of each arm.
        shares: (n_arms,) planned shares.
        prior: (n_arms,) parameters of the Dirichlet distribution.
    """
    other = (
        gammaln(prior.sum())
        - gammaln(prior).sum()
        + gammaln(prior + counts).sum(axis=-1)
        - gammaln(prior.sum() + counts.sum(axis=-1))
    )
    planned = (counts * np.log(shares)).sum(axis=-1)
    return np.asarray(other), np.asarray(planned)


def sample_ratio_p(
    counts: Integers, shares: Sequence[float], concentration: float = CONCENTRATION
) -> Doubles:
    """Return (n_looks,) p values, each the smallest up to its look.

    Args:
        counts: (n_looks, n_arms) users of each arm up to each look.
        shares: (n_arms,) planned shares, which sum to 1.
        concentration: Concentration of other shares around the planned ones.

    Raises:
        InputError: The shares are not positive or do not sum to 1.
    """
    planned = np.asarray(shares, np.float64)
    if (planned <= 0).any() or abs(planned.sum() - 1) > 1e-9:
        raise InputError("shares", f"{list(shares)} are not shares of arms", "let them sum to 1")
    under_other, under_planned = log_likelihoods(counts, shares, concentration * planned)
    evidence = np.maximum.accumulate(under_other - under_planned)
    return np.asarray(np.exp(np.minimum(0.0, -evidence)))
