"""Item features: the content that the catalogue lists, as a sparse matrix.

genres      one column each, 1 where the item has it
language    one column each
year        a Gaussian bell around the start of each decade: close years share columns
overview    tf-idf of its words; a row of them has length 1, as one genre has
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.records.catalogue import Item

_DECADES: Final = np.arange(1890, 2041, 10)
_YEARS_WIDTH: Final = 7.0  # standard deviation of a bell
_MIN_BELL: Final = 0.01  # smaller values become 0
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_MIN_ITEMS: Final = 3  # with a word; a word of one item has no information about others
_MAX_SHARE: Final = 0.1  # of the overviews; more frequent words are grammar
_MAX_WORDS: Final = 2_000
_UNLISTED: Final = Item(None, None, (), None, None)


def has_content(item: Item | None) -> bool:
    """Return whether the catalogue lists any genre or overview of an item."""
    return item is not None and bool(item.genres or item.overview)


def features_of(items: Sequence[Item | None]) -> sp.csr_matrix:
    """Return the (n_items, n_features) features; a row of zeros for None.

    The columns depend on the set of items and not on their order.
    """
    listed = [item or _UNLISTED for item in items]
    words = [Counter(_WORD.findall((item.overview or "").casefold())) for item in listed]
    parts = (
        _indicators([item.genres for item in listed]),
        _indicators([(item.language,) if item.language else () for item in listed]),
        _years([item.year for item in listed]),
        _tf_idf(words),
    )
    return sp.csr_matrix(sp.hstack(parts, format="csr"))


def _indicators(labels: Sequence[Iterable[str]]) -> sp.csr_matrix:
    return _columns([{label.casefold(): 1.0 for label in row} for row in labels])


def _years(years: Sequence[int | None]) -> sp.csr_matrix:
    year = np.array([year or np.nan for year in years], np.float64)
    distance = (np.clip(year, _DECADES[0], _DECADES[-1])[:, None] - _DECADES) / _YEARS_WIDTH
    bells = np.nan_to_num(np.exp(-(distance**2) / 2))
    return sp.csr_matrix(np.where(bells > _MIN_BELL, bells, 0))


def _tf_idf(words: Sequence[Counter[str]]) -> sp.csr_matrix:
    n_items_by_word = Counter(word for row in words for word in row)
    n_overviews = sum(bool(row) for row in words)
    selected = [
        word
        for word, n in sorted(n_items_by_word.items(), key=lambda entry: (-entry[1], entry[0]))
        if _MIN_ITEMS <= n <= max(_MAX_SHARE * n_overviews, _MIN_ITEMS)
    ][:_MAX_WORDS]
    idf = {word: float(np.log(n_overviews / n_items_by_word[word])) for word in selected}
    counts = _columns(
        [{w: (1 + np.log(n)) * idf[w] for w, n in row.items() if w in idf} for row in words]
    )
    lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags_array(1 / np.maximum(lengths, np.finfo(float).tiny)) @ counts)


def _columns(rows: Sequence[dict[str, float]]) -> sp.csr_matrix:
    """Return one column for each label, in the labels' order."""
    labels = sorted({label for row in rows for label in row})
    column = {label: number for number, label in enumerate(labels)}
    indptr = np.concatenate(([0], np.cumsum([len(row) for row in rows]))).astype(np.int64)
    n_entries = int(indptr[-1])
    indices = np.fromiter((column[label] for row in rows for label in row), np.int64, n_entries)
    values = np.fromiter((value for row in rows for value in row.values()), np.float64, n_entries)
    return sp.csr_matrix((values, indices, indptr), shape=(len(rows), len(labels)))
