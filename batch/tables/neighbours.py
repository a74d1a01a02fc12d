"""The Annoy index over the item factors, and each item's neighbours.

The metric is angular, which Annoy does well (its dot metric is not reliable). The
index serves the fallback, and the `similar` lists are read from it. Each build
measures its recall against exact search.
"""

import errno
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import annoy
import numpy as np

from batch.arrays import Floats, Rows
from batch.progress import noop
from store.errors import WriteError

_NO_VECTORS: Final[Mapping[int, Floats]] = {}
_N_PROBES: Final = 200  # items that recall is measured on
# Squares of shorter vectors leave float32; Annoy's splits between such are not numbers.
_MIN_NORM: Final = 1e-15


def build_index(
    item_factors: Floats, *, n_trees: int, seed: int, hidden: Collection[int] = frozenset()
) -> annoy.AnnoyIndex:
    """Build the index of all item rows but the hidden ones.

    Annoy never finds a row that was not added. The vector of such a row is zero, and
    a row behind the last one that was added has no vector. A vector that is nearly zero,
    of an item without any signal, is added as zero.

    Args:
        item_factors: (n_items, n_factors).
        n_trees: Number of trees; more of them give a higher recall and a larger index.
        seed: Random seed; the same seed and factors give the same index.
        hidden: Item rows that are not added.
    """
    index = annoy.AnnoyIndex(item_factors.shape[1], "angular")
    index.set_seed(seed)
    is_zero = np.linalg.norm(item_factors, axis=1) < _MIN_NORM
    zero = np.zeros(item_factors.shape[1], np.float32)
    for item_row, vector in enumerate(item_factors):
        if item_row not in hidden:
            index.add_item(item_row, zero if is_zero[item_row] else vector)
    index.build(n_trees, n_jobs=1)  # with more jobs it is not deterministic
    return index


def save_index(index: annoy.AnnoyIndex, path: Path) -> None:
    """Write the index; Annoy does not fsync it, so the caller has to.

    Raises:
        WriteError: The disk is full or the directory may not be written to.
    """
    try:
        index.save(str(path))
    except OSError as error:
        is_full = os.strerror(errno.ENOSPC) in str(error)  # Annoy's errors have no number
        reason = "the disk is full" if is_full else str(error)
        raise WriteError(path, f"cannot be written: {reason}") from error


def similar_items(
    index: annoy.AnnoyIndex,
    k: int,
    hidden: Collection[int] = frozenset(),
    *,
    left_out: Mapping[int, Floats] = _NO_VECTORS,
    on_items: Callable[[int], object] = noop,
) -> list[list[int]]:
    """Return for each item row its k nearest others, nearest first, none of them hidden.

    Args:
        index: Index of all rows but those of `left_out`.
        k: Number of neighbours of each item.
        hidden: Item rows that are not neighbours of any item.
        left_out: (n_factors,) vectors of the rows that the index was built without.
        on_items: Callback with the number of items done.
    """
    n_rows = max(index.get_n_items(), 1 + max(left_out, default=-1))
    similar = []
    for item_row in range(n_rows):
        similar.append(_nearest(index, item_row, k, hidden, left_out.get(item_row)))
        on_items(1)
    return similar


def _nearest(
    index: annoy.AnnoyIndex,
    item_row: int,
    k: int,
    hidden: Collection[int],
    vector: Floats | None,
) -> list[int]:
    n_requested = k + 1
    while True:
        if vector is None:
            nearest = index.get_nns_by_item(item_row, n_requested)
        else:
            nearest = index.get_nns_by_vector(vector, n_requested)
        kept = [row for row in nearest if row != item_row and row not in hidden]
        if len(kept) >= k or len(nearest) < n_requested:
            return kept[:k]
        n_requested *= 2


def recall(
    similar: Sequence[Sequence[int]],
    item_factors: Floats,
    k: int,
    seed: int,
    hidden: Collection[int] = frozenset(),
) -> float:
    """Return the index's recall of the exact k neighbours, on a sample of items."""
    probes = np.random.default_rng(seed).permutation(len(item_factors))[:_N_PROBES]
    norms = np.linalg.norm(item_factors, axis=1, keepdims=True)
    unit = item_factors / np.maximum(norms, np.finfo(np.float32).tiny)
    cosine = unit[probes] @ unit.T
    cosine[np.arange(len(probes)), probes] = -np.inf
    cosine[:, list(hidden)] = -np.inf
    n_exact = min(k, max(len(unit) - len(hidden) - 1, 1))
    exact: Rows = np.argsort(-cosine, axis=1)[:, :n_exact]
    found = sum(len(set(similar[p]) & set(best)) for p, best in zip(probes, exact, strict=True))
    return float(found / exact.size)
