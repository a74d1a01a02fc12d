"""Features of vectors from outside: unit length, centred, at most 128 principal components.

    vectors ─► each of length 1 ─► minus their mean ─► principal components ─► features

Length 1 leaves the direction, which is what embeddings are compared by. Their mean is removed,
for many models put all texts into one narrow cone. The features of all vectors together have one
mean length, so that a ridge regression treats any model's vectors alike.

Source:
    Halko, Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 2011,
    algorithm 4.4: principal components by randomized subspace iteration.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Floats

_MAX_COMPONENTS: Final = 128
_MAX_ROWS: Final = 20_000  # that the components are computed from
_N_FURTHER: Final = 16  # dimensions of the iteration beyond the components
_N_ITERATIONS: Final = 4
_MEAN_LENGTH: Final = 1.0  # of the features (root mean square): about that of one genre
_MIN_LENGTH: Final = 1e-6  # of centred vectors; shorter ones are rounding errors of equal vectors


@dataclass(frozen=True, slots=True)
class Projection:
    """A map from vectors to features.

    Attributes:
        mean: (length,) mean of the vectors of length 1.
        components: (length, n_features) directions, scaled.
    """

    mean: Floats
    components: Floats

    @property
    def n_features(self) -> int:
        """Number of features of a vector."""
        return int(self.components.shape[1])

    def __call__(self, vectors: Floats) -> Doubles:
        """Return (n, n_features), the features of some vectors."""
        with threadpool_limits(1, "blas"):
            return np.asarray((_unit(vectors) - self.mean) @ self.components, np.float64)


def learn_projection(vectors: Floats, seed: int) -> Projection:
    """Find the principal components of vectors; the same on any number of threads.

    Args:
        vectors: (n, length), at least one; of many an even sample is used.
        seed: Random seed of the iteration.
    """
    n_rows, length = vectors.shape
    rows = np.unique(np.linspace(0, n_rows - 1, min(n_rows, _MAX_ROWS)).astype(np.int64))
    unit = _unit(vectors[rows])
    mean = unit.mean(axis=0)
    centred = unit - mean
    mean_length = float(np.sqrt((centred.astype(np.float64) ** 2).sum(axis=1).mean()))
    with threadpool_limits(1, "blas"):
        components = _components(centred, seed) if length > _MAX_COMPONENTS else np.eye(length)
    scale = _MEAN_LENGTH / mean_length if mean_length > _MIN_LENGTH else 0.0
    return Projection(mean, (scale * components).astype(np.float32))


def _unit(vectors: Floats) -> Floats:
    """Return vectors of length 1; one of zeros stays as it is."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    scaled = vectors / np.where(largest > 0, largest, 1)  # squares of the others may overflow
    lengths = np.sqrt((scaled**2).sum(axis=1, keepdims=True))
    return np.asarray(scaled / np.where(lengths > 0, lengths, 1), np.float32)


def _components(centred: Floats, seed: int) -> Doubles:
    """Return (length, n_components) orthonormal directions of the largest variance."""
    random = np.random.default_rng(seed)
    n_dimensions = min(_MAX_COMPONENTS + _N_FURTHER, *centred.shape)
    basis = random.standard_normal((centred.shape[1], n_dimensions)).astype(np.float32)
    for _ in range(_N_ITERATIONS):
        basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
    _, _, directions = np.linalg.svd(centred @ basis, full_matrices=False)
    return np.asarray(basis @ directions[:_MAX_COMPONENTS].T, np.float64)
