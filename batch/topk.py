"""Exact top-k for every user, without scoring every item: norm-pruned blocks.

    items by falling norm   ┌──────┬────────────┬────────────────────────┬─ ─ ─
    users of one block      │██████│████████████│██░░░░░░░░░░░░░░░░░░░░░░│
                            └──────┴────────────┴────────────────────────┴─ ─ ─
    A user leaves (░) as soon as ‖user‖ · ‖next item‖ cannot beat the k-th score.

No score can exceed the product of the norms (Cauchy–Schwarz), so what is left
out cannot belong to the list. Most users leave after the first blocks.

Source:
    Teflioudi, Gemulla and Mykytiuk, "LEMP: Fast Retrieval of Large Entries in a
    Matrix Product", SIGMOD 2015, section 3 (length-based pruning in blocks).
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

NO_ITEM: Final = -1

_USERS: Final = 2048  # of a block: enough for the matrix product to run at full speed
_FIRST_ITEMS: Final = 512
_MOST_ITEMS: Final = 2048

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class TopK(NamedTuple):
    """The k best items of each user, best first.

    Attributes:
        item_rows: (n_users, k) int32; NO_ITEM fills the places left over.
        scores: (n_users, k) float32; -inf there.
    """

    item_rows: npt.NDArray[np.int32]
    scores: Floats


def top_k(
    user_factors: Floats,
    item_factors: Floats,
    seen: sp.csr_matrix,
    k: int,
    *,
    n_threads: int = 0,
    on_users: Callable[[int], object] = lambda _: None,
) -> TopK:
    """Return each user's k best items that they have not seen, best first.

    Equal scores keep the lower item row first, so equal factors always build
    the same snapshot, on any number of threads.

    Args:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
        seen: (n_users, n_items), a stored entry where the user has the item.
        k: Items to keep for each user, at least 1.
        n_threads: 0 means one for each processor that this process may use.
        on_users: Called with the number of users done, for progress; from
            several threads.

    Raises:
        ValueError: The shapes do not fit together, or k is below 1.
    """
    n_users, n_items = len(user_factors), len(item_factors)
    if seen.shape != (n_users, n_items) or user_factors.shape[1] != item_factors.shape[1]:
        shapes = f"{user_factors.shape}, {item_factors.shape} and {seen.shape}"
        raise ValueError(f"users, items and seen do not fit together: {shapes}")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    search = _Search(item_factors, seen, min(k, n_items))
    item_rows = np.full((n_users, k), NO_ITEM, np.int32)
    scores = np.full((n_users, k), -np.inf, np.float32)

    def fill(first: int) -> None:
        block = slice(first, min(first + _USERS, n_users))
        rows, best = search(user_factors[block], first)
        item_rows[block, : rows.shape[1]] = rows
        scores[block, : best.shape[1]] = best
        on_users(len(rows))

    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(n_threads or len(os.sched_getaffinity(0))) as pool,
    ):
        for done in [pool.submit(fill, first) for first in range(0, n_users, _USERS)]:
            done.result()
    return TopK(item_rows, scores)


class _Search:
    """Finds the best items for one block of users after another."""

    def __init__(self, item_factors: Floats, seen: sp.csr_matrix, k: int) -> None:
        norms = np.linalg.norm(item_factors, axis=1)
        self._order = np.argsort(-norms, kind="stable")
        self._place = np.empty_like(self._order)  # of an item row in that order
        self._place[self._order] = np.arange(len(norms))
        self._items = np.ascontiguousarray(item_factors[self._order])
        # A float32 inner product errs by at most n_factors · ε · ‖u‖ · ‖v‖ (Higham 2002,
        # section 3.1), and so may the norms: rounding must never cost an item its place.
        slack = 1 + 4 * item_factors.shape[1] * np.finfo(np.float32).eps
        self._norms = norms[self._order] * np.float32(slack)
        self._seen = seen
        self._k = k
        self._edges = _block_edges(len(norms), k)

    def __call__(self, users: Floats, first: int) -> tuple[npt.NDArray[np.int32], Floats]:
        """Return (n, k) item rows and scores of `users`, whose rows begin at `first`."""
        keys = np.full((len(users), self._k), _NOTHING, np.int64)
        user_norms = np.linalg.norm(users, axis=1)
        seen_user, seen_place = self._seen_of(first, len(users))
        active = np.arange(len(users))
        for begin, end in zip(self._edges[:-1], self._edges[1:], strict=True):
            kth = _score_of(keys[active, -1])
            active = active[user_norms[active] * self._norms[begin] >= kth]
            if not len(active):
                break
            scores = users[active] @ self._items[begin:end].T
            _hide_seen(scores, active, seen_user, seen_place - begin)
            self._merge(keys, active, scores, begin)
        item_rows = np.where(keys == _NOTHING, NO_ITEM, _item_row_of(keys)).astype(np.int32)
        return item_rows, _score_of(keys)

    def _seen_of(self, first: int, n_users: int) -> tuple[Ints, Ints]:
        indptr = self._seen.indptr[first : first + n_users + 1]
        user = np.repeat(np.arange(n_users), np.diff(indptr))
        return user, self._place[self._seen.indices[indptr[0] : indptr[-1]]]

    def _merge(self, keys: Ints, active: Ints, scores: Floats, begin: int) -> None:
        """Let `scores` of the items from place `begin` on compete for the users' k places."""
        if begin == 0 and scores.shape[1] > self._k:  # nothing to beat yet: the block itself tells
            kth = np.partition(scores, -self._k, axis=1)[:, -self._k]
        else:
            kth = _score_of(keys[active, -1])
        row, column = np.nonzero(scores >= kth[:, None])
        values = scores[row, column]
        is_open = values > -np.inf
        row, column, values = row[is_open], column[is_open], values[is_open]
        if not len(row):
            return
        n_new = np.bincount(row, minlength=len(active))
        starts = np.cumsum(n_new) - n_new
        pool = np.full((len(active), self._k + int(n_new.max())), _NOTHING, np.int64)
        pool[:, : self._k] = keys[active]
        pool[row, self._k + np.arange(len(row)) - starts[row]] = _keys(
            values, self._order[begin + column]
        )
        pool.partition(pool.shape[1] - self._k, axis=1)
        best = pool[:, -self._k :]
        best.sort(axis=1)
        keys[active] = best[:, ::-1]


def _block_edges(n_items: int, k: int) -> list[int]:
    """Return where item blocks begin: small ones first, for most users need no more."""
    edges, size = [0], max(_FIRST_ITEMS, 4 * k)
    while edges[-1] < n_items:
        edges.append(min(edges[-1] + size, n_items))
        size = min(2 * size, max(_MOST_ITEMS, 4 * k))
    return edges


def _hide_seen(scores: Floats, active: Ints, seen_user: Ints, seen_column: Ints) -> None:
    place = np.full(int(active[-1]) + 1, -1)
    place[active] = np.arange(len(active))
    inside = (seen_column >= 0) & (seen_column < scores.shape[1]) & (seen_user < len(place))
    user, column = place[seen_user[inside]], seen_column[inside]
    is_active = user >= 0
    scores[user[is_active], column[is_active]] = -np.inf


# A score and its item row as one integer that sorts by score, ties by lower row:
# the float's bits, turned so that they sort as integers do, above the row's complement.

_ROW_BITS: Final = 32
_ROW_MASK: Final = (1 << _ROW_BITS) - 1
_SIGN_FLIP: Final = 0x7FFFFFFF


def _keys(scores: Floats, item_rows: Ints) -> Ints:
    bits = (scores + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0: they are a tie
    ordered = np.where(bits < 0, bits ^ _SIGN_FLIP, bits).astype(np.int64)
    return (ordered << _ROW_BITS) | (_ROW_MASK - item_rows)


def _score_of(keys: Ints) -> Floats:
    ordered = (keys >> _ROW_BITS).astype(np.int32)
    return np.where(ordered < 0, ordered ^ _SIGN_FLIP, ordered).astype(np.int32).view(np.float32)


def _item_row_of(keys: Ints) -> Ints:
    return _ROW_MASK - (keys & _ROW_MASK)


_NOTHING: Final = int(_keys(np.array([-np.inf], np.float32), np.array([_ROW_MASK]))[0])
