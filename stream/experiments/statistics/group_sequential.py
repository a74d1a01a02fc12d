"""Group sequential tests: some looks at a planned test, whose errors add up to alpha.

    look        1     2     3     4
    spent       .0000 .0031 .0193 .05      a spending function of the elapsed share
    bound on |z| ∞    2.96  2.36  2.01     so that P(first crossing here) = what was spent here

Between looks the sum of evidence, z · √information, moves like a Brownian motion, so the
density of sums that have not crossed is carried from look to look by integration.

Source:
    Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 1983;
    Armitage, McPherson and Rowe, "Repeated significance tests on accumulating data",
    JRSS A 1969 (the recursion).
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from batch.arrays import Doubles

_NODES_PER_STEP: Final = 4  # quadrature nodes in one deviation between two looks
_NODE_BLOCK: Final = 32
_MAX_NODES: Final = 512
_MAX_Z: Final = 9.0  # |z| beyond which a normal density is nothing in double precision
_MIN_NEW_SHARE: Final = 0.001  # least growth of information that the nodes resolve
_MIN_FIRST_SHARE: Final = 1e-6
_TINY: Final = 1e-100
_ROOT_TWO_PI: Final = math.sqrt(2 * math.pi)

# Function from the elapsed share, 0 to 1, and the error of one side to the error spent so far.
Spending = Callable[[float, float], float]


def obrien_fleming(share: float, alpha: float) -> float:
    """Return the error spent: almost none early, so the last bound is nearly the fixed one."""
    return 2 - 2 * float(ndtr(ndtri(1 - alpha / 2) / math.sqrt(share))) if share > 0 else 0.0


def pocock(share: float, alpha: float) -> float:
    """Return the error spent: bounds are nearly the same at every look."""
    return alpha * math.log(1 + (math.e - 1) * share)


def power_family(exponent: float) -> Spending:
    """Return the spending function alpha · share ** exponent of Kim and DeMets."""
    return lambda share, alpha: alpha * share**exponent


class _Density(NamedTuple):
    """Sums that have not crossed: `mass` is density times quadrature weight at `nodes`."""

    nodes: Doubles
    mass: Doubles
    information: float


_START: Final = _Density(np.zeros(1), np.ones(1), 0.0)


def bounds(information: Doubles, spent: Doubles, *, is_two_sided: bool = True) -> Doubles:
    """Return (n_looks,) bounds on z, or on |z|.

    Args:
        information: (n_looks,) 1 / variance of the effect, up to a common factor. A look with
            less than 0.1 % more than the one before counts as one with 0.1 % more.
        spent: (n_looks,) error of one side that is spent up to each look, ascending.
        is_two_sided: Whether crossing -bound ends the test as well.

    Returns:
        Bounds; infinite where nothing is spent.
    """
    found = np.full(len(spent), np.inf)
    density, before = _START, 0.0
    for look, (now, total) in enumerate(zip(_growing(information), spent.tolist(), strict=True)):
        root = math.sqrt(now)
        share, before = total - before, max(total, before)
        found[look] = _bound(density, now, share)
        if found[look] < math.inf:
            high = found[look] * root
            density = _next(density, now, (-high if is_two_sided else -_MAX_Z * root, high))
    return found


def _growing(information: Doubles) -> list[float]:
    """Return the information of each look, above 0 and ascending."""
    found = [max(float(information[0]), _MIN_FIRST_SHARE * float(information.max()), _TINY)]
    for now in information[1:].tolist():
        found.append(max(now, found[-1] * (1 + _MIN_NEW_SHARE)))
    return found


def _bound(density: _Density, information: float, share: float) -> float:
    """Return the z that is exceeded at this look, and not before, with probability `share`."""
    root, step = math.sqrt(information), math.sqrt(information - density.information)

    def excess(z: float) -> float:
        return float(density.mass @ ndtr((density.nodes - z * root) / step)) - share

    if excess(_MAX_Z) >= 0:  # less is spent than the density can resolve
        return math.inf
    return float(brentq(excess, -_MAX_Z, _MAX_Z, xtol=1e-10))


def _next(density: _Density, information: float, between: tuple[float, float]) -> _Density:
    """Return the density at the next look, of sums that stay between two limits."""
    low, high = between
    step = math.sqrt(information - density.information)
    blocks = math.ceil(_NODES_PER_STEP * (high - low) / step / _NODE_BLOCK)
    points, weights = _quadrature(min(blocks * _NODE_BLOCK, _MAX_NODES))
    nodes = (high - low) / 2 * points + (high + low) / 2
    moved = (nodes[:, None] - density.nodes) / step
    values = np.exp(-(moved**2) / 2) @ density.mass / (step * _ROOT_TWO_PI)
    return _Density(nodes, values * weights * (high - low) / 2, information)


@cache
def _quadrature(n_nodes: int) -> tuple[Doubles, Doubles]:
    """Return nodes and weights of Gauss and Legendre between -1 and 1."""
    points, weights = np.polynomial.legendre.leggauss(n_nodes)
    return points, weights
