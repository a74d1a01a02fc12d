"""Subgroups of the evaluated users: by age band, gender and number of interactions."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from batch.arrays import Flags, Rows
from batch.records.profiles import Profile, age_band

ALL: Final = "all"

_ACTIVITY: Final = ((1, 1), (2, 4), (5, 19), (20, 99), (100, None))  # interactions, inclusive


def groups_of(
    user_ids: Sequence[str], n_interactions: Rows, profiles: Mapping[str, Profile]
) -> dict[str, Flags]:
    """Return the members of each group: `all` first, then `age 25-34`, `gender F`, `activity 5–19`.

    Args:
        user_ids: (n_users,) ids of the evaluated users.
        n_interactions: (n_users,) training interactions of each user.
        profiles: Profiles by user_id; users without one are in no group of age or gender.
    """
    groups = {ALL: np.ones(len(user_ids), dtype=bool)}
    known = [profiles.get(user_id) for user_id in user_ids]
    groups |= _by_label("age", [age_band(p.age) if p else None for p in known])
    groups |= _by_label("gender", [p.gender if p else None for p in known])
    return groups | _by_activity(n_interactions)


def _by_label(kind: str, labels: Sequence[str | None]) -> dict[str, Flags]:
    column = np.array([label or "" for label in labels], dtype=object)
    names = sorted({label for label in labels if label})
    return {f"{kind} {name}": np.asarray(column == name, dtype=bool) for name in names}


def _by_activity(n_interactions: Rows) -> dict[str, Flags]:
    groups = {}
    for low, high in _ACTIVITY:
        is_in = n_interactions >= low
        if high is not None:
            is_in &= n_interactions <= high
        name = f"{low}+" if high is None else str(low) if low == high else f"{low}–{high}"
        if is_in.any():
            groups[f"activity {name}"] = is_in
    return groups
