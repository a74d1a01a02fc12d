"""The searches: Marquee's, and three peers. All return k item rows for every user."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, ItemRows
from batch.topk import NO_ITEM, top_k
from benchmarks.topk.factors import Trained

Search = Callable[[Trained, int], ItemRows]

_BLOCK_USERS: Final = 1024


def marquee(trained: Trained, k: int) -> ItemRows:
    """Search norm-pruned blocks."""
    return top_k(trained.user_factors, trained.item_factors, trained.seen, k).item_rows


def implicit(trained: Trained, k: int) -> ItemRows:
    """Search with `recommend` of the library that trained the factors, on all cores."""
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=trained.user_factors.shape[1])
        model.user_factors, model.item_factors = trained.user_factors, trained.item_factors
        user_rows = np.arange(len(trained.user_factors))
        item_rows, scores = model.recommend(user_rows, trained.seen, N=k)
    is_unseen = scores > np.finfo(np.float32).min  # seen items fill short lists at that score
    return np.where(is_unseen, item_rows, NO_ITEM).astype(np.int32)


def faiss(trained: Trained, k: int) -> ItemRows:
    """Search `IndexFlatIP`; it cannot exclude seen items, and so does less work."""
    import faiss as library  # optional

    index = library.IndexFlatIP(trained.item_factors.shape[1])
    index.add(trained.item_factors)
    return np.asarray(index.search(trained.user_factors, k)[1], np.int32)


def numpy(trained: Trained, k: int) -> ItemRows:
    """Search by matrix product and `argpartition` in blocks of users, one thread per core."""
    item_rows = np.empty((len(trained.user_factors), k), np.int32)

    def fill(begin: int) -> None:
        block = slice(begin, begin + _BLOCK_USERS)
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
        for done in [pool.submit(fill, begin) for begin in range(0, len(item_rows), _BLOCK_USERS)]:
            done.result()
    return item_rows


SEARCHES: Final[dict[str, Search]] = {
    "marquee": marquee,
    "implicit": implicit,
    "faiss": faiss,
    "numpy": numpy,
}


def differences(trained: Trained, first: ItemRows, second: ItemRows) -> int:
    """Return the number of users whose lists differ by more than exact ties.

    The scores are compared rank by rank, in double precision with a tolerance: the
    order of summation changes the last bits of a score.
    """
    n_differing = 0
    for begin in range(0, len(first), _BLOCK_USERS):
        block = slice(begin, begin + _BLOCK_USERS)
        users = trained.user_factors[block].astype(np.float64)
        one, other = (_scores(users, trained, rows[block]) for rows in (first, second))
        n_differing += int(np.any(~np.isclose(one, other, rtol=1e-5, atol=1e-6), axis=1).sum())
    return n_differing


def _scores(users: Doubles, trained: Trained, item_rows: ItemRows) -> Doubles:
    """Return (n_users, k) scores of the listed items; -inf where a list is short."""
    vectors = trained.item_factors[np.maximum(item_rows, 0)].astype(np.float64)
    scores = np.einsum("uf,ukf->uk", users, vectors)
    return np.where(item_rows == NO_ITEM, -np.inf, scores)
