"""The dense block: accounts that have watched the same items, far more often than by chance.

    density of a block   Σ weights of its edges / (its accounts + its items)
    weight of an edge    1 / ln(accounts of the item + 5): popular items cannot hide a block

Vertices are peeled off, those of the lowest degree first; the densest rest is the block. All
vertices below the best density so far are peeled at once: none of them is in a denser block.
Below a regular graph that would end, and the lowest go.

It is run on young accounts only, and compared with those that were young on the same day of
earlier weeks. On a whole day it finds those who watch most.

Source:
    Hooi, Song, Beutel, Shah, Shin and Faloutsos, "FRAUDAR: Bounding Graph Fraud in the Face of
    Camouflage", KDD 2016.
"""

from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Flags, Rows
from batch.interactions.build import Interactions
from batch.interactions.weights import DAY_SECONDS
from batch.trust.ages import Ages
from batch.trust.influence import positions_of

_SLACK: Final = 1.02  # of the lowest degree, up to which vertices are peeled together
_MIN_RATIO: Final = 2.0  # of the density to those of the weeks before
_WEEKS: Final = 4  # before the last day
_WEEK_DAYS: Final = 7


class DenseBlock(NamedTuple):
    """Some accounts and items.

    Attributes:
        density: Density of the block.
        user_rows: Rows of its accounts, ascending.
        item_rows: Rows of its items, ascending.
    """

    density: float
    user_rows: Rows
    item_rows: Rows


_LONE_EDGE: Final = 1 / np.log(6) / 2  # density of one account with one item
NO_BLOCK: Final = DenseBlock(0.0, np.zeros(0, np.int64), np.zeros(0, np.int64))


def block_of_young(interactions: Interactions, ages: Ages, young_days: float) -> DenseBlock:
    """Return the block of young accounts, if it is twice as dense as those of earlier weeks.

    Args:
        interactions: All interactions with their times.
        ages: Ages of the accounts; none are young where none is known.
        young_days: Age in days up to which an account is young.
    """
    if not ages.are_known:
        return NO_BLOCK
    block, *before = (
        dense_block(*_edges(interactions, ages, young_days, week)) for week in range(_WEEKS + 1)
    )
    usual = max(one.density for one in before)
    return block if block.density > _MIN_RATIO * max(usual, _LONE_EDGE) else NO_BLOCK


def _edges(
    interactions: Interactions, ages: Ages, young_days: float, week: int
) -> tuple[Rows, Rows]:
    """Return the users and items of one day of the accounts that were young then.

    Args:
        interactions: All interactions with their times.
        ages: Ages of the accounts today.
        young_days: Age in days up to which an account is young.
        week: Number of weeks before the last day.
    """
    assert interactions.began_at is not None
    days = ages.days - np.float32(week * _WEEK_DAYS)
    rows = np.flatnonzero((days >= 0) & (days < young_days))
    weights = interactions.weights
    positions = positions_of(weights, rows)
    users = np.repeat(rows, np.diff(weights.indptr)[rows])
    end = ages.until - week * _WEEK_DAYS * DAY_SECONDS
    at = interactions.began_at[positions]
    is_of_day = (at > end - DAY_SECONDS) & (at <= end)
    return users[is_of_day], weights.indices[positions[is_of_day]].astype(np.int64)


def dense_block(user_rows: Rows, item_rows: Rows) -> DenseBlock:
    """Return the densest block of some edges.

    Args:
        user_rows: (n_edges,) rows of accounts.
        item_rows: (n_edges,) rows of the items that they watched.
    """
    if not len(user_rows):
        return NO_BLOCK
    users, user = np.unique(user_rows, return_inverse=True)
    items, item = np.unique(item_rows, return_inverse=True)
    density, in_block = _densest(user, item)
    n_users = len(users)
    return DenseBlock(density, users[in_block[:n_users]], items[in_block[n_users:]])


def _densest(user: Rows, item: Rows) -> tuple[float, Flags]:
    """Return the density of the densest rest, and (n_users + n_items,) flags of its vertices."""
    n_users, n_items = int(user.max()) + 1, int(item.max()) + 1
    weight = 1 / np.log(np.bincount(item) + 5.0)[item]
    other = item + n_users
    is_left = np.ones(n_users + n_items, np.bool_)
    best, in_best = 0.0, is_left.copy()
    while len(user):
        degree = _degrees(user, other, weight, len(is_left))
        density = weight.sum() / is_left.sum()
        if density > best:
            best, in_best = float(density), is_left.copy()
        lowest = degree[is_left].min()
        is_left &= degree >= best if lowest < best else degree > _SLACK * lowest
        kept = is_left[user] & is_left[other]
        user, other, weight = user[kept], other[kept], weight[kept]
    return best, in_best


def _degrees(user: Rows, other: Rows, weight: Doubles, n: int) -> Doubles:
    degrees: Doubles = np.bincount(user, weight, n).astype(np.float64)
    degrees += np.bincount(other, weight, n)
    return degrees
