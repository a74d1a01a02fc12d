"""Training the rating model: sweeps over users and items until all agree.

    items moments ─► users solve, a chunk at a time, and moments ─► items solve
                        └─► both priors and the noise are learned again ◄─┘

There is no regularization to set: how far vectors may spread, and how far ratings
scatter, are learned in the same sweeps, by variational Bayes. Where there are very
many ratings the sweeps are over users drawn by lot, and one more is over everybody.
"""

from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import AnyFloats, Flags, Rows
from batch.errors import BatchError
from batch.interactions.build import Ratings
from batch.ratings.implicit_features import N_COUNTS, ImplicitFeatures, find_implicit_features
from batch.ratings.model import RatingModel, Scale, Side
from batch.ratings.prior import Prior, Sums, first_prior, learn_prior
from batch.ratings.users import Users, update_users
from batch.ratings.vectors import NormalEquations, Vectors, moments, solve, unexplained
from batch.sampling import sample_users
from batch.threads import usable

# Chosen by a split inside four fifths of ml-latest-small; no other data was looked at.
N_TASTES: Final = 60
ITERATIONS: Final = 12

_FIRST_SIZE: Final = 0.3  # of the items' first factors
_MOST: Final = 3_000_000  # ratings that all sweeps are over
_LEAST_NOISE: Final = 1e-6  # for ratings of unit variance: data without noise stays solvable


def train_ratings(
    ratings: Ratings,
    n_users: int,
    n_items: int,
    *,
    n_factors: int,
    seed: int,
    n_tastes: int = N_TASTES,
    iterations: int = ITERATIONS,
    n_threads: int = 0,
) -> RatingModel | None:
    """Fit the rating model; None where there are no ratings.

    Args:
        ratings: At most one of each user and item.
        n_users: Rows of users, those without ratings included.
        n_items: Rows of items, likewise.
        n_factors: Length of a vector; 0 leaves the biases.
        seed: Of everything random.
        n_tastes: Directions of who rates what that inform the vectors.
        iterations: Sweeps over users and items.
        n_threads: 0 means one for each processor that this process may use.

    Raises:
        BatchError: A rating, or what became of it, is not finite.
    """
    if not len(ratings.rating):
        return None
    _check_finite("ratings", ratings.rating)
    has_user = np.bincount(ratings.user_row, minlength=n_users) > 0
    has_item = np.bincount(ratings.item_row, minlength=n_items) > 0
    place = (_places(has_user)[ratings.user_row], _places(has_item)[ratings.item_row])
    rating = ratings.rating.astype(np.float64)
    # It comes sorted, so the sums are the same whatever order the ratings came in.
    table = sp.csr_matrix((rating, place), (has_user.sum(), has_item.sum()))
    lowest, mean, unit = table.data.min(), float(table.data.mean()), float(table.data.std()) or 1.0
    table.data = (table.data - mean) / unit
    with threadpool_limits(1, "blas"):  # more threads would sum in another order
        users, items = _learn(table, n_factors, n_tastes, iterations, seed, n_threads)
    _check_finite("the rating model's vectors", users, items)
    users, items, centre = _centred(users, items)
    return RatingModel(
        mean + unit * centre,
        Scale(min(1.0, float(lowest)), ratings.best),
        _side(users, unit, has_user),
        _side(items, unit, has_item),
    )


class _State(NamedTuple):
    """What a sweep begins with and ends with: the items, both priors, the noise."""

    items: Vectors
    user_prior: Prior
    item_prior: Prior
    noise: float


def _learn(
    table: sp.csr_matrix,
    n_factors: int,
    n_tastes: int,
    iterations: int,
    seed: int,
    n_threads: int,
) -> tuple[AnyFloats, AnyFloats]:
    """Return the users' and the items' vectors (bias, factors) for ratings about 0."""
    drawn = sample_users(table.getnnz(axis=1), _MOST, seed)
    tastes = find_implicit_features(table, drawn, n_tastes, seed)
    everybody = Users(table, tastes.users)
    some = everybody if drawn.all() else Users(table[drawn], tastes.users[drawn])
    prior = first_prior(tastes.items.shape[1], n_factors)
    state = _State(_first_items(tastes, n_factors, seed), prior, prior, 1.0)
    users: AnyFloats = np.empty(0)
    n_threads = usable(n_threads)
    for _ in range(iterations):
        users, state = _sweep(some, tastes.items, state, n_threads)
    if some is not everybody:
        users, state = _sweep(everybody, tastes.items, state, n_threads)
    return users, state.items.mean


def _sweep(
    users: Users, item_tastes: AnyFloats, state: _State, n_threads: int
) -> tuple[AnyFloats, _State]:
    """Solve the users, then the items, and learn both priors and the noise again."""
    means, heard = update_users(
        users, moments(state.items), state.user_prior, state.noise, n_threads
    )
    evidence = NormalEquations(heard.squares, heard.pull)
    items = solve(evidence, item_tastes, state.item_prior, state.noise)
    noise = max(unexplained(evidence, items, heard.rest) / users.rating.nnz, _LEAST_NOISE)
    item_prior = learn_prior(Sums.of(item_tastes, *items))
    return means, _State(items, learn_prior(heard.sums), item_prior, noise)


def _first_items(tastes: ImplicitFeatures, n_factors: int, seed: int) -> Vectors:
    """Begin with the tastes themselves as factors, chance where there are too few, and no bias."""
    n_items, n_features = tastes.items.shape
    factors = np.random.default_rng(seed).standard_normal((n_items, n_factors))
    n_taken = min(n_factors, n_features - N_COUNTS)
    factors[:, :n_taken] = tastes.items[:, :n_taken]
    mean = np.column_stack((np.zeros(n_items), _FIRST_SIZE * factors))
    return Vectors(mean, np.zeros((n_items, 1 + n_factors, 1 + n_factors)))


def _centred(users: AnyFloats, items: AnyFloats) -> tuple[AnyFloats, AnyFloats, float]:
    """Return the same model with the average user at 0, and what that adds to the mean.

    Every prediction stays what it was; but one for a user without ratings, whose
    vector is 0, becomes the average user's.
    """
    average = users.mean(axis=0)
    items = items.copy()
    items[:, 0] += items[:, 1:] @ average[1:]
    return users - average, items, float(average[0])


def _places(is_rated: Flags) -> Rows:
    """Return for each row its place among the rated ones."""
    return np.cumsum(is_rated) - 1


def _side(vectors: AnyFloats, unit: float, is_rated: Flags) -> Side:
    bias = np.zeros(len(is_rated))
    bias[is_rated] = unit * vectors[:, 0]
    factors = np.zeros((len(is_rated), vectors.shape[1] - 1), dtype=np.float32)
    factors[is_rated] = np.sqrt(unit) * vectors[:, 1:]
    return Side(is_rated, bias, factors)


def _check_finite(what: str, *arrays: np.ndarray) -> None:
    n_bad = sum(int((~np.isfinite(values)).sum()) for values in arrays)
    if n_bad:
        raise BatchError(
            what,
            f"{n_bad:,} of {sum(values.size for values in arrays):,} numbers are NaN or infinite",
            "leave out the files with such ratings; if there are none, report it",
        )
