"""Training the rating model: sweeps of variational Bayes over users and items.

    items' moments ─► users' posteriors, a chunk at a time ─► their moments ─► items' posteriors
                        └─► both priors and the noise variance are fitted again ◄─┘

No regularization has to be set: the priors' variances and the noise variance are
estimated in the same sweeps. With very many ratings the sweeps run over a random
sample of users, and one last sweep over all of them.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import AnyFloats, Flags, Rows
from batch.errors import BatchError
from batch.interactions.build import Ratings
from batch.ratings.implicit_features import (
    N_COUNT_FEATURES,
    ImplicitFeatures,
    find_implicit_features,
)
from batch.ratings.model import RatingFactors, RatingModel, Scale
from batch.ratings.prior import Prior, PriorStatistics, fit_prior, initial_prior
from batch.ratings.users import USERS_PER_CHUNK, RatedUsers, update_users
from batch.ratings.vectors import Posterior, expected_squared_error, moments, solve
from batch.sampling import sample_users
from batch.threads import usable

MAX_SWEPT_RATINGS: Final = 3_000_000
_INITIAL_FACTOR_SIZE: Final = 0.3  # of the items' first factors
_MIN_NOISE: Final = 1e-6  # for ratings of unit variance: data without noise stays solvable


@dataclass(frozen=True, slots=True)
class RatingOptions:
    """Options of the training.

    The defaults were chosen by a split inside four fifths of ml-latest-small, and on
    no other data.

    Attributes:
        n_factors: Number of factors; 0 trains the biases alone.
        seed: Random seed of sampling and initial factors.
        n_directions: Number of singular vectors among the implicit features.
        iterations: Number of sweeps over users and items.
        n_threads: Number of threads; 0 means one for each processor this process may use.
        max_ratings: Limit on the ratings of all sweeps but the last; above it, users are sampled.
        users_per_chunk: Number of users solved at a time by one thread.
    """

    n_factors: int
    seed: int
    n_directions: int = 60
    iterations: int = 12
    n_threads: int = 0
    max_ratings: int = MAX_SWEPT_RATINGS
    users_per_chunk: int = USERS_PER_CHUNK


def train_ratings(
    ratings: Ratings, n_users: int, n_items: int, options: RatingOptions
) -> RatingModel | None:
    """Fit the rating model; None if `ratings` is empty.

    Args:
        ratings: Ratings, at most one for each user and item.
        n_users: Number of user rows, those without ratings included.
        n_items: Number of item rows, those without ratings included.
        options: Options of the training.

    Raises:
        BatchError: A rating, or a vector learned from them, is not finite.
    """
    if not len(ratings.rating):
        return None
    _check_finite("ratings", ratings.rating)
    has_user = np.bincount(ratings.user_row, minlength=n_users) > 0
    has_item = np.bincount(ratings.item_row, minlength=n_items) > 0
    table = _table(ratings, has_user, has_item)
    lowest, mean, unit = table.data.min(), float(table.data.mean()), float(table.data.std()) or 1.0
    table.data = (table.data - mean) / unit
    with threadpool_limits(1, "blas"):  # more threads would sum in another order
        users, items = _run_sweeps(table, options)
    _check_finite("the rating model's vectors", users, items)
    users, items, centre = _centre_users(users, items)
    return RatingModel(
        mean + unit * centre,
        Scale(min(1.0, float(lowest)), ratings.best),
        _rating_factors(users, unit, has_user),
        _rating_factors(items, unit, has_item),
    )


def _table(ratings: Ratings, has_user: Flags, has_item: Flags) -> sp.csr_matrix:
    """Return the ratings of the users and items that have any.

    The table is sorted, so sums are the same whatever order the ratings came in.
    """
    cells = (_rated_row(has_user)[ratings.user_row], _rated_row(has_item)[ratings.item_row])
    rating = ratings.rating.astype(np.float64)
    return sp.csr_matrix((rating, cells), (has_user.sum(), has_item.sum()))


class _State(NamedTuple):
    """State between two sweeps."""

    items: Posterior
    user_prior: Prior
    item_prior: Prior
    noise: float


def _run_sweeps(table: sp.csr_matrix, options: RatingOptions) -> tuple[AnyFloats, AnyFloats]:
    """Return the users' and the items' vectors (bias, factors) for ratings about 0."""
    is_sampled = sample_users(table.getnnz(axis=1), options.max_ratings, options.seed)
    features = find_implicit_features(table, is_sampled, options.n_directions, options.seed)
    everyone = RatedUsers(table, features.users)
    is_everyone = bool(is_sampled.all())
    sample = everyone
    if not is_everyone:
        sample = RatedUsers(table[is_sampled], features.users[is_sampled])
    prior = initial_prior(features.items.shape[1], options.n_factors)
    first_items = _initial_items(features, options.n_factors, options.seed)
    state = _State(first_items, prior, prior, 1.0)
    users: AnyFloats = np.empty(0)
    for _ in range(options.iterations):
        users, state = _sweep(sample, features.items, state, options)
    if not is_everyone:
        users, state = _sweep(everyone, features.items, state, options)
    return users, state.items.mean


def _sweep(
    users: RatedUsers, item_features: AnyFloats, state: _State, options: RatingOptions
) -> tuple[AnyFloats, _State]:
    """Update the users, then the items, then both priors and the noise variance."""
    means, statistics = update_users(
        users,
        moments(state.items),
        state.user_prior,
        state.noise,
        usable(options.n_threads),
        options.users_per_chunk,
    )
    equations = statistics.item_equations
    items = solve(equations, item_features, state.item_prior, state.noise)
    error = expected_squared_error(equations, items, statistics.total)
    noise = max(error / users.rating.nnz, _MIN_NOISE)
    item_prior = fit_prior(PriorStatistics.of(item_features, *items))
    return means, _State(items, fit_prior(statistics.prior), item_prior, noise)


def _initial_items(features: ImplicitFeatures, n_factors: int, seed: int) -> Posterior:
    """Return the implicit features as first factors, random beyond them, and biases of 0."""
    n_items, n_features = features.items.shape
    factors = np.random.default_rng(seed).standard_normal((n_items, n_factors))
    n_taken = min(n_factors, n_features - N_COUNT_FEATURES)
    factors[:, :n_taken] = features.items[:, :n_taken]
    mean = np.column_stack((np.zeros(n_items), _INITIAL_FACTOR_SIZE * factors))
    return Posterior(mean, np.zeros((n_items, 1 + n_factors, 1 + n_factors)))


def _centre_users(users: AnyFloats, items: AnyFloats) -> tuple[AnyFloats, AnyFloats, float]:
    """Return the same model with the average user at 0, and what that adds to the mean.

    No prediction changes, except that for a user without ratings, whose vector is 0: it
    becomes the average user's.
    """
    average = users.mean(axis=0)
    items = items.copy()
    items[:, 0] += items[:, 1:] @ average[1:]
    return users - average, items, float(average[0])


def _rated_row(is_rated: Flags) -> Rows:
    """Return for each row its row number among the rated ones."""
    return np.cumsum(is_rated) - 1


def _rating_factors(vectors: AnyFloats, unit: float, is_rated: Flags) -> RatingFactors:
    bias = np.zeros(len(is_rated))
    bias[is_rated] = unit * vectors[:, 0]
    factors = np.zeros((len(is_rated), vectors.shape[1] - 1), dtype=np.float32)
    factors[is_rated] = np.sqrt(unit) * vectors[:, 1:]
    return RatingFactors(is_rated, bias, factors)


def _check_finite(subject: str, *arrays: AnyFloats) -> None:
    n_bad = sum(int((~np.isfinite(values)).sum()) for values in arrays)
    if n_bad:
        raise BatchError(
            subject,
            f"{n_bad:,} of {sum(values.size for values in arrays):,} numbers are NaN or infinite",
            "leave out the files with such ratings; if no file has any, report a bug",
        )
