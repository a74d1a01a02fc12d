"""Exact top-k for every user, without scoring every item: norm-pruned blocks.

    items by falling norm   ┌──────┬────────────┬────────────────────────┬─ ─ ─
    users of one task       │██████│████████████│████░░░░░░░░░░░░░░░░░░░░│
                            │██████│████░░░░░░░░│░░░░░░░░░░░░░░░░░░░░░░░░│
                            │██████│░░░░░░░░░░░░│░░░░░░░░░░░░░░░░░░░░░░░░│
                            └──────┴────────────┴────────────────────────┴─ ─ ─
    A user is finished (░) as soon as ‖user‖ · ‖next item‖ cannot exceed the k-th score.

No score can exceed the product of the norms (Cauchy–Schwarz), so items that are not
scored cannot belong to the list. Most users are finished after the first blocks; the
others of a task are compacted, so the matrix products stay large. Where norms are flat
and hardly a user finishes early, blocks are as large as the cache allows, so the search
is little more than one matrix product. Of a block's scores only the few above a lower
bound of the user's k-th best score are sorted (`topk_candidates.py`).

Source:
    Teflioudi, Gemulla and Mykytiuk, "LEMP: Fast Retrieval of Large Entries in a
    Matrix Product", SIGMOD 2015, section 3 (length-based pruning in blocks).
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import Floats, ItemRows, Rows
from batch.progress import noop
from batch.threads import usable
from batch.topk_candidates import WIDTH_MULTIPLE, part_maxima, reached_by, reaching

NO_ITEM: Final = -1

_FLAT_RATIO: Final = 0.1  # about the cosine of a user and the k-th best item
_MIN_TASKS: Final = 16  # where there are enough users, so that each thread has work
_LOWEST: Final = np.finfo(np.float32).min  # above -inf, the score of hidden items

_ROW_BITS: Final = 32
_ROW_MASK: Final = (1 << _ROW_BITS) - 1
_SIGN_FLIP: Final = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """Sizes of tasks and blocks; they change the speed, not the lists.

    Attributes:
        max_task_users: Maximum users of a task: enough that unfinished ones fill blocks.
        min_task_users: Minimum users of a task.
        users: Users of a block; with a block of items 2 MiB of scores.
        first_items: Items of the first block, which is enough for most users.
        items: Items of the other blocks.
        flat_items: Items of each block where norms are flat; 8 MiB of scores.
    """

    max_task_users: int = 8192
    min_task_users: int = 512
    users: int = 512
    first_items: int = 512
    items: int = 1024
    flat_items: int = 4096


_SIZES: Final = BlockSizes()


class TopK(NamedTuple):
    """The k best items of each user, best first.

    Attributes:
        item_rows: (n_users, k) item rows; NO_ITEM in empty places.
        scores: (n_users, k) scores; -inf in empty places.
    """

    item_rows: ItemRows
    scores: Floats


@dataclass(frozen=True, slots=True)
class Execution:
    """Execution of a search; it does not change the lists.

    Attributes:
        n_threads: Number of threads; 0 means one for each usable processor.
        on_users: Callback with the number of users done, from several threads.
        sizes: Sizes of tasks and blocks.
    """

    n_threads: int = 0
    on_users: Callable[[int], object] = noop
    sizes: BlockSizes = _SIZES


def top_k(
    user_factors: Floats,
    item_factors: Floats,
    seen: sp.csr_matrix,
    k: int,
    *,
    n_threads: int = 0,
    on_users: Callable[[int], object] = noop,
) -> TopK:
    """Return each user's k best unseen items, best first.

    Equal scores keep the lower item row first, so equal factors always build
    the same snapshot, on any number of threads.

    Args:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors).
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        k: Items to keep for each user, at least 1.
        n_threads: Number of threads; 0 means one for each usable processor.
        on_users: Callback with the number of users done, from several threads.

    Raises:
        ValueError: The shapes do not match, or k is below 1.
    """
    return top_k_in_blocks(user_factors, item_factors, seen, k, Execution(n_threads, on_users))


def top_k_in_blocks(
    user_factors: Floats,
    item_factors: Floats,
    seen: sp.csr_matrix,
    k: int,
    execution: Execution,
) -> TopK:
    """Return each user's k best unseen items, best first, with all options of `Execution`."""
    n_users, n_items = len(user_factors), len(item_factors)
    if seen.shape != (n_users, n_items) or user_factors.shape[1] != item_factors.shape[1]:
        shapes = f"{user_factors.shape}, {item_factors.shape} and {seen.shape}"
        raise ValueError(f"users, items and seen: the shapes {shapes} do not match")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    sizes = execution.sizes
    search = _Search(item_factors, seen, min(k, n_items), sizes)
    item_rows = np.full((n_users, k), NO_ITEM, np.int32)
    scores = np.full((n_users, k), -np.inf, np.float32)
    # Independent of the number of threads: a product's shape may change a score's last bit.
    n_task = min(sizes.max_task_users, max(sizes.min_task_users, n_users // _MIN_TASKS))

    def fill(first: int) -> None:
        task = slice(first, min(first + n_task, n_users))
        rows, best = search(user_factors[task], first)
        item_rows[task, : rows.shape[1]] = rows
        scores[task, : best.shape[1]] = best
        execution.on_users(len(rows))

    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(usable(execution.n_threads)) as pool,
    ):
        for done in [pool.submit(fill, first) for first in range(0, n_users, n_task)]:
            done.result()
    return TopK(item_rows, scores)


# A key is a score and its item row as one integer, sorted by score, ties by lower row:
# the float's bits, mapped to the order of integers, above the complement of the row.


def _keys(scores: Floats, item_rows: Rows) -> Rows:
    bits = (scores + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0: they are a tie
    ordered = np.where(bits < 0, bits ^ _SIGN_FLIP, bits).astype(np.int64)
    return (ordered << _ROW_BITS) | (_ROW_MASK - item_rows)


def _score_of(keys: Rows) -> Floats:
    ordered = (keys >> _ROW_BITS).astype(np.int32)
    return np.where(ordered < 0, ordered ^ _SIGN_FLIP, ordered).astype(np.int32).view(np.float32)


def _item_row_of(keys: Rows) -> Rows:
    return _ROW_MASK - (keys & _ROW_MASK)


_NO_KEY: Final = int(_keys(np.array([-np.inf], np.float32), np.array([_ROW_MASK]))[0])


class _Search:
    """Finds the best items for the users of a task."""

    def __init__(
        self, item_factors: Floats, seen: sp.csr_matrix, k: int, sizes: BlockSizes
    ) -> None:
        norms = _norms(item_factors)
        order = np.argsort(-norms, kind="stable")
        self._n_items = len(norms)
        self._place = np.empty(len(norms), np.int32)  # of each item row in that order
        self._place[order] = np.arange(len(norms))
        self._norms = norms[order]
        self._order = np.pad(order, (0, -len(norms) % WIDTH_MULTIPLE))  # padding is hidden
        self._items = np.ascontiguousarray(item_factors[self._order])
        self._seen = seen
        self._k = k
        self._block_users = sizes.users
        self._edges = _block_edges(self._norms, k, sizes)
        self._thread = threading.local()

    def __call__(self, users: Floats, first: int) -> tuple[ItemRows, Floats]:
        """Return (n, k) item rows and scores of `users`, whose rows begin at `first`."""
        best = _Best(len(users), self._k)
        user_norms = _norms(users)
        active = np.arange(len(users))
        seen_of_blocks = self._seen_of_blocks(first, len(users))
        for (begin, end), seen in zip(pairwise(self._edges), seen_of_blocks, strict=True):
            active = active[user_norms[active] * self._norms[begin] >= best.reached[active]]
            if not len(active):
                break
            for at in range(0, len(active), self._block_users):
                some = active[at : at + self._block_users]
                scores = self._scores(users[some], begin, end)
                _hide(scores, seen, some)
                best.offer(some, scores, self._order[begin:end])
        return best.lists()

    def _scores(self, users: Floats, begin: int, end: int) -> Floats:
        """Return (len(users), end - begin) scores, valid until the thread's next call."""
        n_scores = len(users) * (end - begin)
        buffer: Floats = getattr(self._thread, "buffer", np.empty(0, np.float32))
        if len(buffer) < n_scores:  # new memory would make a product a fifth slower
            self._thread.buffer = buffer = np.empty(n_scores, np.float32)
        scores = buffer[:n_scores].reshape(len(users), end - begin)
        np.matmul(users, self._items[begin:end].T, out=scores)
        scores[:, max(0, self._n_items - begin) :] = -np.inf
        return scores

    def _seen_of_blocks(self, first: int, n_users: int) -> Iterator[sp.csr_matrix]:
        """Yield (n_users, n_items) the seen items of each block of items."""
        indptr = self._seen.indptr[first : first + n_users + 1]
        places = self._place[self._seen.indices[indptr[0] : indptr[-1]]]
        entries = (np.ones(len(places), np.bool_), places, indptr - indptr[0])
        seen = sp.csr_matrix(entries, shape=(n_users, self._edges[-1]))
        if len(self._edges) == 2:
            yield seen
        else:
            by_item = seen.tocsc()
            for begin, end in pairwise(self._edges):
                yield _columns(by_item, begin, end)


class _Best:
    """The k best items so far of each user of a task.

    Attributes:
        reached: (n_users,) lower bound of the k-th best score.
    """

    def __init__(self, n_users: int, k: int) -> None:
        self._k = k
        self._keys = np.full((n_users, k), _NO_KEY, np.int64)  # unordered, the least first
        self.reached = np.full(n_users, _LOWEST)

    def offer(self, users: Rows, scores: Floats, item_rows: Rows) -> None:
        """Merge (len(users), len(item_rows)) `scores` into the users' k best."""
        maxima = scores
        if len(item_rows) >= self._k and (self.reached[users] == _LOWEST).any():
            maxima = part_maxima(scores, self._k)
            self._raise(users, reached_by(maxima, self._k))  # a bound from the block itself
        found = reaching(scores, maxima, self.reached[users])
        n_found = np.bincount(found.rows, minlength=len(users))
        gaining = np.flatnonzero(n_found)
        if not len(gaining):
            return
        pool = np.full((len(gaining), self._k + int(n_found.max())), _NO_KEY, np.int64)
        pool[:, : self._k] = self._keys[users[gaining]]
        is_new = np.arange(pool.shape[1] - self._k) < n_found[gaining, None]
        pool[:, self._k :][is_new] = _keys(found.scores, item_rows[found.columns])
        pool.partition(pool.shape[1] - self._k, axis=1)
        self._keys[users[gaining]] = pool[:, -self._k :]
        self._raise(users[gaining], _score_of(pool[:, -self._k]))

    def lists(self) -> tuple[ItemRows, Floats]:
        """Return (n_users, k) item rows and scores, best first."""
        keys = np.sort(self._keys, axis=1)[:, ::-1]
        item_rows = np.where(keys == _NO_KEY, NO_ITEM, _item_row_of(keys)).astype(np.int32)
        return item_rows, _score_of(keys)

    def _raise(self, users: Rows, reached: Floats) -> None:
        self.reached[users] = np.maximum(self.reached[users], reached)


def _columns(seen: sp.csc_matrix, begin: int, end: int) -> sp.csr_matrix:
    """Return `seen[:, begin:end]` by rows, without the copy that indexing makes."""
    indptr = seen.indptr[begin : end + 1]
    entries = slice(indptr[0], indptr[-1])
    part = (seen.data[entries], seen.indices[entries], indptr - indptr[0])
    return sp.csc_matrix(part, shape=(seen.shape[0], end - begin)).tocsr()


def _hide(scores: Floats, seen: sp.csr_matrix, users: Rows) -> None:
    """Set the scores of seen items to -inf; `users` are the rows of `seen` for each score row."""
    starts, ends = seen.indptr[users], seen.indptr[users + 1]
    counts = ends - starts
    positions = np.repeat(np.arange(len(users)) * scores.shape[1], counts)
    if users[-1] - users[0] == len(users) - 1:  # consecutive, as all are in the first block
        positions += seen.indices[starts[0] : ends[-1]]
    else:
        entries = np.arange(len(positions)) + np.repeat(ends - np.cumsum(counts), counts)
        positions += seen.indices[entries]
    scores.reshape(-1)[positions] = -np.inf


def _norms(vectors: Floats) -> Floats:
    """Return norms rounded up, so that neither rounding nor underflow loses an item.

    A float32 inner product errs by at most n_factors · ε · ‖u‖ · ‖v‖ (Higham 2002,
    section 3.1), and so may the norms; squares below the least normal number vanish.
    """
    float32, n_factors = np.finfo(np.float32), vectors.shape[1]
    slack, floor = 1 + 2 * n_factors * float32.eps, np.sqrt(n_factors * float32.tiny)
    with np.errstate(over="ignore"):  # an infinite norm is a bound too
        norms: Floats = np.sqrt(np.vecdot(vectors, vectors))
        return norms * np.float32(slack) + np.float32(floor)


def _block_edges(norms: Floats, k: int, sizes: BlockSizes) -> list[int]:
    """Return the edges of item blocks, which may end in padding.

    Where norms fall the first block is small, which is enough for most users. They are
    flat if most items may reach the list of a typical user.
    """
    is_flat = len(norms) > k and norms[len(norms) // 2] > _FLAT_RATIO * norms[k]
    first, others = (sizes.flat_items,) * 2 if is_flat else (sizes.first_items, sizes.items)
    edges, size = [0], max(first, 4 * k)
    while edges[-1] < len(norms):
        padded = len(norms) + -len(norms) % WIDTH_MULTIPLE
        edges.append(min(edges[-1] + size, padded))
        size = max(others, 4 * k)
    return edges
