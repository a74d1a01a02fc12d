"""The best items of few users: blocks of items by falling norm, which are sorted once and kept.

    items by falling norm   ┌────┬─────────┬───────────────────┬─ ─ ─
    users                   │████│█████████│ no score can reach the k-th best: done
                            └────┴─────────┴─ ─ ─

`topk.py` sorts items for each search, which takes longer than the lists of few users.
"""

import weakref
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import numpy as np

from batch.arrays import Floats, Rows
from batch.models.dense_topk import best_of
from batch.topk import TopK

_FIRST_ITEMS: Final = 1024  # of the first block; each further one is twice as large

# Function that sets scores of users' seen and hidden items to -inf, given the rows of the users
Hide = Callable[[Floats, Rows], None]
_T = TypeVar("_T")


def kept_by_array(compute: Callable[[Floats], _T]) -> Callable[[Floats], _T]:
    """Return the function with its results kept as long as their arrays, which must not change."""
    known: dict[int, tuple[weakref.ref[Floats], _T]] = {}

    def lookup(array: Floats) -> _T:
        key = id(array)
        found = known.get(key)
        if found and found[0]() is array:
            return found[1]
        value = compute(array)
        known[key] = weakref.ref(array, lambda _: known.pop(key, None)), value
        return value

    return lookup


class _ByNorm(NamedTuple):
    """Items by falling norm.

    Attributes:
        item_rows: (n_items,) rows of the items.
        norms: (n_items,) upper bounds of their norms.
        factors: (n_items, n_factors) their factors.
    """

    item_rows: Rows
    norms: Floats
    factors: Floats


@kept_by_array
def _by_norm(item_factors: Floats) -> _ByNorm:
    norms = norm_bounds(item_factors)
    order = np.argsort(-norms, kind="stable")
    return _ByNorm(order, norms[order], np.ascontiguousarray(item_factors[order]))


def norm_bounds(vectors: Floats) -> Floats:
    """Return (n,) norms rounded up: no computed score exceeds the product of two of them.

    Source:
        Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1.
    """
    float32, n_factors = np.finfo(np.float32), vectors.shape[1]
    slack, floor = 1 + 2 * n_factors * float32.eps, np.sqrt(n_factors * float32.tiny)
    norms: Floats = np.sqrt(np.vecdot(vectors, vectors))
    return norms * np.float32(slack) + np.float32(floor)


def best_of_few(user_factors: Floats, item_factors: Floats, hide: Hide, k: int) -> TopK:
    """Return each user's k best items, as far as products of matrices tell.

    Args:
        user_factors: (n_users, n_factors).
        item_factors: (n_items, n_factors); the array must not change later.
        hide: Function that hides items of the users.
        k: Items to keep for each user, at least 1.
    """
    items, norms = _by_norm(item_factors), norm_bounds(user_factors)
    n_users, n_items = len(user_factors), len(item_factors)
    scores = np.full((n_users, n_items), -np.inf, np.float32)
    begin, size = 0, max(_FIRST_ITEMS, 4 * k)
    while True:
        block = slice(begin, begin + size)
        scores[:, items.item_rows[block]] = user_factors @ items.factors[block].T
        hide(scores, np.arange(n_users))
        found = best_of(scores, k)
        begin, size = begin + size, 2 * size
        if begin >= n_items or (norms * items.norms[begin] < found.scores[:, -1]).all():
            return found
