"""The factors that are searched: trained on real data, and on a generated service.

    ml-100k, ml-1m, users-290k    real interactions, if their files exist
    scenario                      a million users, 27,000 items, 50 million views

The scenario's interactions are random. Items follow a power law, views per user a
lognormal law, and each user prefers one of 64 groups of items. A few sweeps of ALS
give the factors realistic norms and directions.
"""

import csv
import gzip
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.parquet
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from batch.arrays import Floats, Integers, Rows
from benchmarks.harness.data_sets import ML_1M, ML_100K, VIEWS_290K

SEED: Final = 7
REAL: Final = ("ml-100k", "ml-1m", "users-290k")
SCENARIO: Final = "scenario"
_ALPHA, _REGULARIZATION = 2.0, 2.0
_SWEEPS: Final = {SCENARIO: 3}
_DEFAULT_SWEEPS: Final = 10
_N_GROUPS: Final = 64
_PREFERRED_SHARE: Final = 0.7  # share of a user's views in the preferred group
_POPULARITY_EXPONENT: Final = 0.9
_ACTIVITY_SIGMA: Final = 1.0


@dataclass(frozen=True, slots=True)
class Trained:
    """Factors of one data set.

    Attributes:
        name: Name of the data set.
        user_factors: (n_users, n_factors) user factors.
        item_factors: (n_items, n_factors) item factors.
        seen: (n_users, n_items) interactions that the lists exclude.
    """

    name: str
    user_factors: Floats
    item_factors: Floats
    seen: sp.csr_matrix


@dataclass(frozen=True, slots=True)
class Size:
    """Size of the scenario.

    Attributes:
        users: Number of users; each has a view.
        items: Number of items in the catalogue.
        views: Number of views drawn; duplicates are merged.
    """

    users: int
    items: int
    views: int


def interactions(name: str, size: Size) -> sp.csr_matrix | None:
    """Return (n_users, n_items) ones; None where the real data is missing."""
    if name == SCENARIO:
        return _draw(size)
    folder = Path(os.environ.get("MARQUEE_SHARED_DATA", "../shared/data"))
    if not folder.is_dir():
        return None
    users, items = zip(*_READERS[name](folder), strict=True)
    return _matrix(_codes(users), _codes(items))


def train(
    name: str, seen: sp.csr_matrix, n_factors: int, max_sweeps: int = _DEFAULT_SWEEPS
) -> Trained:
    """Return the factors of `implicit`'s ALS."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=n_factors,
            regularization=_REGULARIZATION,
            alpha=1.0,
            iterations=min(_SWEEPS.get(name, _DEFAULT_SWEEPS), max_sweeps),
            random_state=SEED,
        )
        model.fit(seen * np.float32(1 + _ALPHA), show_progress=False)
    return Trained(name, np.asarray(model.user_factors), np.asarray(model.item_factors), seen)


def _ml_100k(folder: Path) -> Iterator[tuple[str, str]]:
    with (folder / ML_100K.events).open() as lines:
        for user, item, *_ in csv.reader(lines, delimiter="\t"):
            yield user, item


def _ml_1m(folder: Path) -> Iterator[tuple[str, str]]:
    pairs = pyarrow.parquet.read_table(folder / ML_1M.events)
    yield from zip(pairs["userID"].to_pylist(), pairs["movieID"].to_pylist(), strict=True)


def _users_290k(folder: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(folder / VIEWS_290K.events, "rt") as lines:
        for line in lines:
            user, _, item = line.rstrip("\n").partition("\t")
            yield user, item


_READERS: Final = {"ml-100k": _ml_100k, "ml-1m": _ml_1m, "users-290k": _users_290k}


def _codes(names: Sequence[str]) -> Rows:
    return np.unique(np.asarray(names), return_inverse=True)[1]


def _matrix(users: Integers, items: Integers) -> sp.csr_matrix:
    ones = np.ones(len(users), np.float32)
    seen = sp.csr_matrix((ones, (users, items)), dtype=np.float32)
    seen.data[:] = 1  # duplicates have been summed
    return seen


def _draw(size: Size) -> sp.csr_matrix:
    rng = np.random.default_rng(SEED)
    activity = rng.lognormal(0.0, _ACTIVITY_SIGMA, size.users)
    n_views = np.maximum(1, np.round(activity * size.views / activity.sum())).astype(np.int64)
    users = np.repeat(np.arange(size.users, dtype=np.int32), n_views)
    popularity = np.arange(1, size.items + 1) ** -_POPULARITY_EXPONENT
    popularity /= popularity.sum()
    items = rng.choice(size.items, len(users), p=popularity).astype(np.int32)
    group = rng.integers(_N_GROUPS, size=size.users, dtype=np.int32)[users]
    is_preferred = rng.random(len(users), np.float32) < _PREFERRED_SHARE
    items[is_preferred] += (group - items)[is_preferred] % _N_GROUPS  # next item of the group
    return _matrix(users, np.minimum(items, size.items - 1))
