"""What there is to split: interactions, when each began, and who the users are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.errors import InputError
from batch.evaluation.pairs import read_pairs
from batch.evaluation.splits import Split, by_time, fold_in, last_out, pairs
from batch.events.quarantine import Quarantine
from batch.events.read import Events, kinds, read_events
from batch.interactions import Interactions, build_interactions
from batch.models.protocol import Times
from batch.records.catalogue import read_catalogues
from batch.records.profiles import Profile, read_profiles
from batch.settings import BatchSettings

_MOST_JUDGED = 100_000  # users of whom the last item is taken: enough for any interval


@dataclass(frozen=True, slots=True)
class Data:
    """Interactions to split.

    Attributes:
        weights: (n_users, n_items).
        at: (n_interactions,) when each began, in seconds since 1970, beside
            `weights.data`; 0 where that is not known.
        user_ids: (n_users,).
        profiles: By user_id.
    """

    weights: sp.csr_matrix
    at: Times
    user_ids: Sequence[str]
    profiles: Mapping[str, Profile]


def read_split(name: str, settings: BatchSettings, test: Path | None) -> tuple[Split, Data]:
    """Read the input that the settings name, and split it.

    Args:
        name: One of `SPLITS`.
        settings: Events, catalogue, profiles; the seed.
        test: The other side, for `pairs` alone.

    Raises:
        BatchError: The input cannot be read, or not be split like this.
    """
    if not settings.events:
        raise InputError("events", "none given", "name files with --events, or in [batch] events")
    if (name == "pairs") != (test is not None):
        raise InputError("--test", "goes with --split pairs, and that with it", "give both")
    profiles = read_profiles([Path(path) for path in settings.profiles]).users
    if test:
        if len(settings.events) > 1:
            raise InputError("--events", "must be one file with --split pairs", "name one")
        train_side, test_side, user_ids = read_pairs(Path(settings.events[0]), test)
        unknown = np.zeros(train_side.nnz, np.int64)
        return pairs(train_side, test_side), Data(train_side, unknown, user_ids, profiles)
    data = _read(settings, profiles)
    if name == "time":
        return by_time(data.weights, data.at), data
    if name == "last-out":
        return last_out(data.weights, data.at, _MOST_JUDGED, settings.seed), data
    return fold_in(data.weights, settings.seed), data


def began_at(events: Events, interactions: Interactions) -> Times:
    """Return when each interaction began, beside `interactions.weights.data`.

    A view begins with its first minute, a rating when it is given, and where there
    are both the earlier one counts. 0 where nothing is known.
    """
    weights = interactions.weights
    n_items = weights.shape[1]
    user = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    cells = user * n_items + weights.indices  # ascending: rows and columns are in order
    began = np.full(weights.nnz, _NEVER)
    for table, column in ((events.views, "first_at"), (events.ratings, "at")):
        user_row = _rows(table["user_id"], interactions.user_ids)
        item_row = _rows(table["item_id"], interactions.item_ids)
        at = pc.fill_null(table[column], 0).to_numpy()
        is_used = (user_row >= 0) & (item_row >= 0) & (at > 0)
        cell = user_row[is_used] * n_items + item_row[is_used]
        place = np.minimum(np.searchsorted(cells, cell), max(len(cells) - 1, 0))
        is_there = cells[place] == cell  # what was off the scale has left no interaction
        np.minimum.at(began, place[is_there], at[is_used][is_there])
    return np.where(began == _NEVER, 0, began)


_NEVER = np.iinfo(np.int64).max


def _rows(column: pa.ChunkedArray, ids: pa.StringArray) -> Times:
    row = pc.fill_null(pc.index_in(column.cast(pa.string()), value_set=ids), -1)
    return np.asarray(row.to_numpy(), np.int64)


def _read(settings: BatchSettings, profiles: Mapping[str, Profile]) -> Data:
    items = read_catalogues([Path(path) for path in settings.catalogue]).items
    runtimes = {name: item.runtime for name, item in items.items()}
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
    with Quarantine(Path(settings.quarantine), name, settings.quarantine_keep) as quarantine:
        events = read_events(
            [Path(path) for path in settings.events],
            kinds(settings.user_pattern, settings.item_pattern),
            quarantine,
            settings.max_rejected_share,
        )
    interactions = build_interactions(
        events, runtimes if settings.catalogue else None, settings.max_rating
    )
    at = began_at(events, interactions)
    return Data(interactions.weights, at, interactions.user_ids.to_pylist(), profiles)
