"""Who searches: ours, and three peers. All give k item rows for every user."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from batch.topk import NO_ITEM, top_k
from benchmarks.topk.factors import Trained

Rows = npt.NDArray[np.int32]
Search = Callable[[Trained, int], Rows]

_USERS: Final = 1024  # of a block


def marquee(trained: Trained, k: int) -> Rows:
    """Norm-pruned blocks."""
    return top_k(trained.user_factors, trained.item_factors, trained.seen, k).item_rows


def implicit(trained: Trained, k: int) -> Rows:
    """`recommend` of the library that trained them, on all cores."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=trained.user_factors.shape[1])
        model.user_factors, model.item_factors = trained.user_factors, trained.item_factors
        everybody = np.arange(len(trained.user_factors))
        item_rows, scores = model.recommend(everybody, trained.seen, N=k)
    is_open = scores > np.finfo(np.float32).min  # it fills up with seen items at that score
    return np.where(is_open, item_rows, NO_ITEM).astype(np.int32)


def faiss(trained: Trained, k: int) -> Rows:
    """`IndexFlatIP`; it cannot leave out what was seen, and so has less to do."""
    import faiss as library  # a peer: only where it is installed

    index = library.IndexFlatIP(trained.item_factors.shape[1])
    index.add(trained.item_factors)
    return np.asarray(index.search(trained.user_factors, k)[1], np.int32)


def numpy(trained: Trained, k: int) -> Rows:
    """A matrix product and `argpartition` for each block of users, a thread for each core."""
    item_rows = np.empty((len(trained.user_factors), k), np.int32)

    def fill(begin: int) -> None:
        block = slice(begin, begin + _USERS)
        scores = trained.user_factors[block] @ trained.item_factors.T
        seen = trained.seen[block]
        scores[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = -np.inf
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
        item_rows[block] = np.take_along_axis(best, order, axis=1)

    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
    ):
        for done in [pool.submit(fill, begin) for begin in range(0, len(item_rows), _USERS)]:
            done.result()
    return item_rows


SEARCHES: Final[dict[str, Search]] = {
    "marquee": marquee,
    "implicit": implicit,
    "faiss": faiss,
    "numpy": numpy,
}


def differences(trained: Trained, ours: Rows, theirs: Rows) -> int:
    """Return how many users' lists differ in more than the choice among exact ties.

    Compared are the scores, in double precision, place by place: another order of
    adding up may give the last bit of a score another value.
    """
    n_differing = 0
    for begin in range(0, len(ours), _USERS):
        block = slice(begin, begin + _USERS)
        users = trained.user_factors[block].astype(np.float64)
        mine, other = (_scores(users, trained, rows[block]) for rows in (ours, theirs))
        n_differing += int(np.any(~np.isclose(mine, other, rtol=1e-5, atol=1e-6), axis=1).sum())
    return n_differing


def _scores(
    users: npt.NDArray[np.float64], trained: Trained, item_rows: Rows
) -> npt.NDArray[np.float64]:
    """Score each place of each list; an empty place is -inf."""
    vectors = trained.item_factors[np.maximum(item_rows, 0)].astype(np.float64)
    scores = np.einsum("uf,ukf->uk", users, vectors)
    return np.where(item_rows == NO_ITEM, -np.inf, scores)
