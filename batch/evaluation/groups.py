"""Subgroups of the judged users: by age band, gender, and how much they have had."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from batch.arrays import Flags
from batch.records.profiles import Profile, age_band

ALL = "all"


def groups_of(
    user_ids: Sequence[str], n_had: npt.NDArray[np.int64], profiles: Mapping[str, Profile]
) -> dict[str, Flags]:
    """Return who belongs to what: `all` first, then `age 25-34`, `gender F`, `activity 5–19`.

    Args:
        user_ids: (n_users,) the judged users.
        n_had: (n_users,) items that each is known to have had.
        profiles: By user_id; users without one are in no group of age or gender.
    """
    groups = {ALL: np.ones(len(user_ids), dtype=bool)}
    known = [profiles.get(user_id) for user_id in user_ids]
    groups |= _by_label("age", [age_band(p.age) if p else None for p in known])
    groups |= _by_label("gender", [p.gender if p else None for p in known])
    return groups | _by_activity(n_had)


def _by_label(kind: str, labels: Sequence[str | None]) -> dict[str, Flags]:
    column = np.array([label or "" for label in labels], dtype=object)
    names = sorted({label for label in labels if label})
    return {f"{kind} {name}": np.asarray(column == name, dtype=bool) for name in names}


_ACTIVITY = ((1, 1), (2, 4), (5, 19), (20, 99), (100, None))


def _by_activity(n_had: npt.NDArray[np.int64]) -> dict[str, Flags]:
    groups = {}
    for least, most in _ACTIVITY:
        is_in = (n_had >= least) & (n_had <= (most or n_had.max(initial=0)))
        name = f"{least}+" if most is None else str(least) if least == most else f"{least}–{most}"
        if is_in.any():
            groups[f"activity {name}"] = is_in
    return groups
