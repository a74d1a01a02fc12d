"""The Annoy index over the item factors: which items are like an item.

Angular, item to item: that is what Annoy does well (its dot metric is not to
be trusted). The index answers the fallback, and the `similar` lists are read
from it. Every build measures how much of the exact answer it finds.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import annoy
import numpy as np
import numpy.typing as npt

from batch.models.als import Factors
from store.errors import WriteError

_N_PROBES: Final = 200  # items whose exact neighbours the recall is measured on


def build_index(item_factors: Factors, *, n_trees: int, seed: int) -> annoy.AnnoyIndex:
    """Build the index of all item rows.

    Args:
        item_factors: (n_items, n_factors).
        n_trees: More trees find more and weigh more.
        seed: The same seed and factors give the same index.
    """
    index = annoy.AnnoyIndex(item_factors.shape[1], "angular")
    index.set_seed(seed)
    for item_row, vector in enumerate(item_factors):
        index.add_item(item_row, vector)
    index.build(n_trees, n_jobs=1)  # with more jobs it is not deterministic
    return index


def save_index(index: annoy.AnnoyIndex, path: Path) -> None:
    """Write the index; the caller fsyncs it, for Annoy does not.

    Raises:
        WriteError: The disk is full or the directory may not be written to.
    """
    try:
        index.save(str(path))
    except OSError as error:
        raise WriteError(path, f"cannot be written: {error}") from error


def similar_items(
    index: annoy.AnnoyIndex,
    k: int,
    hidden: Collection[int] = frozenset(),
    *,
    on_items: Callable[[int], object] = lambda _: None,
) -> list[list[int]]:
    """Return for each item row its k nearest others, nearest first, none of them hidden."""
    similar = []
    for item_row in range(index.get_n_items()):
        similar.append(_nearest(index, item_row, k, hidden))
        on_items(1)
    return similar


def _nearest(index: annoy.AnnoyIndex, item_row: int, k: int, hidden: Collection[int]) -> list[int]:
    n_asked = k + 1
    while True:
        nearest = index.get_nns_by_item(item_row, n_asked)
        kept = [row for row in nearest if row != item_row and row not in hidden]
        if len(kept) >= k or len(nearest) < n_asked:
            return kept[:k]
        n_asked *= 2


def recall(similar: Sequence[Sequence[int]], item_factors: Factors, k: int, seed: int) -> float:
    """Return the share of the exact k neighbours that the index found, on a sample of items."""
    probes = np.random.default_rng(seed).permutation(len(item_factors))[:_N_PROBES]
    norms = np.linalg.norm(item_factors, axis=1, keepdims=True)
    unit = item_factors / np.maximum(norms, np.finfo(np.float32).tiny)
    cosine = unit[probes] @ unit.T
    cosine[np.arange(len(probes)), probes] = -np.inf
    exact: npt.NDArray[np.int64] = np.argsort(-cosine, axis=1)[:, : min(k, len(unit) - 1)]
    found = sum(len(set(similar[p]) & set(best)) for p, best in zip(probes, exact, strict=True))
    return float(found / exact.size)
