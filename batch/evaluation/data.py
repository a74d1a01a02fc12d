"""What there is to split: who has met what, when that began, and who the users are.

Splits are made of the interactions' numbers, and only then are these weighed: by what
is known on the side to learn from, as the refresh would have weighed them at the time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Times
from batch.errors import InputError
from batch.evaluation.pairs import read_pairs
from batch.evaluation.splits import Split, cut, pairs
from batch.events.kinds import kinds
from batch.events.quarantine import Quarantine
from batch.events.read import read_events
from batch.interactions.aggregate import aggregate_events
from batch.interactions.weights import Evidence, Weighting, weigh, weighting
from batch.models.holdout import entries_of
from batch.records.catalogue import read_catalogues
from batch.records.profiles import Profile, read_profiles
from batch.sampling import sample_rows
from batch.settings import BatchSettings

MOST_JUDGED: Final = 100_000  # users of whom the last item is taken: enough for any interval


@dataclass(frozen=True, slots=True)
class Data:
    """Interactions to split.

    Attributes:
        numbers: (n_users, n_items) of each interaction its place in `evidence`.
        evidence: What they are to be weighed by.
        at: (n_interactions,) when each began, in seconds since 1970, None if that
            is known of none; 0 where it is not known.
        user_ids: (n_users,).
        profiles: By user_id.
        test: (n_users, n_items) the other side of a published split, if it is one.
    """

    numbers: sp.csr_matrix
    evidence: Evidence
    at: Times | None
    user_ids: Sequence[str]
    profiles: Mapping[str, Profile]
    test: sp.csr_matrix | None = None

    def sample(self, n_users: int, seed: int) -> "Data":
        """Return at most so many users, drawn by chance, with all that they have."""
        if n_users >= len(self.user_ids):
            return self
        random = np.random.default_rng(seed)
        rows = sample_rows(np.arange(len(self.user_ids)), n_users, random)
        places = entries_of(self.numbers, rows)
        return Data(
            _numbered(self.numbers[rows]),
            self.evidence.of(places),
            None if self.at is None else self.at[places],
            [self.user_ids[row] for row in rows],
            self.profiles,
            None if self.test is None else self.test[rows],
        )


def read_split(name: str, settings: BatchSettings, test: Path | None) -> tuple[Split, Data]:
    """Read the input that the settings name, and split it.

    Args:
        name: One of `SPLITS`.
        settings: Events, catalogue, profiles; what weighs how much; the seed.
        test: The other side, for `pairs` alone.

    Raises:
        BatchError: The input cannot be read, or not be split like this.
    """
    data = read_data(name, settings, test)
    split = split_data(name, data, settings.seed)
    return split.weighed(weights_of(split, data, weighting(settings))), data


def read_data(name: str, settings: BatchSettings, test: Path | None) -> Data:
    """Read the input that the settings name; see `read_split`."""
    if not settings.events:
        raise InputError("events", "none given", "name files with --events, or in [batch] events")
    if (name == "pairs") != (test is not None):
        raise InputError("--test", "goes with --split pairs, and that with it", "give both")
    profiles = read_profiles([Path(path) for path in settings.profiles]).users
    if test is None:
        return _read_events(settings, profiles)
    if len(settings.events) > 1:
        raise InputError("--events", "must be one file with --split pairs", "name one")
    train_side, test_side, user_ids = read_pairs(Path(settings.events[0]), test)
    ones = np.ones(train_side.nnz, np.float32)  # who has had an item has had all of it
    return Data(
        _numbered(train_side),
        Evidence(watched=ones, rating=0 * ones, best=1.0, last_at=None),
        None,
        user_ids,
        profiles,
        test_side,
    )


def split_data(name: str, data: Data, seed: int) -> Split:
    """Return a split of the interactions' numbers.

    Raises:
        BatchError: They cannot be split like this.
    """
    if data.test is not None:
        return pairs(data.numbers, data.test)
    return cut(name, data.numbers, data.at, MOST_JUDGED, seed)


def weights_of(split: Split, data: Data, how: Weighting) -> Floats:
    """Return (n_interactions,) weights of what a model may know, 0 of all else.

    Ages count from the last that began on that side; what happened to an interaction
    later, such as a film watched again, is not known there.

    Args:
        split: Of the interactions' numbers.
        data: That was split.
        how: What weighs how much.
    """
    known = split.train.data
    if split.is_folded:
        known = np.append(known, split.given.data)
    evidence = data.evidence.of(known)
    if evidence.last_at is not None and data.at is not None:
        newest = data.at[known].max(initial=0)
        evidence = replace(evidence, last_at=np.minimum(evidence.last_at, newest))
    weights = np.zeros(data.numbers.nnz, np.float32)
    weights[known] = weigh(evidence, how)
    return weights


def _numbered(matrix: sp.csr_matrix) -> sp.csr_matrix:
    numbers = np.arange(matrix.nnz, dtype=np.int64)
    return sp.csr_matrix((numbers, matrix.indices, matrix.indptr), shape=matrix.shape)


def _read_events(settings: BatchSettings, profiles: Mapping[str, Profile]) -> Data:
    items = read_catalogues([Path(path) for path in settings.catalogue]).items
    runtimes = {name: item.runtime for name, item in items.items()}
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
    with Quarantine(Path(settings.quarantine), name, settings.quarantine_keep) as quarantine:
        events = read_events(
            [Path(path) for path in settings.events],
            kinds(settings.user_pattern, settings.item_pattern),
            quarantine,
            settings.max_rejected_share,
            n_threads=settings.n_threads,
        )
    gathered = aggregate_events(
        events,
        runtimes if settings.catalogue else None,
        settings.max_rating,
        n_threads=settings.n_threads,
    )
    places = np.arange(gathered.meetings.n_pairs, dtype=np.int64)
    return Data(
        gathered.meetings.matrix(places, len(gathered.item_ids)),
        gathered.evidence,
        gathered.began_at,
        gathered.user_ids.to_pylist(),
        profiles,
    )
