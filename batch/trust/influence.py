"""Influence: the share of each interaction that models learn from.

    influence = of the account    min(1, age / 7 d), 0 for a suspect
              · of the item       ½ while it is in doubt
              · of young accounts on the item, so that together they weigh at most 3 times the
                usual beside the others

An interaction is learned from with its influence as probability, by a hash of its rows: many
models count users and use no weights, and for all models the expected count is the same. Two
refreshes of the same events leave out the same interactions.

Source:
    Thinning by a hash is a Poisson sample with unequal probabilities: Horvitz and Thompson,
    "A Generalization of Sampling Without Replacement from a Finite Universe", JASA 1952.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Flags, Floats, Hashes, Rows
from batch.interactions.build import Interactions
from batch.models.popularity import users_of_items
from batch.trust.ages import Ages
from batch.trust.settings import TrustSettings

_MIN_YOUNG: Final = 5.0  # accounts that always have their influence on an item
_CHUNK: Final = 1 << 22  # interactions compared at a time
_GOLDEN: Final = 0x9E3779B97F4A7C15


@dataclass(frozen=True, slots=True)
class Influence:
    """Influence of accounts and items, each between 0 and 1.

    Attributes:
        account: (n_users,) influence of each account.
        young: (n_items,) further factor of interactions of accounts below 1.
        item: (n_items,) factor of all interactions with an item.
    """

    account: Floats
    young: Floats
    item: Floats

    def without_limits(self, user_rows: Rows, item_rows: Rows) -> "Influence":
        """Return the influence where these accounts and items have all of theirs."""
        account, young, item = self.account.copy(), self.young.copy(), self.item.copy()
        account[user_rows] = young[item_rows] = item[item_rows] = 1
        return Influence(account, young, item)

    def left_out(self, weights: sp.csr_matrix, seed: int) -> Rows:
        """Return the positions in `weights.data` that are not learned from, ascending.

        Args:
            weights: (n_users, n_items) weights of all interactions.
            seed: Random seed of the hash.
        """
        found = [np.zeros(0, np.int64)]
        for at in self._bounded(weights):
            user_row = np.searchsorted(weights.indptr, at, side="right") - 1
            item_row = weights.indices[at].astype(np.int64)
            account = self.account[user_row]
            influence = account * self.item[item_row]
            influence *= np.where(account < 1, self.young[item_row], np.float32(1))
            found.append(at[_chance(user_row * weights.shape[1] + item_row, seed) >= influence])
        return np.sort(np.concatenate(found))

    def _bounded(self, weights: sp.csr_matrix) -> Iterator[Rows]:
        """Yield the positions of all interactions with an influence below 1, some at a time."""
        is_bounded = self.account < 1
        yield positions_of(weights, np.flatnonzero(is_bounded))
        if (self.item == 1).all():
            return
        for begin in range(0, weights.nnz, _CHUNK):
            some = weights.indices[begin : begin + _CHUNK]
            at = begin + np.flatnonzero(self.item[some] < 1)
            yield at[~is_bounded[np.searchsorted(weights.indptr, at, side="right") - 1]]


def influence_of(
    interactions: Interactions,
    ages: Ages,
    settings: TrustSettings,
    suspects: Rows,
    doubtful: Rows,
) -> Influence:
    """Return the influence of all accounts and items.

    Args:
        interactions: All interactions with their times.
        ages: Ages of the accounts.
        settings: Limits of the influence.
        suspects: User rows of the accounts that have no influence.
        doubtful: Item rows of the items that weigh half.
    """
    n_users, n_items = interactions.weights.shape
    account = np.ones(n_users, np.float32)
    if settings.bounded and settings.young_days:
        account = np.minimum(ages.days / np.float32(settings.young_days), np.float32(1))
    account[suspects] = 0
    item = np.ones(n_items, np.float32)
    item[doubtful] = 0.5
    young = np.ones(n_items, np.float32)
    if settings.bounded:
        newer, usual = newer_and_usual(
            interactions, ages.since(settings.young_days), account, account < 1
        )
        allowed = np.maximum(settings.max_young_ratio * usual, _MIN_YOUNG)
        young = np.minimum(allowed / np.maximum(newer, 1e-9), 1).astype(np.float32)
    return Influence(account, young, item)


def newer_and_usual(
    interactions: Interactions, since: int, account: Floats, is_newer: Flags
) -> tuple[Doubles, Doubles]:
    """Return (n_items,) the influence of newer accounts on each item, and the usual one.

    Newer accounts have watched little of what was new before them, and more of what is new now.
    So the usual influence is in proportion to all older accounts of an item, or to those that
    began it since, whichever is more.

    Args:
        interactions: Interactions with their times.
        since: Time after which newer accounts were created, seconds since 1970.
        account: (n_users,) influence of each account, 1 for all that are not newer.
        is_newer: (n_users,) flags of the newer accounts.
    """
    newer, older = newer_and_older(interactions.weights, account, is_newer)
    usual = usual_ratio(newer, older) * older if older.any() else np.full_like(newer, np.inf)
    if interactions.began_at is None or not older.any():
        return newer, usual
    recent = _recent_older(interactions, since, is_newer)
    ratio = usual_ratio(newer, recent) if recent.any() else 0.0
    return newer, np.maximum(usual, ratio * recent)


def _recent_older(interactions: Interactions, since: int, is_newer: Flags) -> Doubles:
    """Return (n_items,) number of older accounts that began each item after a time."""
    at, weights = interactions.began_at, interactions.weights
    assert at is not None
    n_older = np.zeros(weights.shape[1], np.int64)
    for begin in range(0, weights.nnz, _CHUNK):
        recent = begin + np.flatnonzero(at[begin : begin + _CHUNK] > since)
        users = np.searchsorted(weights.indptr, recent, side="right") - 1
        items = weights.indices[recent[~is_newer[users]]]
        n_older += np.bincount(items, minlength=len(n_older))
    return n_older.astype(np.float64)


def newer_and_older(
    weights: sp.csr_matrix, account: Floats, is_newer: Flags
) -> tuple[Doubles, Doubles]:
    """Return (n_items,) the influence of newer accounts on each item, and of the others.

    Args:
        weights: (n_users, n_items) weights of the interactions.
        account: (n_users,) influence of each account, 1 for all that are not newer.
        is_newer: (n_users,) flags of the newer accounts.
    """
    rows = np.flatnonzero(is_newer)
    items = weights.indices[positions_of(weights, rows)]
    counted = np.repeat(account[rows].astype(np.float64), np.diff(weights.indptr)[rows])
    n_items = weights.shape[1]
    newer = np.bincount(items, counted, n_items).astype(np.float64)
    older = users_of_items(weights) - np.bincount(items, minlength=n_items)
    return newer, older.astype(np.float64)


def usual_ratio(newer: Doubles, older: Doubles) -> float:
    """Return the median over items of newer / older, where an item counts by its older ones.

    Few items with many new accounts do not change it. Without older accounts it is infinite.
    """
    has_older = np.flatnonzero(older)
    if not len(has_older):
        return float("inf")
    ratio = newer[has_older] / older[has_older]
    order = np.argsort(ratio, kind="stable")
    cumulated = np.cumsum(older[has_older][order])
    return float(ratio[order][np.searchsorted(cumulated, cumulated[-1] / 2)])


def positions_of(weights: sp.csr_matrix, user_rows: Rows) -> Rows:
    """Return the positions in `weights.data` of some users' interactions, ascending."""
    starts = weights.indptr[user_rows].astype(np.int64)
    lengths = weights.indptr[user_rows + 1] - starts
    before = np.cumsum(lengths) - lengths
    return np.asarray(np.arange(lengths.sum()) + np.repeat(starts - before, lengths), np.int64)


def _chance(cells: Rows, seed: int) -> Doubles:
    """Return a number of [0, 1) for each cell, by SplitMix64."""
    x: Hashes = cells.astype(np.uint64) + np.uint64((seed + 1) * _GOLDEN % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((x ^ (x >> np.uint64(31))) >> np.uint64(11), np.float64) * 2.0**-53
