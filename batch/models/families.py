"""The families of models that `auto` chooses among: their candidates, and what they cost.

Costs are estimated from the size of the data before anything is trained, so that the
choice does not depend on how busy a machine is. A family that costs more than the limits
is left out, and the manifest says so.
"""

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np
import scipy.sparse as sp

from batch.models.choice import Candidate

_MIB: Final = 1 << 20
_FLOPS: Final = 2e10  # of one processor, in products of matrices
_UNOBSERVED_WEIGHTS: Final = (0.03, 0.1, 0.3, 1.0)
_PENALTY_SHARES: Final = (0.05, 0.15, 0.45)
_FIRST_FACTORS: Final = 64  # of iALS, while its other parameters are compared
_MANY_EASE_ITEMS: Final = 5_000  # from which inverting takes longer than evaluating
_N_SWEEPS: Final = 12  # of iALS, in the search and in a trial
_N_LAST_SWEEPS: Final = 1.5  # over everything
_N_PRODUCTS: Final = 18  # of the matrix and a vector, for each singular vector
_MANY_SCORES: Final = 2e9  # of all users and items: more take longer than the rest of a refresh
_SCORES_PER_SECOND: Final = 1.5e8  # of one processor, standardised, added and searched
_NEIGHBOURS_PER_SECOND: Final = 2e8  # of one processor, among which the nearest are found
_PRUNED: Final = 0.1  # share of the scores of factors that the search for lists computes
_SPARSE_FLOPS: Final = 2e8  # of one processor, in products of sparse matrices
_ROW_FLOPS: Final = 5e8  # of one processor, in sums of sparse rows
_DENSE_ROW_FLOPS: Final = 2e9  # of one processor, in sums of dense rows
_VECTOR_FLOPS: Final = 1.6e9  # of one processor, in products of a sparse matrix and vectors
_LOW_PASS_VECTORS: Final = 80  # of the graph filter, while they are found
_GRAPH_FILTER_PAIRS: Final = 2**24
_N_NEIGHBOURS: Final = 200
_INVERSION_FLOPS: Final = 6e10  # of one processor


class Extent(NamedTuple):
    """Extent of all data.

    Attributes:
        n_users: Users, who need lists every night.
        n_interactions: Interactions, which are trained on every night.
    """

    n_users: int
    n_interactions: int


class Size(NamedTuple):
    """Size of the data.

    Attributes:
        n_users: Users of the search's sample.
        n_items: Items.
        n_interactions: Interactions of the sample.
        n_squared: Sum over its users of the squared number of items.
        n_all_users: Users of all data, who need lists every night.
        n_all_interactions: Interactions of all data, which are trained on every night.
    """

    n_users: int
    n_items: int
    n_interactions: int
    n_squared: int
    n_all_users: int
    n_all_interactions: int

    @classmethod
    def of(cls, sampled: sp.csr_matrix, extent: Extent) -> Self:
        """Return the size of all data, and of the users sampled from it."""
        n_items_of = np.diff(sampled.indptr).astype(np.int64)
        n_users, n_items = sampled.shape
        n_squared = int(n_items_of @ n_items_of)
        return cls(n_users, n_items, sampled.nnz, n_squared, *extent)


class EstimatedCost(NamedTuple):
    """Estimated cost of a candidate; times are those of one processor.

    Attributes:
        seconds: Training on the sample.
        mib: Memory of the training, MiB.
        last_seconds: Training on everything, from the model of the sample.
        scores_seconds: Scores of all users and items.
        pruned_seconds: Lists of all users by a model of factors, whose search skips most
            scores; None: a model that scores every item.
    """

    seconds: float = 0.0
    mib: float = 0.0
    last_seconds: float = 0.0
    scores_seconds: float = 0.0
    pruned_seconds: float | None = 0.0


def nightly_seconds(costs: Collection[EstimatedCost]) -> float:
    """Return the time that a blend takes every night, on one processor.

    Each model is trained for the trial, and on everything. Models of factors are searched
    together; beside another model each of them scores every item.
    """
    training = sum(cost.seconds + cost.last_seconds for cost in costs)
    pruned = [cost.pruned_seconds for cost in costs if cost.pruned_seconds is not None]
    if len(pruned) == len(costs):
        return training + sum(pruned)
    return training + sum(cost.scores_seconds for cost in costs)


@dataclass(frozen=True, slots=True)
class Family:
    """Candidates of one model.

    Attributes:
        model: Name of the model.
        candidates: Function from the size of the data to the parameters to try.
        cost: Function from the size of the data to the cost of one candidate.
        final: Function from the size of the data to the parameters that the candidates get
            once the worse ones are dropped: those that cost more and never harm.
    """

    model: str
    candidates: Callable[[Size], tuple[Candidate, ...]]
    cost: Callable[[Size], EstimatedCost]
    final: Callable[[Size], Mapping[str, Any]] = lambda _: {}


def _grid(model: str, **values: Sequence[Any]) -> Callable[[Size], tuple[Candidate, ...]]:
    """Return the function that gives the candidates of parallel sequences of parameters."""
    names = [f"{model}_{name}" for name in values]
    rows = zip(*values.values(), strict=True) if values else [()]
    candidates = tuple(Candidate(model, dict(zip(names, row, strict=True))) for row in rows)
    return lambda _: candidates


def _ease_candidates(size: Size) -> tuple[Candidate, ...]:
    """Return the regularizations to try: one where its inversion takes most of the time."""
    values = (1000.0, 300.0, 100.0) if size.n_items < _MANY_EASE_ITEMS else (300.0,)
    return tuple(Candidate("ease", {"ease_regularization": value}) for value in values)


def _ials_candidates(size: Size) -> tuple[Candidate, ...]:
    """Return weights of unobserved pairs, each with regularizations that suit the data.

    λ of a user with the mean number of items is a share of that number: small where users
    have many items, large where they have few.
    """
    n_items_of = size.n_interactions / max(size.n_users, 1)
    candidates = []
    for unobserved_weight, share in itertools.product(_UNOBSERVED_WEIGHTS, _PENALTY_SHARES):
        frequency = n_items_of + unobserved_weight * size.n_items
        parameters = {
            "ials_factors": min(_FIRST_FACTORS, _ials_final(size)["ials_factors"]),
            "ials_regularization": float(f"{share * n_items_of / frequency:.2g}"),
            "ials_unobserved_weight": unobserved_weight,
        }
        candidates.append(Candidate("ials", parameters))
    return tuple(candidates)


def default_ials(size: Size) -> Candidate:
    """Return the candidate of iALS where there are too few users to compare any."""
    middle = _UNOBSERVED_WEIGHTS.index(0.3) * len(_PENALTY_SHARES) + 1
    return _ials_candidates(size)[middle]


def _ials_final(size: Size) -> Mapping[str, Any]:
    """Return the number of factors: more gain more, and are affordable where lists are few."""
    affordable = 256 if _are_lists_few(size) else 64
    return {"ials_factors": max(min(affordable, size.n_items // 4, size.n_users // 4), 16)}


def _spectral_candidates(size: Size) -> tuple[Candidate, ...]:
    """Return numbers of singular vectors with little popularity; some with none, some with much."""
    tried = [(n, 0.2) for n in (16, 24, 32, 48, 64, 96, 128, 192)]
    tried += [(32, 0.0), (64, 0.0), (128, 0.0), (192, 0.0), (16, 1.0), (32, 1.0)]
    affordable = 192 if _are_lists_few(size) else 64
    return tuple(
        Candidate("spectral", {"spectral_factors": n_factors, "spectral_popularity": popularity})
        for n_factors, popularity in tried
        if n_factors <= affordable
    )


def _are_lists_few(size: Size) -> bool:
    return size.n_all_users * size.n_items < _MANY_SCORES


def _ials_cost(size: Size) -> EstimatedCost:
    n_factors = _ials_final(size)["ials_factors"]
    n_rows = size.n_users + size.n_items

    def seconds(n_sweeps: float, n_interactions: int, n_rows: int) -> float:
        flops: float = n_sweeps * n_factors * (40 * n_interactions + 4 * n_factors * n_rows)
        return flops / _FLOPS

    return EstimatedCost(
        seconds(_N_SWEEPS, size.n_interactions, n_rows),
        8 * n_factors * n_rows / _MIB,
        seconds(_N_LAST_SWEEPS, size.n_all_interactions, size.n_all_users + size.n_items),
        *_factors_seconds(size, n_factors),
    )


def _spectral_cost(size: Size) -> EstimatedCost:
    n_factors = max(one.parameters["spectral_factors"] for one in _spectral_candidates(size))
    a_product = _a_product(n_factors)
    seconds = _N_PRODUCTS * a_product * size.n_interactions
    return EstimatedCost(
        seconds,
        16 * n_factors * (size.n_users + size.n_items) / _MIB,
        seconds + a_product * size.n_all_interactions,
        *_factors_seconds(size, n_factors),
    )


def _ease_cost(size: Size) -> EstimatedCost:
    n_items = min(size.n_items, 10_000)
    pairs, inversion = size.n_squared / _SPARSE_FLOPS, 2 * n_items**3 / _INVERSION_FLOPS
    row = n_items / _DENSE_ROW_FLOPS
    return _item_item_cost(size, (pairs, inversion, row), 12 * n_items**2 / _MIB)


def _graph_filter_cost(size: Size) -> EstimatedCost:
    pairs = 2 * size.n_squared / _SPARSE_FLOPS
    vectors = _N_PRODUCTS * _a_product(_LOW_PASS_VECTORS) * size.n_interactions
    row = min(size.n_items, _GRAPH_FILTER_PAIRS / size.n_items) / _ROW_FLOPS
    mib = (8 * _GRAPH_FILTER_PAIRS + 16 * _LOW_PASS_VECTORS * size.n_users) / _MIB
    return _item_item_cost(size, (pairs + vectors, _nearest_seconds(size), row), mib)


def _neighbours_cost(size: Size) -> EstimatedCost:
    pairs = 2 * size.n_squared / _SPARSE_FLOPS
    row = _N_NEIGHBOURS / _ROW_FLOPS
    mib = 16 * 2 * _N_NEIGHBOURS * size.n_items / _MIB
    return _item_item_cost(size, (pairs, _nearest_seconds(size), row), mib)


def _item_item_cost(size: Size, seconds: tuple[float, float, float], mib: float) -> EstimatedCost:
    """Return the cost of a model that is trained on all users again, and scores every item.

    Args:
        size: Size of the data.
        seconds: Training that grows with the users; training that the items alone take;
            the scores that one interaction adds to.
        mib: Memory of the training, MiB.
    """
    of_users, of_items, row = seconds
    growth = size.n_all_interactions / max(size.n_interactions, 1)
    scores = row * size.n_all_interactions + _scored_seconds(size)
    return EstimatedCost(of_users + of_items, mib, of_users * growth + of_items, scores, None)


def _nearest_seconds(size: Size) -> float:
    return size.n_items**2 / _NEIGHBOURS_PER_SECOND


def _scored_seconds(size: Size) -> float:
    return size.n_all_users * size.n_items / _SCORES_PER_SECOND


def _factors_seconds(size: Size, n_factors: int) -> tuple[float, float]:
    """Return the time of all scores of a model of factors, and of a search that skips most."""
    product = 2 * size.n_all_users * size.n_items * n_factors / _FLOPS
    return product + _scored_seconds(size), _PRUNED * product


def _a_product(n_vectors: int) -> float:
    """Return the time of a product of vectors and a matrix, for each interaction in it."""
    return 2 * n_vectors / _VECTOR_FLOPS


FAMILIES: Final = (
    Family("popularity", _grid("popularity"), lambda _: EstimatedCost()),
    Family("ials", _ials_candidates, _ials_cost, _ials_final),
    Family("spectral", _spectral_candidates, _spectral_cost),
    Family("ease", _ease_candidates, _ease_cost),
    Family("graph_filter", _grid("graph_filter", weight=(0.3, 1.0)), _graph_filter_cost),
    Family("rp3beta", _grid("rp3beta", beta=(0.6, 0.3)), _neighbours_cost),
    Family("item_knn", _grid("item_knn"), _neighbours_cost),
    Family("last_items", _grid("last_items"), _neighbours_cost),
    Family(
        "recent_popularity",
        _grid("recent_popularity", half_life_days=(7.0, 30.0, 120.0)),
        lambda _: EstimatedCost(),
    ),
)
