"""One random generator for each purpose, so that no part of a world affects another."""

from collections.abc import Iterable
from zlib import crc32

import numpy as np

from batch.arrays import Doubles


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """Return the generator of one purpose, such as `generator(42, "views", block)`."""
    return np.random.default_rng([seed, crc32(purpose.encode()), *numbers])


def shares(weights: Iterable[float]) -> Doubles:
    """Return weights as shares that sum to exactly 1, which `Generator.choice` requires."""
    given = np.fromiter(weights, np.float64)
    return np.asarray(given / given.sum())
