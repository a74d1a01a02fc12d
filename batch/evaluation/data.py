"""The data to split: interactions, their times, and the users' profiles.

Interactions are split first and weighted second, from the events of the training side alone,
as a refresh would have weighted them at that time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from batch.arrays import Floats, Times
from batch.columns.names import ITEM
from batch.errors import InputError
from batch.evaluation.pairs import read_pairs
from batch.evaluation.splits import Split, make_split, pairs
from batch.events.read import read_events
from batch.inputs import profiles_of
from batch.interactions.aggregate import aggregate_events
from batch.interactions.weights import Evidence, Weighting, weigh
from batch.models.dense_topk import entries_of
from batch.records.catalogue import read_catalogues
from batch.records.profiles import Profile
from batch.sampling import sample_rows
from batch.settings import BatchSettings
from batch.sql.source import record_input
from batch.sql.url import is_database_url


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Interactions to split.

    Attributes:
        positions: (n_users, n_items) position of each interaction in `evidence`.
        evidence: Views and ratings of each interaction.
        at: (n_interactions,) time of the first event, seconds since 1970; 0 where unknown,
            None if all are unknown.
        user_ids: (n_users,) ids of the user rows.
        profiles: Profiles by user_id.
        test: (n_users, n_items) test side of a published split; None for other data.
    """

    positions: sp.csr_matrix
    evidence: Evidence
    at: Times | None
    user_ids: Sequence[str]
    profiles: Mapping[str, Profile]
    test: sp.csr_matrix | None = None

    def sample(self, n_users: int, seed: int) -> "EvaluationData":
        """Return a random sample of at most n_users users with all of their interactions."""
        if n_users >= len(self.user_ids):
            return self
        random = np.random.default_rng(seed)
        rows = sample_rows(np.arange(len(self.user_ids)), n_users, random)
        entries = entries_of(self.positions, rows)
        return EvaluationData(
            _numbered(self.positions[rows]),
            self.evidence.of(entries),
            None if self.at is None else self.at[entries],
            [self.user_ids[row] for row in rows],
            self.profiles,
            None if self.test is None else self.test[rows],
        )


def read_split(
    name: str, settings: BatchSettings, test: Path | None
) -> tuple[Split, EvaluationData]:
    """Read the input named by the settings, and split it.

    Args:
        name: Name of the split, one of `SPLITS`.
        settings: Inputs, weighting and seed.
        test: File of the test side, for `pairs` alone.

    Raises:
        BatchError: The input cannot be read, or cannot be split in this way.
    """
    data = read_data(name, settings, test)
    split = split_data(name, data, settings.seed)
    return split.weighted(weights_of(split, data, Weighting.from_settings(settings))), data


def read_data(name: str, settings: BatchSettings, test: Path | None) -> EvaluationData:
    """Read the input named by the settings; see `read_split`."""
    if not settings.events:
        raise InputError("events", "none given", "name files with --events, or in [batch] events")
    if (name == "pairs") != (test is not None):
        raise InputError(
            "--test", "is needed with --split pairs, and with no other split", "give both"
        )
    profiles = profiles_of(settings).users
    if test is None:
        return _read_events(settings, profiles)
    if len(settings.events) > 1 or is_database_url(settings.events[0]):
        raise InputError("--events", "must be one file with --split pairs", "name one")
    train_side, test_side, user_ids = read_pairs(Path(settings.events[0]), test)
    ones = np.ones(train_side.nnz, np.float32)  # each item counts as watched to the end
    return EvaluationData(
        _numbered(train_side),
        Evidence(watched=ones, rating=0 * ones, best=1.0, last_at=None),
        None,
        user_ids,
        profiles,
        test_side,
    )


def split_data(name: str, data: EvaluationData, seed: int) -> Split:
    """Return a split of the interactions' positions.

    Raises:
        BatchError: The interactions cannot be split in this way.
    """
    if data.test is not None:
        return pairs(data.positions, data.test)
    return make_split(name, data.positions, data.at, seed)


def weights_of(split: Split, data: EvaluationData, weighting: Weighting) -> Floats:
    """Return (n_interactions,) weights of the interactions that a model may use, 0 of the others.

    Ages are measured from the newest first event among them. Later events of an
    interaction, such as a second viewing, are ignored.

    Args:
        split: Split of the interactions' positions.
        data: Data that was split.
        weighting: Weighting of views, ratings and ages.
    """
    known = split.train.data
    if split.is_folded:
        known = np.append(known, split.fold_in.data)
    evidence = data.evidence.of(known)
    if evidence.last_at is not None and data.at is not None:
        newest = data.at[known].max(initial=0)
        evidence = replace(evidence, last_at=np.minimum(evidence.last_at, newest))
    weights = np.zeros(data.positions.nnz, np.float32)
    weights[known] = weigh(evidence, weighting)
    return weights


def _numbered(matrix: sp.csr_matrix) -> sp.csr_matrix:
    positions = np.arange(matrix.nnz, dtype=np.int64)
    return sp.csr_matrix((positions, matrix.indices, matrix.indptr), shape=matrix.shape)


def _read_events(settings: BatchSettings, profiles: Mapping[str, Profile]) -> EvaluationData:
    inputs = [record_input(name, settings) for name in settings.catalogue]
    items = read_catalogues(inputs, settings.columns.get(ITEM)).items
    runtimes = {name: item.runtime for name, item in items.items()}
    gathered = aggregate_events(
        read_events(settings).events,
        runtimes if settings.catalogue else None,
        settings.max_rating,
        n_threads=settings.n_threads,
    )
    places = np.arange(gathered.pairs.n_pairs, dtype=np.int64)
    return EvaluationData(
        gathered.pairs.matrix(places, len(gathered.item_ids)),
        gathered.evidence,
        gathered.began_at,
        gathered.user_ids.to_pylist(),
        profiles,
    )
