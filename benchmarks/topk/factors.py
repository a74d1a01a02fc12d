"""What is searched: trained factors of real data, and of the scenario's size.

    ml-100k, ml-1m, users-290k    real interactions, where they are to be had
    scenario                      a million users, 27,000 items, 50 million views

The scenario's interactions are drawn: items by a power law, as many for each
user as a lognormal law gives, each user leaning to one of 64 tastes, so that
ALS has something to find. A few sweeps make norms and directions what they
are in earnest.
"""

import csv
import gzip
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet
import scipy.sparse as sp
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

SEED: Final = 7
REAL: Final = ("ml-100k", "ml-1m", "users-290k")
SCENARIO: Final = "scenario"
_ALPHA, _REGULARIZATION = 2.0, 2.0
_SWEEPS: Final = {SCENARIO: 3}
_USUAL_SWEEPS: Final = 10
_N_TASTES: Final = 64
_LEANING: Final = 0.7  # share of a user's views that follow the taste
_POPULARITY_EXPONENT: Final = 0.9
_ACTIVITY_SIGMA: Final = 1.0

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trained:
    """Factors of one data set.

    Attributes:
        name: Of the data set.
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
        seen: (n_users, n_items), what the lists must leave out.
    """

    name: str
    user_factors: Floats
    item_factors: Floats
    seen: sp.csr_matrix


@dataclass(frozen=True, slots=True)
class Size:
    """Of the scenario.

    Attributes:
        users: With views.
        items: In the catalogue.
        views: UserSample; some fall together.
    """

    users: int
    items: int
    views: int


def interactions(name: str, size: Size) -> sp.csr_matrix | None:
    """Return (n_users, n_items) ones; None where the real data is not to be had."""
    if name == SCENARIO:
        return _drawn(size)
    folder = Path(os.environ.get("MARQUEE_SHARED_DATA", "../shared/data"))
    if not folder.is_dir():
        return None
    users, items = zip(*_READERS[name](folder), strict=True)
    return _matrix(_codes(users), _codes(items))


def train(
    name: str, seen: sp.csr_matrix, n_factors: int, most_sweeps: int = _USUAL_SWEEPS
) -> Trained:
    """Return factors as `implicit` finds them."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=n_factors,
            regularization=_REGULARIZATION,
            alpha=1.0,
            iterations=min(_SWEEPS.get(name, _USUAL_SWEEPS), most_sweeps),
            random_state=SEED,
        )
        model.fit(seen * np.float32(1 + _ALPHA), show_progress=False)
    return Trained(name, np.asarray(model.user_factors), np.asarray(model.item_factors), seen)


def _ml_100k(folder: Path) -> Iterator[tuple[str, str]]:
    with (folder / "ml-100k/u.data").open() as lines:
        for user, item, *_ in csv.reader(lines, delimiter="\t"):
            yield user, item


def _ml_1m(folder: Path) -> Iterator[tuple[str, str]]:
    pairs = pyarrow.parquet.read_table(folder / "ml-1m/pairs.parquet")
    yield from zip(pairs["userID"].to_pylist(), pairs["movieID"].to_pylist(), strict=True)


def _users_290k(folder: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(folder / "stream/views-290k-users.tsv.gz", "rt") as lines:
        for line in lines:
            user, _, item = line.rstrip("\n").partition("\t")
            yield user, item


_READERS: Final = {"ml-100k": _ml_100k, "ml-1m": _ml_1m, "users-290k": _users_290k}


def _codes(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(names), return_inverse=True)[1]


def _matrix(users: Ints, items: Ints) -> sp.csr_matrix:
    ones = np.ones(len(users), np.float32)
    seen = sp.csr_matrix((ones, (users, items)), dtype=np.float32)
    seen.data[:] = 1  # the same pair twice is one
    return seen


def _drawn(size: Size) -> sp.csr_matrix:
    rng = np.random.default_rng(SEED)
    activity = rng.lognormal(0.0, _ACTIVITY_SIGMA, size.users)
    n_views = np.maximum(1, np.round(activity * size.views / activity.sum())).astype(np.int64)
    users = np.repeat(np.arange(size.users, dtype=np.int32), n_views)
    popularity = np.arange(1, size.items + 1) ** -_POPULARITY_EXPONENT
    popularity /= popularity.sum()
    items = rng.choice(size.items, len(users), p=popularity).astype(np.int32)
    taste = rng.integers(_N_TASTES, size=size.users, dtype=np.int32)[users]
    leans = rng.random(len(users), np.float32) < _LEANING
    items[leans] += (taste[leans] - items[leans]) % _N_TASTES  # the next item of that taste
    return _matrix(users, np.minimum(items, size.items - 1))
