"""Exact top-k for every user, without scoring every item: norm-pruned blocks.

    items by falling norm   ┌──────┬────────────┬────────────────────────┬─ ─ ─
    users of one task       │██████│████████████│████░░░░░░░░░░░░░░░░░░░░│
                            │██████│████░░░░░░░░│░░░░░░░░░░░░░░░░░░░░░░░░│
                            │██████│░░░░░░░░░░░░│░░░░░░░░░░░░░░░░░░░░░░░░│
                            └──────┴────────────┴────────────────────────┴─ ─ ─
    A user leaves (░) as soon as ‖user‖ · ‖next item‖ cannot beat the k-th score.

No score can exceed the product of the norms (Cauchy–Schwarz), so what is left
out cannot belong to the list. Most users leave after the first blocks; those of
a task who stay close ranks, so the products stay large. Where norms are flat
and nobody leaves, the search is a matrix product and little else: a block's
scores stay in the cache, one pass compares them with what the user's k-th best
already reaches, and only the few that come up to it are sorted.

Source:
    Teflioudi, Gemulla and Mykytiuk, "LEMP: Fast Retrieval of Large Entries in a
    Matrix Product", SIGMOD 2015, section 3 (length-based pruning in blocks).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import Floats, ItemRows, Rows
from batch.threads import usable

NO_ITEM: Final = -1

_USERS: Final = 8192  # of a task, at most: so many that those who stay still fill blocks
_FEWEST_USERS: Final = 256
_TASKS: Final = 16  # at least, where there are users enough: each thread finds work
_BLOCK_USERS: Final = 512  # with a block of items: 2 MiB of scores, a core's own cache
_FIRST_ITEMS: Final = 512
_MOST_ITEMS: Final = 1024

_LOWEST: Final = np.finfo(np.float32).min  # what hidden items, at -inf, do not reach


class TopK(NamedTuple):
    """The k best items of each user, best first.

    Attributes:
        item_rows: (n_users, k) int32; NO_ITEM fills the places left over.
        scores: (n_users, k) float32; -inf there.
    """

    item_rows: ItemRows
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
    # Not by the number of threads: the last bit of a score may hang on a product's shape.
    n_task = min(_USERS, max(_FEWEST_USERS, n_users // _TASKS))

    def fill(first: int) -> None:
        task = slice(first, min(first + n_task, n_users))
        rows, best = search(user_factors[task], first)
        item_rows[task, : rows.shape[1]] = rows
        scores[task, : best.shape[1]] = best
        on_users(len(rows))

    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(usable(n_threads)) as pool,
    ):
        for done in [pool.submit(fill, first) for first in range(0, n_users, n_task)]:
            done.result()
    return TopK(item_rows, scores)


class _Search:
    """Finds the best items for one task's users after another's."""

    def __init__(self, item_factors: Floats, seen: sp.csr_matrix, k: int) -> None:
        norms = _norms(item_factors)
        self._order = np.argsort(-norms, kind="stable")
        self._place = np.empty(len(norms), np.int32)  # of an item row in that order
        self._place[self._order] = np.arange(len(norms))
        self._items = np.ascontiguousarray(item_factors[self._order])
        self._norms = norms[self._order]
        self._seen = seen
        self._k = k
        self._edges = _block_edges(len(norms), k)

    def __call__(self, users: Floats, first: int) -> tuple[ItemRows, Floats]:
        """Return (n, k) item rows and scores of `users`, whose rows begin at `first`."""
        best = _Best(len(users), self._k)
        user_norms = _norms(users)
        seen = self._seen_by_place(first, len(users))
        active = np.arange(len(users))
        for begin, end in zip(self._edges[:-1], self._edges[1:], strict=True):
            active = active[user_norms[active] * self._norms[begin] >= best.reached[active]]
            if not len(active):
                break
            seen_here = _columns(seen, begin, end)
            for at in range(0, len(active), _BLOCK_USERS):
                some = active[at : at + _BLOCK_USERS]
                scores = users[some] @ self._items[begin:end].T
                _hide(scores, seen_here, some)
                best.offer(some, scores, self._order[begin:end])
        return best.lists()

    def _seen_by_place(self, first: int, n_users: int) -> sp.csc_matrix:
        """Return what the users have seen, (n_users, n_items) in the order of the norms."""
        indptr = self._seen.indptr[first : first + n_users + 1]
        places = self._place[self._seen.indices[indptr[0] : indptr[-1]]]
        entries = (np.ones(len(places), np.bool_), places, indptr - indptr[0])
        return sp.csr_matrix(entries, shape=(n_users, len(self._place))).tocsc()


class _Best:
    """The k best items so far of each user of a task.

    Attributes:
        reached: (n_users,) a score that the k-th best, as far as is known, reaches.
    """

    def __init__(self, n_users: int, k: int) -> None:
        self._k = k
        self._keys = np.full((n_users, k), _NOTHING, np.int64)  # unordered, the least first
        self.reached = np.full(n_users, _LOWEST)

    def offer(self, users: Rows, scores: Floats, item_rows: Rows) -> None:
        """Let (len(users), len(item_rows)) `scores` compete for the users' k places."""
        if len(item_rows) >= self._k and (self.reached[users] == _LOWEST).any():
            self._raise(users, _reached_by(scores, self._k))  # the block itself tells
        found = np.flatnonzero(scores >= self.reached[users, None])
        user, column = np.divmod(found, len(item_rows))
        n_found = np.bincount(user, minlength=len(users))
        gaining = np.flatnonzero(n_found)
        if not len(gaining):
            return
        pool = np.full((len(gaining), self._k + int(n_found.max())), _NOTHING, np.int64)
        pool[:, : self._k] = self._keys[users[gaining]]
        is_new = np.arange(pool.shape[1] - self._k) < n_found[gaining, None]
        pool[:, self._k :][is_new] = _keys(scores.ravel()[found], item_rows[column])
        pool.partition(pool.shape[1] - self._k, axis=1)
        self._keys[users[gaining]] = pool[:, -self._k :]
        self._raise(users[gaining], _score_of(pool[:, -self._k]))

    def lists(self) -> tuple[ItemRows, Floats]:
        """Return (n_users, k) item rows and scores, best first."""
        keys = np.sort(self._keys, axis=1)[:, ::-1]
        item_rows = np.where(keys == _NOTHING, NO_ITEM, _item_row_of(keys)).astype(np.int32)
        return item_rows, _score_of(keys)

    def _raise(self, users: Rows, reached: Floats) -> None:
        self.reached[users] = np.maximum(self.reached[users], reached)


def _reached_by(scores: Floats, k: int) -> Floats:
    """Return for each row a score that at least k of its items reach.

    The k-th best among winners of pairs, fours, … is hardly lower than the k-th
    best of all, and takes a fraction of the time to find.
    """
    while (half := scores.shape[1] // 2) >= 4 * k:
        scores = np.maximum(scores[:, :half], scores[:, half : 2 * half])
    return np.partition(scores, -k, axis=1)[:, -k]


def _columns(seen: sp.csc_matrix, begin: int, end: int) -> sp.csr_matrix:
    """Return `seen[:, begin:end]` by rows, without the copy that indexing makes."""
    indptr = seen.indptr[begin : end + 1]
    entries = slice(indptr[0], indptr[-1])
    part = (seen.data[entries], seen.indices[entries], indptr - indptr[0])
    return sp.csc_matrix(part, shape=(seen.shape[0], end - begin)).tocsr()


def _hide(scores: Floats, seen: sp.csr_matrix, users: Rows) -> None:
    """Set to -inf what each of `users`, rows of `seen` and in turn of `scores`, has seen."""
    starts = seen.indptr[users]
    counts = seen.indptr[users + 1] - starts
    entries = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    row_starts = np.arange(len(users)) * scores.shape[1]
    scores.reshape(-1)[np.repeat(row_starts, counts) + seen.indices[entries]] = -np.inf


def _norms(vectors: Floats) -> Floats:
    """Return norms rounded up: neither rounding nor underflow may cost an item its place.

    A float32 inner product errs by at most n_factors · ε · ‖u‖ · ‖v‖ (Higham 2002,
    section 3.1), and so may the norms; squares below the least normal number vanish.
    """
    float32, n_factors = np.finfo(np.float32), vectors.shape[1]
    slack, floor = 1 + 2 * n_factors * float32.eps, np.sqrt(n_factors * float32.tiny)
    norms: Floats = np.linalg.norm(vectors, axis=1) * np.float32(slack) + np.float32(floor)
    return norms


def _block_edges(n_items: int, k: int) -> list[int]:
    """Return where item blocks begin: a small one first, for most users need no more."""
    edges, size = [0], max(_FIRST_ITEMS, 4 * k)
    while edges[-1] < n_items:
        edges.append(min(edges[-1] + size, n_items))
        size = max(_MOST_ITEMS, 4 * k)
    return edges


# A score and its item row as one integer that sorts by score, ties by lower row:
# the float's bits, turned so that they sort as integers do, above the row's complement.

_ROW_BITS: Final = 32
_ROW_MASK: Final = (1 << _ROW_BITS) - 1
_SIGN_FLIP: Final = 0x7FFFFFFF


def _keys(scores: Floats, item_rows: Rows) -> Rows:
    bits = (scores + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0: they are a tie
    ordered = np.where(bits < 0, bits ^ _SIGN_FLIP, bits).astype(np.int64)
    return (ordered << _ROW_BITS) | (_ROW_MASK - item_rows)


def _score_of(keys: Rows) -> Floats:
    ordered = (keys >> _ROW_BITS).astype(np.int32)
    return np.where(ordered < 0, ordered ^ _SIGN_FLIP, ordered).astype(np.int32).view(np.float32)


def _item_row_of(keys: Rows) -> Rows:
    return _ROW_MASK - (keys & _ROW_MASK)


_NOTHING: Final = int(_keys(np.array([-np.inf], np.float32), np.array([_ROW_MASK]))[0])
