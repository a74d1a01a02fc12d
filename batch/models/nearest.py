"""The nearest items of every item, block by block: memory does not grow with items squared.

block of items ─► their similarities to all items ─► the n largest of each ─► CSR rows
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Rows
from batch.models.dense_topk import LOWEST_ABOVE_ZERO, best_of
from batch.threads import usable
from batch.topk import NO_ITEM

_DENSE_FROM: Final = 0.25  # share of pairs from which a dense product is the faster one
_BLOCK_SCORES: Final = 1 << 22  # similarities held at a time by a thread: 16 MiB


def nearest(
    similarities: Callable[[Rows], Floats], n_items: int, n_neighbours: int, n_threads: int = 0
) -> sp.csr_matrix:
    """Return (n_items, n_items) the largest similarities of each row, those above 0.

    An item is not its own neighbour; ties keep the lower row.

    Args:
        similarities: Function from item rows to their (len(rows), n_items) similarities,
            called from several threads.
        n_items: Number of items, at least 1.
        n_neighbours: Maximum neighbours of an item, at least 1.
        n_threads: Number of threads; 0 means one for each usable processor.
    """
    n_block = max(1, _BLOCK_SCORES // n_items)
    n_neighbours = min(n_neighbours, n_items)

    def cut(first: int) -> sp.csr_matrix:
        rows = np.arange(first, min(first + n_block, n_items))
        block = similarities(rows)
        block[np.arange(len(rows)), rows] = 0
        return largest(block, n_neighbours)

    with ThreadPoolExecutor(usable(n_threads)) as pool:
        parts = list(pool.map(cut, range(0, n_items, n_block)))
    return sp.csr_matrix(sp.vstack(parts, format="csr"))


def largest(similarities: Floats, n_neighbours: int) -> sp.csr_matrix:
    """Return (n, n_items) the largest similarities of each row, those above 0.

    Args:
        similarities: (n, n_items) similarities.
        n_neighbours: Maximum entries of a row, at least 1; ties keep the lower item row.
    """
    found = best_of(similarities, n_neighbours, LOWEST_ABOVE_ZERO)
    is_found = found.item_rows != NO_ITEM
    indptr = np.concatenate(([0], np.cumsum(is_found.sum(axis=1))))
    entries = (found.scores[is_found], found.item_rows[is_found], indptr)
    kept = sp.csr_matrix(entries, shape=similarities.shape)
    kept.sort_indices()
    return kept


def compact(item_item: sp.csr_matrix) -> sp.csr_matrix | Floats:
    """Return the matrix dense where a quarter of the pairs or more are stored.

    It takes at most twice the memory, and a product with it less time.
    """
    if item_item.nnz < _DENSE_FROM * item_item.shape[0] * item_item.shape[1]:
        return item_item
    return np.asarray(item_item.toarray(), np.float32)
