"""A list for each segment of users: what its own users have, as far as they are enough to say so.

    25-34/F/writer ─► 25-34/F ─► 25-34 ─► everybody          writer ─► everybody

    rate of an item = (users there that have it + 100 · rate in the wider one) / (users there + 100)

A segment's list is what at least 20 of its users have, by that rate, and behind it the wider one's
list: fewer users say more about themselves than about the segment. Where a segment is too small to
say anything it has no list, and the wider one's is served.

Source:
    Efron and Morris, "Data Analysis Using Stein's Estimator and its Generalizations", JASA 1975:
    means of small groups, shrunk towards that of all. 100 and 20 were chosen by
    `python -m benchmarks.cold_start`.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Doubles, Integers
from batch.cold_start.popular import by_popularity
from batch.interactions.build import Interactions
from batch.models.popularity import users_of_items
from batch.records.profiles import Profile, segments

_MIN_USERS: Final = 20  # of a segment, that must have an item
_PRIOR_USERS: Final = 100  # as many as the wider segment's rate counts for

_EVERYBODY: Final = ""
_UNKNOWN: Final = Profile(None, None, None)


def segment_items(
    interactions: Interactions,
    profiles: Mapping[str, Profile],
    n: int,
    hidden: Collection[int] = frozenset(),
) -> dict[str, list[int]]:
    """Return n item rows for each segment that can tell of any item, best first, none hidden.

    Args:
        interactions: Of users with and without a profile; only the former make segments.
        profiles: By user_id.
        n: Length of the lists, where there are as many items.
        hidden: Item rows that are in no list.
    """
    order = np.array([row for row in by_popularity(interactions) if row not in hidden], np.int64)
    lists = {_EVERYBODY: order[:n].tolist()}
    for segment, rates, is_told in _segment_rates(interactions, profiles):
        told = order[is_told[order]]
        own = told[np.argsort(-rates[told], kind="stable")]  # equal rates: the more popular first
        if len(own):
            lists[segment] = list(dict.fromkeys([*own[:n].tolist(), *lists[_wider(segment)]]))[:n]
    return {segment: lists[segment] for segment in sorted(lists) if segment != _EVERYBODY}


def _segment_rates(
    interactions: Interactions, profiles: Mapping[str, Profile]
) -> Iterator[tuple[str, Doubles, npt.NDArray[np.bool_]]]:
    """Yield segments, wider ones first; the rate of each item, and if enough users have it."""
    weights = interactions.weights
    names, belongs, groups = _groups(interactions.user_ids.to_pylist(), profiles)
    ones = np.ones(weights.nnz, np.int32)
    has = sp.csr_matrix((ones, weights.indices, weights.indptr), shape=weights.shape)
    n_users_in = sp.csr_matrix(belongs @ (groups @ has))  # (n_segments, n_items)
    n_members = belongs @ np.diff(groups.indptr)
    wider_names = {_wider(name) for name in names}
    rates = {_EVERYBODY: users_of_items(weights) / weights.shape[0]}
    for row, name in enumerate(names):  # in their order, what is wider comes first
        n_users = n_users_in[[row]].toarray().ravel()
        own = (n_users + _PRIOR_USERS * rates[_wider(name)]) / (n_members[row] + _PRIOR_USERS)
        if name in wider_names:
            rates[name] = own
        yield name, own, n_users >= _MIN_USERS


def _wider(name: str) -> str:
    """Return the narrowest segment around one; it has at least as many users of each item."""
    return name.rpartition("/")[0]


def _groups(
    user_ids: Sequence[str], profiles: Mapping[str, Profile]
) -> tuple[list[str], sp.csr_matrix, sp.csr_matrix]:
    """Put users who are in the same segments into one group: each user is counted once.

    Returns:
        The segments' names; those of fewer than 20 users are left out.
        (n_segments, n_groups) with a 1 for each group of their users.
        (n_groups, n_users) with a 1 for each user of the group.
    """
    group_of: dict[tuple[str, ...], int] = {}
    users = (segments(profiles.get(user_id, _UNKNOWN)) for user_id in user_ids)
    group = np.array([group_of.setdefault(names, len(group_of)) for names in users], np.int32)
    groups = _ones(group, np.arange(len(user_ids)), (len(group_of), len(user_ids)))
    n_members = Counter[str]()
    for names, n_users in zip(group_of, np.diff(groups.indptr).tolist(), strict=True):
        n_members.update(dict.fromkeys(names, n_users))
    told = sorted(name for name, n_users in n_members.items() if n_users >= _MIN_USERS)
    row_of = {name: row for row, name in enumerate(told)}
    places = [
        (row_of[name], g) for names, g in group_of.items() for name in names if name in row_of
    ]
    rows, columns = np.array(places, np.int64).reshape(-1, 2).T
    return told, _ones(rows, columns, (len(told), len(group_of))), groups


def _ones(rows: Integers, columns: Integers, shape: tuple[int, int]) -> sp.csr_matrix:
    return sp.csr_matrix((np.ones(len(rows), np.int32), (rows, columns)), shape=shape)
