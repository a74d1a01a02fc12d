"""Calibration by genre: whether a user's lists have the genres that the user watches.

C_KL = Σ_g p(g) ln(p(g) / q̃(g)), q̃ = 0.99 q + 0.01 p

p is the distribution of genres over the items that a user watched, q over those shown.
An item of three genres counts a third for each. 0 is perfect. Memory is bounded: if
there are too many pairs, only users of some random groups are kept.

Source:
    Steck, "Calibrated recommendations", RecSys 2018, equations 4 to 6.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Hashes, Rows

_MIN_WATCHED: Final = 5
_MAX_PAIRS: Final = 4_000_000
_MIXED: Final = 0.01  # of p in q̃, or a genre that is not shown would make it infinite
_Z: Final = 1.96
_N_GROUPS: Final = 1024


class Mean(NamedTuple):
    """A mean over users with its 95 % interval.

    Attributes:
        value: Mean.
        low, high: Edges of the interval.
        n_users: Number of users.
    """

    value: float
    low: float
    high: float
    n_users: int


class PairSample:
    """(user, item) pairs of as many random users as memory allows."""

    def __init__(self, max_pairs: int = _MAX_PAIRS) -> None:
        self._max_pairs = max_pairs
        self._n_groups = _N_GROUPS
        self._users: dict[str, list[Hashes]] = {}
        self._items: dict[str, list[Rows]] = {}
        self._n_pairs = 0

    def add(self, name: str, users: Hashes, items: Rows) -> None:
        """Add pairs of one kind, `watched` or `shown GENERATION`; items below 0 are left out."""
        is_kept = (users % _N_GROUPS < self._n_groups) & (items >= 0)
        self._users.setdefault(name, []).append(users[is_kept])
        self._items.setdefault(name, []).append(items[is_kept])
        self._n_pairs += int(is_kept.sum())
        while self._n_pairs > self._max_pairs and self._n_groups > 1:
            self._halve()

    def pairs(self, name: str) -> tuple[Hashes, Rows]:
        """Return users, by the hash of their ids, and item rows of one kind."""
        if name not in self._users:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        return np.concatenate(self._users[name]), np.concatenate(self._items[name])

    def _halve(self) -> None:
        self._n_groups //= 2
        self._n_pairs = 0
        for name in self._users:
            users, items = self.pairs(name)
            is_kept = users % _N_GROUPS < self._n_groups
            self._users[name], self._items[name] = [users[is_kept]], [items[is_kept]]
            self._n_pairs += int(is_kept.sum())


def genre_shares(genres: Sequence[Sequence[str]]) -> sp.csr_matrix:
    """Return (n_items, n_genres) share of each genre in an item; no entry without genres."""
    names = sorted({name for of_item in genres for name in of_item})
    column = {name: number for number, name in enumerate(names)}
    indptr = np.cumsum([0, *(len(of_item) for of_item in genres)])
    indices = [column[name] for of_item in genres for name in of_item]
    shares = [1 / len(of_item) for of_item in genres for _ in of_item]
    return sp.csr_matrix((shares, indices, indptr), shape=(len(genres), max(len(names), 1)))


def calibration(sample: PairSample, shown: str, genres: sp.csr_matrix) -> Mean | None:
    """Return the mean C_KL of users with 5 watched items and a list; None below 2 users.

    Args:
        sample: Pairs, those of `watched` among them.
        shown: Name of the pairs that were shown.
        genres: See `genre_shares`.
    """
    (watching, watched), (shown_to, items) = sample.pairs("watched"), sample.pairs(shown)
    users = np.intersect1d(watching, shown_to)
    watched_genres, n_watched = _genres_of(users, watching, watched, genres)
    shown_genres, n_shown = _genres_of(users, shown_to, items, genres)
    is_in = (n_watched >= _MIN_WATCHED) & (watched_genres.sum(axis=1) > 0) & (n_shown > 0)
    is_in &= shown_genres.sum(axis=1) > 0
    if is_in.sum() < 2:
        return None
    p, q = (
        one[is_in] / one[is_in].sum(axis=1, keepdims=True) for one in (watched_genres, shown_genres)
    )
    mixed = (1 - _MIXED) * q + _MIXED * p
    ratio = np.divide(p, mixed, out=np.ones_like(p), where=p > 0)
    values = (p * np.log(ratio)).sum(axis=1)
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    return Mean(mean, mean - _Z * error, mean + _Z * error, len(values))


def _genres_of(
    users: Hashes, of_pair: Hashes, items: Rows, genres: sp.csr_matrix
) -> tuple[Doubles, Rows]:
    """Return (n_users, n_genres) sums of the genres of each user's items, and their number."""
    place = np.searchsorted(users, of_pair)
    is_in = place < len(users)
    is_in[is_in] = users[place[is_in]] == of_pair[is_in]
    place, items = place[is_in], items[is_in]
    ones = np.ones(len(place))
    pairs = sp.csr_matrix((ones, (place, items)), shape=(len(users), genres.shape[0]))
    return (pairs @ genres).toarray(), np.bincount(place, minlength=len(users))
