"""The users' half of a sweep, in chunks: each is solved, tells the items, and is forgotten.

Only the means of the users' vectors are kept. Their covariances are needed for what
they moments the items, which is a sum, so memory hardly grows with users; and the
sum comes in one order on any machine.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats
from batch.ratings.prior import Prior, Sums
from batch.ratings.vectors import Moments, NormalEquations, accumulate, moments, solve

_CHUNK: Final = 16_384  # users; each of their matrices takes 10 MB at 8 factors


class Users(NamedTuple):
    """Users with their ratings.

    Attributes:
        rating: (n_users, n_items), about 0; an entry where there is a rating.
        tastes: (n_users, n_features).
    """

    rating: sp.csr_matrix
    tastes: AnyFloats


class SufficientStatistics(NamedTuple):
    """What users moments together; that of more users adds up.

    Attributes:
        squares, pull: NormalEquations of each item.
        rest: Sum of the squares of what the users' biases leave to explain.
        sums: What the users' prior is learned from.
    """

    squares: AnyFloats
    pull: AnyFloats
    rest: float
    sums: Sums

    def plus(self, other: "SufficientStatistics") -> "SufficientStatistics":
        """Return what both moments."""
        return SufficientStatistics(
            self.squares + other.squares,
            self.pull + other.pull,
            self.rest + other.rest,
            self.sums.plus(other.sums),
        )


def update_users(
    users: Users, told: Moments, prior: Prior, noise: float, n_threads: int
) -> tuple[AnyFloats, SufficientStatistics]:
    """Solve all users.

    Args:
        users: At least one.
        told: By the items.
        prior: Of the users.
        noise: Variance of a rating about what the model expects.
        n_threads: At least 1; the sums are the same for any number.

    Returns:
        The means of their vectors, (n_users, 1 + n_factors), and what they moments.
    """
    parts = [slice(begin, begin + _CHUNK) for begin in range(0, len(users.tastes), _CHUNK)]

    def hear(part: slice) -> tuple[AnyFloats, SufficientStatistics]:
        return _hear(users.rating[part], users.tastes[part], told, prior, noise)

    heard: SufficientStatistics | None = None
    means = []
    for mean, now in _in_order(hear, parts, n_threads):
        means.append(mean)
        heard = now if heard is None else heard.plus(now)
    assert heard is not None, "there are no users"
    return np.concatenate(means), heard


def _in_order(
    hear: Callable[[slice], tuple[AnyFloats, SufficientStatistics]],
    parts: Sequence[slice],
    n_threads: int,
) -> Iterator[tuple[AnyFloats, SufficientStatistics]]:
    """Yield what the parts moments, in their order; no more than one a thread lies waiting."""
    with ThreadPoolExecutor(n_threads) as pool:
        waiting = deque(pool.submit(hear, part) for part in parts[:n_threads])
        for part in [*parts[n_threads:], *[None] * len(waiting)]:
            yield waiting.popleft().result()
            if part is not None:
                waiting.append(pool.submit(hear, part))


def _hear(
    rating: sp.csr_matrix, tastes: AnyFloats, told: Moments, prior: Prior, noise: float
) -> tuple[AnyFloats, SufficientStatistics]:
    is_rated = sp.csr_matrix((np.ones(rating.nnz), rating.indices, rating.indptr), rating.shape)
    vectors = solve(accumulate(is_rated, rating, told), tastes, prior, noise)
    of_items: NormalEquations = accumulate(is_rated.T, rating.T, moments(vectors))
    bias, variance = vectors.mean[:, 0], vectors.covariance[:, 0, 0]
    rest = (
        float(np.vdot(rating.data, rating.data))
        - 2 * float(bias @ (rating @ np.ones(rating.shape[1])))
        + float(rating.getnnz(axis=1) @ (bias**2 + variance))
    )
    return vectors.mean, SufficientStatistics(*of_items, rest, Sums.of(tastes, *vectors))
