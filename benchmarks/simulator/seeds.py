"""Random numbers by purpose: each part of a world has its own, so that none disturbs another."""

from collections.abc import Iterable
from zlib import crc32

import numpy as np
import numpy.typing as npt


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the generator of one purpose, such as `generator(42, "views", block)`."""
    return np.random.default_rng([seed, crc32(purpose.encode()), *numbers])


def shares(weights: Iterable[float]) -> npt.NDArray[np.float64]:
    """Return weights as shares that sum to 1, as numpy wants them; rounded ones rarely do."""
    given = np.fromiter(weights, np.float64)
    return np.asarray(given / given.sum())
