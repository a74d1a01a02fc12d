"""Adult titles are not for minors: who is one, and what is kept from them.

Their lists come out of a search of their own in which adult titles are hidden, so
that they are the exact best of what is left, as long as anybody's.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from batch.arrays import Flags
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor

_UNKNOWN = Profile(None, None, None)


def minor_test(*, is_on: bool, unknown_age_is_minor: bool) -> Callable[[Profile], bool]:
    """Return what tells whether adult titles are kept from users of a profile.

    Args:
        is_on: Otherwise they are kept from nobody.
        unknown_age_is_minor: Whether a user of unknown age is treated as a minor.
    """
    if not is_on:
        return lambda _: False
    if not unknown_age_is_minor:
        return is_minor
    return lambda profile: profile.age is None or is_minor(profile)


def minors(
    user_ids: Sequence[str], profiles: Mapping[str, Profile], is_minor: Callable[[Profile], bool]
) -> Flags:
    """Return (n_users,) whether adult titles are kept from each user."""
    return np.array([is_minor(profiles.get(name, _UNKNOWN)) for name in user_ids], np.bool_)


def adult(items: Sequence[Item]) -> Flags:
    """Return (n_items,) whether each item is known to be an adult title."""
    return np.array([item.adult is True for item in items], np.bool_)
