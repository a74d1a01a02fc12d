"""The users' half of a sweep, in chunks: each is solved, tells the items, and is forgotten.

Only the means of the users' vectors are kept. Their covariances are needed for what
they tell the items, which is a sum, so memory hardly grows with users; and the
sum comes in one order on any machine.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.ratings.model import Floats
from batch.ratings.prior import Prior, Sums
from batch.ratings.vectors import Evidence, Told, gather, solve, tell

_CHUNK: Final = 16_384  # users; each of their matrices takes 10 MB at 8 factors


class Chunk(NamedTuple):
    """Some users.

    Attributes:
        is_rated: (n_users, n_items), 1 where there is a rating.
        rating: (n_users, n_items), about 0.
        tastes: (n_users, n_features).
    """

    is_rated: sp.csr_matrix
    rating: sp.csr_matrix
    tastes: Floats


class Heard(NamedTuple):
    """What users tell together; that of more users adds up.

    Attributes:
        squares, pull: Evidence of each item.
        rest: Sum of the squares of what the users' biases leave to explain.
        sums: What the users' prior is learned from.
    """

    squares: Floats
    pull: Floats
    rest: float
    sums: Sums

    def plus(self, other: "Heard") -> "Heard":
        """Return what both tell."""
        return Heard(
            self.squares + other.squares,
            self.pull + other.pull,
            self.rest + other.rest,
            self.sums.plus(other.sums),
        )


def split_users(is_rated: sp.csr_matrix, rating: sp.csr_matrix, tastes: Floats) -> list[Chunk]:
    """Cut all users into chunks, by number alone."""
    parts = [slice(begin, begin + _CHUNK) for begin in range(0, rating.shape[0], _CHUNK)]
    return [Chunk(is_rated[part], rating[part], tastes[part]) for part in parts]


def hear_users(
    chunks: Sequence[Chunk], told: Told, prior: Prior, noise: float
) -> tuple[Floats, Heard]:
    """Solve all users.

    Args:
        chunks: The users.
        told: By the items.
        prior: Of the users.
        noise: Variance of a rating about what the model expects.

    Returns:
        The means of their vectors, (n_users, 1 + n_factors), and what they tell.
    """
    heard: Heard | None = None
    means = []
    for chunk in chunks:
        mean, now = _hear(chunk, told, prior, noise)
        means.append(mean)
        heard = now if heard is None else heard.plus(now)
    assert heard is not None, "there is no chunk without users"
    return np.concatenate(means), heard


def _hear(chunk: Chunk, told: Told, prior: Prior, noise: float) -> tuple[Floats, Heard]:
    is_rated, rating, tastes = chunk
    vectors = solve(gather(is_rated, rating, told), tastes, prior, noise)
    of_items: Evidence = gather(is_rated.T, rating.T, tell(vectors))
    bias, variance = vectors.mean[:, 0], vectors.covariance[:, 0, 0]
    rest = (
        float(np.vdot(rating.data, rating.data))
        - 2 * float(bias @ (rating @ np.ones(rating.shape[1])))
        + float(is_rated.getnnz(axis=1) @ (bias**2 + variance))
    )
    return vectors.mean, Heard(*of_items, rest, Sums.of(tastes, *vectors))
