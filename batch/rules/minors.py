"""Minors and adult titles: which users are minors, and which items are hidden from them.

Their lists come from a separate search in which adult titles are hidden, so they are the
exact best of the other items, and as long as any other list.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from batch.arrays import Flags
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor

_UNKNOWN: Final = Profile(None, None, None)


def minor_test(*, is_on: bool, unknown_age_is_minor: bool) -> Callable[[Profile], bool]:
    """Return the predicate of profiles whose users get no adult titles.

    Args:
        is_on: Whether the adult filter is on; otherwise the predicate is always False.
        unknown_age_is_minor: Whether a user of unknown age is treated as a minor.
    """
    if not is_on:
        return _is_no_minor
    if not unknown_age_is_minor:
        return is_minor
    return _is_young_or_unknown


def _is_no_minor(_: Profile) -> bool:
    return False


def _is_young_or_unknown(profile: Profile) -> bool:
    return profile.age is None or is_minor(profile)


def minors(
    user_ids: Sequence[str], profiles: Mapping[str, Profile], is_minor: Callable[[Profile], bool]
) -> Flags:
    """Return (n_users,) whether adult titles are hidden from each user."""
    return np.array([is_minor(profiles.get(name, _UNKNOWN)) for name in user_ids], np.bool_)


def adult(items: Sequence[Item]) -> Flags:
    """Return (n_items,) whether each item is known to be an adult title."""
    return np.array([item.adult is True for item in items], np.bool_)
