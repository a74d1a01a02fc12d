"""The users' half of a sweep, in chunks: solve each, add up its sufficient statistics, drop it.

Only the means of the users' vectors are kept. Their covariances enter the items'
equations as a sum, so memory hardly grows with the number of users. The sum is taken
in one order on any machine, so results do not depend on the number of threads.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import AnyFloats
from batch.ratings.prior import Prior, PriorStatistics
from batch.ratings.vectors import Moments, NormalEquations, accumulate, moments, solve

USERS_PER_CHUNK: Final = 16_384  # whose matrices take 10 MB each at 8 factors


class RatedUsers(NamedTuple):
    """Users with their ratings.

    Attributes:
        rating: (n_users, n_items), about 0; an entry for each rating.
        features: (n_users, n_features) implicit features.
    """

    rating: sp.csr_matrix
    features: AnyFloats


class SufficientStatistics(NamedTuple):
    """What the rest of a sweep needs of some users; that of disjoint users adds up.

    Attributes:
        item_equations: Normal equations of the items.
        total: Sum over the ratings of the expected square of (rating - user_bias).
        prior: Statistics of the users' prior.
    """

    item_equations: NormalEquations
    total: float
    prior: PriorStatistics

    def plus(self, other: "SufficientStatistics") -> "SufficientStatistics":
        """Return the statistics of both sets of users."""
        return SufficientStatistics(
            self.item_equations.plus(other.item_equations),
            self.total + other.total,
            self.prior.plus(other.prior),
        )


class _Chunk(NamedTuple):
    mean: AnyFloats
    statistics: SufficientStatistics


def update_users(
    users: RatedUsers,
    items: Moments,
    prior: Prior,
    noise: float,
    n_threads: int,
    users_per_chunk: int = USERS_PER_CHUNK,
) -> tuple[AnyFloats, SufficientStatistics]:
    """Compute the posteriors of all users.

    Args:
        users: One user or more.
        items: Moments of the items.
        prior: Prior of the users.
        noise: Variance of a rating about its prediction.
        n_threads: Number of threads, at least 1; the results are the same for any number.
        users_per_chunk: Number of users solved at a time by one thread.

    Returns:
        The (n_users, 1 + n_factors) posterior means, and the sufficient statistics.
    """
    n_users = len(users.features)
    parts = [slice(begin, begin + users_per_chunk) for begin in range(0, n_users, users_per_chunk)]

    def update(part: slice) -> _Chunk:
        return _update_chunk(
            RatedUsers(users.rating[part], users.features[part]), items, prior, noise
        )

    total: SufficientStatistics | None = None
    means = []
    for mean, statistics in _map_in_order(update, parts, n_threads):
        means.append(mean)
        total = statistics if total is None else total.plus(statistics)
    assert total is not None, "the rating model needs at least one user"
    return np.concatenate(means), total


def _map_in_order(
    update: Callable[[slice], _Chunk], parts: Sequence[slice], n_threads: int
) -> Iterator[_Chunk]:
    """Yield the results in the order of the parts, at most one a thread computed ahead."""
    with ThreadPoolExecutor(n_threads) as pool:
        pending = deque(pool.submit(update, part) for part in parts[:n_threads])
        for part in [*parts[n_threads:], *[None] * len(pending)]:
            yield pending.popleft().result()
            if part is not None:
                pending.append(pool.submit(update, part))


def _update_chunk(users: RatedUsers, items: Moments, prior: Prior, noise: float) -> _Chunk:
    rating, features = users
    is_rated = sp.csr_matrix((np.ones(rating.nnz), rating.indices, rating.indptr), rating.shape)
    posterior = solve(accumulate(is_rated, rating, items), features, prior, noise)
    item_equations = accumulate(is_rated.T, rating.T, moments(posterior))
    bias, variance = posterior.mean[:, 0], posterior.covariance[:, 0, 0]
    total = (
        float(np.vdot(rating.data, rating.data))
        - 2 * float(bias @ (rating @ np.ones(rating.shape[1])))
        + float(rating.getnnz(axis=1) @ (bias**2 + variance))
    )
    of_prior = PriorStatistics.of(features, *posterior)
    return _Chunk(posterior.mean, SufficientStatistics(item_equations, total, of_prior))
