"""Interactions: what each user has had to do with each item, as one sparse matrix of weights.

    weight = share of the item watched (0 to 1] + rating / best rating (0 to 1]

Each part counts where there is such an event; a bare pair of user and item
counts as watched to the end. Rows are in the order of the ids' bytes, so the
same events give the same matrix whatever order they came in.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.errors import NothingToLearnError
from batch.events.fold import fold_ratings
from batch.events.ids import ID, codes_of, sort_ids, whole
from batch.events.read import Events

_USUAL_RUNTIME: Final = 100.0  # minutes, where no runtime at all is known
_MIN_USERS: Final = 2  # that must have touched an item to make it real without a catalogue
_OUTSIDE: Final = "item outside the catalogue"
_LONE: Final = f"item of fewer than {_MIN_USERS} users, without a catalogue"
_OFF_SCALE: Final = "rating off the scale"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ratings as rows, the latest of each (user, item).

    Attributes:
        user_row, item_row: (n_ratings,) rows of the interactions' matrix.
        rating: (n_ratings,) on the data's scale.
        best: The best rating of that scale.
    """

    user_row: Rows
    item_row: Rows
    rating: npt.NDArray[np.float32]
    best: float


@dataclass(frozen=True, slots=True)
class Interactions:
    """Who has had to do with what.

    Attributes:
        user_ids: (n_users,) sorted; each has at least one item.
        item_ids: (n_items,) sorted; each has at least one user, but for those that
            `with_items` added.
        weights: (n_users, n_items), above 0 where they met.
        ratings: The ratings among them.
        dropped: Events that were sound but are not used, by reason.
        n_users_without: Users whose every event was dropped.
    """

    user_ids: pa.StringArray
    item_ids: pa.StringArray
    weights: sp.csr_matrix
    ratings: Ratings
    dropped: Counter[str]
    n_users_without: int


def build_interactions(
    events: Events, runtimes: Mapping[str, float | None] | None, max_rating: float
) -> Interactions:
    """Turn events into weights.

    Args:
        events: Of any sources.
        runtimes: Minutes of each item of the catalogue, None where unknown; the
            keys are the items that exist. Without a catalogue (None) an item
            exists if at least 2 users touched it.
        max_rating: Best rating of the scale, 0 to tell it from the data.

    Raises:
        NothingToLearnError: No event is left, or fewer than 2 users or items.
    """
    views, ratings = events.views, fold_ratings(events.ratings)
    best = max_rating or _best_rating(ratings["rating"])
    on_scale = pc.and_(pc.greater(ratings["rating"], 0), pc.less_equal(ratings["rating"], best))
    dropped = Counter({_OFF_SCALE: ratings.num_rows - _n_true(on_scale)})
    ratings = ratings.filter(on_scale)

    existing = pa.array(runtimes, pa.string()) if runtimes else _shared_items(views, ratings)
    all_user_ids = _distinct(views["user_id"], ratings["user_id"])
    is_view, is_rating = (_is_in(table["item_id"], existing) for table in (views, ratings))
    n_outside = _total(views.filter(pc.invert(is_view))["n_events"])
    n_outside += ratings.num_rows - _n_true(is_rating)
    dropped[_OUTSIDE if runtimes is not None else _LONE] = n_outside
    views, ratings = views.filter(is_view), ratings.filter(is_rating)

    user_ids = _distinct(views["user_id"], ratings["user_id"])
    item_ids = _distinct(views["item_id"], ratings["item_id"])
    _check_enough(len(user_ids), len(item_ids), dropped)
    rated = _latest(ratings, user_ids, item_ids, best)
    user_row, item_row = _rows(views, user_ids, item_ids)
    share = _share_watched(views["minute"], item_row, item_ids, runtimes or {})
    weights = sp.csr_matrix(
        (
            np.concatenate((share, rated.rating / np.float32(best))),
            (np.append(user_row, rated.user_row), np.append(item_row, rated.item_row)),
        ),
        shape=(len(user_ids), len(item_ids)),
        dtype=np.float32,
    )  # a place that is given twice, viewed and rated, holds the sum
    weights.sort_indices()
    n_without = len(all_user_ids) - len(user_ids)
    return Interactions(user_ids, item_ids, weights, rated, +dropped, n_without)


def with_items(interactions: Interactions, item_ids: Collection[str]) -> Interactions:
    """Return the same interactions with rows for further items, which nobody has.

    Args:
        interactions: As they were built; they stay as they are.
        item_ids: Some of them may be there already.
    """
    old = interactions.item_ids
    both = pa.concat_arrays([old, pa.array(sorted(item_ids), old.type)]).unique()
    wider = both.take(pc.sort_indices(both))
    row = pc.index_in(old, value_set=wider).to_numpy().astype(np.int64)  # ascending, as both are
    weights, ratings = interactions.weights, interactions.ratings
    return replace(
        interactions,
        item_ids=wider,
        weights=sp.csr_matrix(
            (weights.data, row[weights.indices], weights.indptr),
            shape=(weights.shape[0], len(wider)),
        ),
        ratings=replace(ratings, item_row=row[ratings.item_row]),
    )


def _best_rating(rating: pa.ChunkedArray) -> float:
    """Tell a scale to 5 from one to 10: stray ratings above 5 are noise, many are a scale."""
    n_above_5 = int(pc.sum(pc.and_(pc.greater(rating, 5), pc.less_equal(rating, 10))).as_py() or 0)
    return 10.0 if n_above_5 > 0.01 * len(rating) else 5.0


def _shared_items(views: pa.Table, ratings: pa.Table) -> pa.StringArray:
    pairs = pa.concat_tables(table.select(["user_id", "item_id"]) for table in (views, ratings))
    item_ids = whole(pairs["item_id"])
    user, item = codes_of(whole(pairs["user_id"])), codes_of(item_ids)
    # Not by np.unique: it hashes, and took eight times as long.
    pair = np.sort(user.astype(np.int64) * len(item_ids.dictionary) + item)
    is_first = np.ones(len(pair), dtype=bool)
    is_first[1:] = pair[1:] != pair[:-1]
    n_users = np.bincount(pair[is_first] % max(len(item_ids.dictionary), 1))
    return item_ids.dictionary.take(pa.array(np.flatnonzero(n_users >= _MIN_USERS)))


def _distinct(*columns: pa.ChunkedArray) -> pa.StringArray:
    """Return the distinct ids in the order of their bytes, as LMDB wants its keys."""
    chunks = [chunk for column in columns for chunk in column.chunks]
    return sort_ids(pa.chunked_array(chunks, ID)).dictionary


def _is_in(column: pa.ChunkedArray, existing: pa.StringArray) -> pa.BooleanArray:
    ids = whole(column)
    return pc.is_in(ids.dictionary, value_set=existing).take(ids.indices)


def _check_enough(n_users: int, n_items: int, dropped: Counter[str]) -> None:
    if n_users < 2 or n_items < 2:
        why = ", ".join(f"{n:,} × {reason}" for reason, n in dropped.items() if n)
        raise NothingToLearnError(
            "interactions",
            f"{n_users} user(s) and {n_items} item(s) are left"
            + (f" after dropping {why}" if why else ""),
            "recommending needs at least 2 of each: give more events, "
            "or a catalogue that lists their items",
        )


def _latest(
    ratings: pa.Table, user_ids: pa.StringArray, item_ids: pa.StringArray, best: float
) -> Ratings:
    """Return the last of each user and item; they come in the order of user, item, time, rating."""
    user_row, item_row = _rows(ratings, user_ids, item_ids)
    is_last = np.ones(len(user_row), dtype=bool)
    is_last[:-1] = (np.diff(user_row) != 0) | (np.diff(item_row) != 0)
    rating = ratings["rating"].to_numpy()
    return Ratings(user_row[is_last], item_row[is_last], rating[is_last], best)


def _rows(table: pa.Table, user_ids: pa.StringArray, item_ids: pa.StringArray) -> tuple[Rows, Rows]:
    return _rows_of(table["user_id"], user_ids), _rows_of(table["item_id"], item_ids)


def _rows_of(column: pa.ChunkedArray, ids: pa.StringArray) -> Rows:
    coded = whole(column)
    row: Rows = pc.fill_null(pc.index_in(coded.dictionary, value_set=ids), -1).to_numpy()
    return row[codes_of(coded)].astype(np.int64)


def _share_watched(
    minute: pa.ChunkedArray,
    item_row: Rows,
    item_ids: pa.StringArray,
    runtimes: Mapping[str, float | None],
) -> npt.NDArray[np.float32]:
    """Return the furthest minute over the runtime, in (0, 1]; minute 0 is one minute watched."""
    known = [runtimes.get(item_id) or np.nan for item_id in item_ids.to_pylist()]
    runtime = np.asarray(known, np.float32)
    is_known = np.isfinite(runtime)
    usual = float(np.median(runtime[is_known])) if is_known.any() else _USUAL_RUNTIME
    watched = (minute.to_numpy() + 1).astype(np.float32) / np.nan_to_num(runtime, nan=usual)[
        item_row
    ]
    share: npt.NDArray[np.float32] = np.nan_to_num(np.minimum(watched, 1), nan=1).astype(np.float32)
    return share


def _n_true(flags: pa.BooleanArray | pa.ChunkedArray) -> int:
    return int(pc.sum(flags).as_py() or 0)


def _total(column: pa.ChunkedArray) -> int:
    return int(pc.sum(column).as_py() or 0)
