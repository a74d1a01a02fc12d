"""Growth: an item without old accounts behind it enters few more lists a night.

    accounts under 30 days on an item, beside the others: more than 3 times the usual ratio?
        └─► at most 1.1 × the lists that hold it now, or 0.1 % of all

An attack that takes longer than accounts are young, by accounts that have reached their full
influence, is held by this limit until its accounts are old. A release that everybody watches
is not: old accounts watch it, too.
"""

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Rows
from batch.interactions.build import Interactions
from batch.trust.ages import Ages
from batch.trust.influence import newer_and_usual
from batch.trust.settings import TrustSettings
from store.snapshot import Snapshot

_MIN_NEWER: Final = 5  # accounts; of fewer nothing follows
_DEVIATIONS: Final = 3.0  # of a Poisson number, by which newer accounts exceed their limit
_CHUNK: Final = 10_000  # lists read at a time


def unsupported_items(interactions: Interactions, ages: Ages, settings: TrustSettings) -> Rows:
    """Return the rows of the items with more newer accounts than old ones support, ascending.

    Args:
        interactions: Trusted interactions with their times.
        ages: Ages of the accounts.
        settings: Age of old accounts, and the maximum ratio.
    """
    if not settings.bounded or not ages.are_known:
        return np.zeros(0, np.int64)
    is_newer = ages.days < settings.old_days
    everyone = np.ones(len(is_newer), np.float32)
    newer, usual = newer_and_usual(interactions, ages.since(settings.old_days), everyone, is_newer)
    allowed = settings.max_young_ratio * usual
    excess = newer - allowed > _DEVIATIONS * np.sqrt(allowed + 1)
    return np.flatnonzero(excess & (newer >= _MIN_NEWER))


def list_limits(
    n_lists_of: Mapping[str, int], names: Sequence[str], n_lists: int, settings: TrustSettings
) -> list[int]:
    """Return the maximum number of lists of each item.

    Args:
        n_lists_of: Number of lists that hold each item now, by item id.
        names: Ids of the items to limit.
        n_lists: Number of lists of this refresh.
        settings: Limits of the growth.
    """
    least = max(int(settings.min_lists_share * n_lists), 1)
    growth = 1 + settings.max_growth
    return [max(math.floor(growth * n_lists_of.get(name, 0)), least) for name in names]


def served_counts(parent: Snapshot, names: Sequence[str]) -> Counter[str]:
    """Return the number of the parent's lists that hold each of these items."""
    counts: Counter[str] = Counter()
    wanted = pa.array([name.encode() for name in names], pa.binary())
    bodies = (bytes(body) for _, body in parent.users)
    while some := list(itertools.islice(bodies, _CHUNK)):
        listed = pa.array(b",".join(some).split(b","), pa.binary())
        found = pc.value_counts(listed.filter(pc.is_in(listed, value_set=wanted)))
        for entry in found.to_pylist():
            counts[entry["values"].decode()] += entry["counts"]
    return counts
