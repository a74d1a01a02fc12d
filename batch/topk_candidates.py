"""Candidates in a block of scores: the few that reach a bound, found by maxima of parts.

    scores of a user, in parts    ··▁·▂···│·▁··█·▃·│··▂··▁··│▅···▁·▂·
    maximum at each place         ▅▁▂·█·▃·
                                  ▲   ▲       2 places reach the bound: 8 scores to compare

A bound of the k-th best score is the k-th best of the maxima, which at least k scores
reach; it is only slightly lower. Each score is then read once, and few are read again.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Floats, Rows

WIDTH_MULTIPLE: Final = 8  # a block of such a number of items has parts of equal size

_MIN_PLACES: Final = 8  # for each place of a list, so that few of a list share a maximum


class Candidates(NamedTuple):
    """Scores that reach a bound, row by row.

    Attributes:
        rows: (n,) rows in the block, ascending.
        columns: (n,) columns in the block.
        scores: (n,) scores.
    """

    rows: Rows
    columns: Rows
    scores: Floats


def part_maxima(scores: Floats, k: int) -> Floats:
    """Return (n_users, n_places) the best score at each place of 8 or 4 parts.

    A block that is too small for parts, or whose width is not a multiple, is one part.
    """
    n_users, n_items = scores.shape
    n_parts = 8 if n_items >= 8 * _MIN_PLACES * k else 4
    if n_items % n_parts or n_items < n_parts * _MIN_PLACES * k:
        return scores
    maxima: Floats = scores.reshape(n_users, n_parts, n_items // n_parts).max(axis=1)
    return maxima


def reached_by(maxima: Floats, k: int) -> Floats:
    """Return for each row a score that at least k of its items reach.

    The k-th best of the maxima of pairs, fours, … is only slightly lower than the
    k-th best of all, and takes a fraction of the time to find.
    """
    while (half := maxima.shape[1] // 2) >= 4 * k:
        maxima = np.maximum(maxima[:, :half], maxima[:, half : 2 * half])
    kth: Floats = np.partition(maxima, -k, axis=1)[:, -k]
    return kth


def reaching(scores: Floats, maxima: Floats, reached: Floats) -> Candidates:
    """Return the scores that are at least the bound of their row.

    Args:
        scores: (n_users, n_items), contiguous.
        maxima: (n_users, n_places) maxima of the parts; the scores themselves are one part.
        reached: (n_users,) bounds.
    """
    n_items, n_places = scores.shape[1], maxima.shape[1]
    found = np.flatnonzero(maxima >= reached[:, None])
    row = found // n_places  # with `divmod` it would take several times as long
    if n_places == n_items:
        return Candidates(row, found - row * n_items, scores.reshape(-1)[found])
    in_first_part = found + row * (n_items - n_places)
    positions = in_first_part[:, None] + np.arange(0, n_items, n_places)
    some = scores.reshape(-1)[positions]
    is_candidate = np.flatnonzero(some >= reached[row, None])
    row = row[is_candidate // positions.shape[1]]
    columns = positions.reshape(-1)[is_candidate] - row * n_items
    return Candidates(row, columns, some.reshape(-1)[is_candidate])
