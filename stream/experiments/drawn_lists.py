"""The lists of a generation, and the pools that their last places were drawn from.

    list + spares   1 … 17 │ a b c │ d e …       draw again by salt and user: places 4 0 9
    pool            b d e f a …                  a, b, c at these places, the others in order

Nothing but the list, its spares and the manifest is needed; see `batch.rules.exploration`.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Flags, Rows
from batch.rules.exploration import MOVED, SALT, Draw
from store.interleave import INTERLEAVED
from store.items import split
from store.layout import LIST_LENGTH, RECS
from store.manifest import Manifest
from store.snapshot import Snapshot
from stream.errors import StreamError
from stream.experiments.statistics.log_estimates import cascade_weights
from stream.experiments.statistics.plackett_luce import (
    conditional_propensities,
    rank_propensities,
)

_MAX_MOVED: Final = 0.01  # share of lists that limits may have changed after the draw


class DrawnList(NamedTuple):
    """A user's list.

    Attributes:
        fixed: Items of the places that are not drawn.
        pool: Candidates of the other places, in their order before the draw.
        drawn: Places of the pool that were drawn, by rank.
    """

    fixed: Sequence[bytes]
    pool: Sequence[bytes]
    drawn: Sequence[int]

    @property
    def shown(self) -> list[bytes]:
        """The drawn items, by rank."""
        return [self.pool[place] for place in self.drawn]


class LogWeights(NamedTuple):
    """Importance weights of what an old generation showed.

    Attributes:
        weights: (n_users, n) P_new / P_old of each drawn place given those above, multiplied
            up; 0 where not supported.
        is_supported: (n_users,) whether the old generation could have drawn the user's new list.
    """

    weights: Doubles
    is_supported: Flags


def draw_of(manifest: Manifest) -> Draw:
    """Return the draw of a generation's lists; of no places where it did not explore.

    Raises:
        StreamError: Its draws cannot be computed again.
    """
    subject = f"generation {manifest.generation}"
    rules: dict[str, Any] = manifest.parameters.get("rules", {})
    n = rules.get("explore", 0)
    if not n:
        return Draw(0, 1.0, "")
    remedy = "name another generation"
    if INTERLEAVED in manifest.parameters:
        raise StreamError(subject, "has lists drafted from two generations", remedy)
    temperature, salt = rules.get("explore_temperature"), rules.get(SALT)
    if not (isinstance(n, int) and isinstance(temperature, int | float) and isinstance(salt, str)):
        raise StreamError(subject, "drew places without known probabilities", remedy)
    n_moved = manifest.metrics.get(MOVED, 0)
    n_lists = max(manifest.counts.get(f"{RECS}/users", 0), 1)
    if n_moved > _MAX_MOVED * n_lists:
        problem = f"has {n_moved:,} of {n_lists:,} lists that a cap changed after their draw"
        raise StreamError(subject, problem, "explore without a cap")
    return Draw(n, temperature, salt)


def drawn_lists(snapshot: Snapshot, draw: Draw, user_ids: Sequence[str]) -> list[DrawnList]:
    """Return the list of each user; an empty one where the snapshot has none."""
    n_fixed = LIST_LENGTH - draw.n
    keys = [user_id.encode() for user_id in user_ids]
    kept = [split(snapshot.users.get(key)) + split(snapshot.spares.get(key)) for key in keys]
    n_pools = np.array([max(len(names) - n_fixed, 0) for names in kept], np.int64)
    places = draw.drawn_places(user_ids, n_pools)
    found = []
    for names, of_user in zip(kept, places.tolist(), strict=True):
        drawn = [place for place in of_user if place >= 0]
        shown = dict(zip(drawn, names[n_fixed:], strict=False))
        rest = iter(names[n_fixed + len(drawn) :] if draw.n else [])
        n_pool = len(names) - n_fixed if draw.n else 0
        pool = [shown[place] if place in shown else next(rest) for place in range(n_pool)]
        found.append(DrawnList(names[:n_fixed], pool, drawn))
    return found


def log_weights(
    old: Sequence[DrawnList], old_draw: Draw, new: Sequence[DrawnList], new_draw: Draw
) -> LogWeights:
    """Return the weights that turn clicks on an old generation's lists into those of a new one.

    Args:
        old: Lists of the users in the old generation.
        old_draw: Draw of these, of at least one place.
        new: Lists of the same users in the new one.
        new_draw: Draw of these.
    """
    pairs = list(zip(old, new, strict=True))
    is_full = new_draw.n <= old_draw.n
    is_supported = np.array([is_full and _is_supported(*pair, old_draw.n) for pair in pairs])
    weights = np.zeros((len(pairs), old_draw.n))
    supported = [pair for pair, is_one in zip(pairs, is_supported, strict=True) if is_one]
    if supported:
        ours, theirs = zip(*supported, strict=True)
        before = conditional_propensities(
            old_draw.log_weights(sizes_of(ours)), np.array([one.drawn for one in ours])
        )
        after = _propensities(ours, theirs, new_draw)
        weights[is_supported] = cascade_weights(after, before)
    return LogWeights(weights, is_supported)


def shown_propensities(lists: Sequence[DrawnList], draw: Draw) -> Doubles:
    """Return (n_users, n) the probability of what was shown at each rank, regardless of others.

    That of a list with fewer than n drawn places is NaN.
    """
    sizes = sizes_of(lists)
    found = np.full((len(lists), draw.n), np.nan)
    for size in np.unique(sizes[sizes >= draw.n]):
        rows = np.flatnonzero(sizes == size)
        drawn = np.array([lists[row].drawn for row in rows.tolist()])
        table = rank_propensities(draw.log_weights(np.array([size])), draw.n)[0]
        found[rows] = table[drawn, np.arange(draw.n)]
    return found


def sizes_of(lists: Sequence[DrawnList]) -> Rows:
    """Return (n_users,) the number of candidates in each pool."""
    return np.array([len(one.pool) for one in lists], np.int64)


def _is_supported(old: DrawnList, new: DrawnList, n: int) -> bool:
    """Return whether the old draw of n places could have given every list of the new one."""
    n_fixed = LIST_LENGTH - n
    candidates = {*new.fixed[n_fixed:], *new.pool}
    is_whole = len(old.drawn) == n and len(new.fixed) + len(new.drawn) == LIST_LENGTH
    return is_whole and new.fixed[:n_fixed] == old.fixed and candidates <= {*old.pool}


def _propensities(old: Sequence[DrawnList], new: Sequence[DrawnList], new_draw: Draw) -> Doubles:
    """Return (n_users, n) the new probability of each item shown, given those above."""
    n = len(old[0].drawn)
    n_certain = n - new_draw.n  # places that the new generation does not draw
    shown = [one.shown for one in old]
    is_same = [
        [a == b for a, b in zip(of_user, one.fixed[LIST_LENGTH - n :], strict=False)]
        for of_user, one in zip(shown, new, strict=True)
    ]
    chances = np.array(is_same, np.float64).reshape(len(new), n_certain)
    if not new_draw.n:
        return chances
    padding = ((0, 0), (0, 1))  # a last candidate that is never drawn
    weights = np.pad(new_draw.log_weights(sizes_of(new)), padding, constant_values=-np.inf)
    nowhere = weights.shape[1] - 1
    places = [
        [one.pool.index(name) if name in one.pool else nowhere for name in of_user[n_certain:]]
        for of_user, one in zip(shown, new, strict=True)
    ]
    return np.hstack((chances, conditional_propensities(weights, np.array(places))))
