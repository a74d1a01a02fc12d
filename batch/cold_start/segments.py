"""A list for each segment of users: the items with the highest shrunk rate among its users.

    25-34/F/writer ─► 25-34/F ─► 25-34 ─► all users          writer ─► all users

    rate of an item = (its users in the segment + 100 · rate in the parent) / (users there + 100)

A segment's list begins with the items of at least 20 of its users, by that rate; the parent's
list follows. Items of fewer users say little about the segment. A segment without such an item
has no list, and its users get the parent's.

Source:
    Efron and Morris, "Data Analysis Using Stein's Estimator and its Generalizations", JASA 1975:
    means of small groups, shrunk towards that of all. 100 and 20 were chosen by
    `python -m benchmarks.cold_start`.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Doubles, Flags, Integers
from batch.cold_start.popular import by_popularity
from batch.interactions.build import Interactions
from batch.models.popularity import users_of_items
from batch.records.profiles import Profile, segments

_MIN_USERS: Final = 20  # of an item within a segment
_PRIOR_USERS: Final = 100  # users that the parent's rate counts like

_ALL_USERS: Final = ""
_EMPTY_PROFILE: Final = Profile(None, None, None)


def segment_items(
    interactions: Interactions,
    profiles: Mapping[str, Profile],
    n: int,
    hidden: Collection[int] = frozenset(),
) -> dict[str, list[int]]:
    """Return up to n item rows for each segment that has a list, best first.

    Args:
        interactions: Interactions of users with and without a profile.
        profiles: Profiles by user_id.
        n: Length of the lists, where there are enough items.
        hidden: Item rows excluded from all lists.
    """
    order = np.array([row for row in by_popularity(interactions) if row not in hidden], np.int64)
    lists = {_ALL_USERS: order[:n].tolist()}
    for segment, rates, has_enough in _segment_rates(interactions, profiles):
        eligible = order[has_enough[order]]
        # stable: of equal rates the more popular item comes first
        own = eligible[np.argsort(-rates[eligible], kind="stable")]
        if len(own):
            lists[segment] = list(dict.fromkeys([*own[:n].tolist(), *lists[_parent(segment)]]))[:n]
    return {segment: lists[segment] for segment in sorted(lists) if segment != _ALL_USERS}


def _segment_rates(
    interactions: Interactions, profiles: Mapping[str, Profile]
) -> Iterator[tuple[str, Doubles, Flags]]:
    """Yield each segment, parents first, with the items' rates and whether they have 20 users."""
    weights = interactions.weights
    names, membership, groups = _groups(interactions.user_ids.to_pylist(), profiles)
    ones = np.ones(weights.nnz, np.int32)
    has_item = sp.csr_matrix((ones, weights.indices, weights.indptr), shape=weights.shape)
    n_users_in = sp.csr_matrix(membership @ (groups @ has_item))  # (n_segments, n_items)
    n_members = membership @ np.diff(groups.indptr)
    parents = {_parent(name) for name in names}
    rates = {_ALL_USERS: users_of_items(weights) / weights.shape[0]}
    for row, name in enumerate(names):  # sorted, so a parent comes before its children
        n_users = n_users_in[[row]].toarray().ravel()
        own = (n_users + _PRIOR_USERS * rates[_parent(name)]) / (n_members[row] + _PRIOR_USERS)
        if name in parents:
            rates[name] = own
        yield name, own, n_users >= _MIN_USERS


def _parent(name: str) -> str:
    """Return the next wider segment; each item has at least as many users there."""
    return name.rpartition("/")[0]


def _groups(
    user_ids: Sequence[str], profiles: Mapping[str, Profile]
) -> tuple[list[str], sp.csr_matrix, sp.csr_matrix]:
    """Group the users with the same segments, so that each user is counted once.

    Returns:
        The names of the segments with at least 20 users, the (n_segments, n_groups) matrix with a
        1 for each group of a segment, and the (n_groups, n_users) one with a 1 for each member.
    """
    group_of: dict[tuple[str, ...], int] = {}
    users = (segments(profiles.get(user_id, _EMPTY_PROFILE)) for user_id in user_ids)
    group = np.array([group_of.setdefault(names, len(group_of)) for names in users], np.int32)
    groups = _ones(group, np.arange(len(user_ids)), (len(group_of), len(user_ids)))
    n_members = Counter[str]()
    for names, n_users in zip(group_of, np.diff(groups.indptr).tolist(), strict=True):
        n_members.update(dict.fromkeys(names, n_users))
    large = sorted(name for name, n_users in n_members.items() if n_users >= _MIN_USERS)
    row_of = {name: row for row, name in enumerate(large)}
    cells = [(row_of[name], g) for names, g in group_of.items() for name in names if name in row_of]
    rows, columns = np.array(cells, np.int64).reshape(-1, 2).T
    return large, _ones(rows, columns, (len(large), len(group_of))), groups


def _ones(rows: Integers, columns: Integers, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)
