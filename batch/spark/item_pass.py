"""The pass over all rows that gives the driver what belongs to items, and no user.

rows of a partition, by user ─► users and ratings of each item ─┬─► sums ─► rating scale, items
rows of another partition ────► users and ratings of each item ─┘
rows ─► latest event of each pair ─► time that ages count from

A user is in one partition, so the sum over partitions counts each user of an item once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Rows
from batch.interactions.aggregate import MIN_USERS_OF_ITEM, Runtimes, runtimes_and_default
from batch.interactions.rated import best_rating
from batch.interactions.weights import Weighting, rank_from_latest
from batch.settings import BatchSettings
from batch.spark.basis import InteractionBasis
from batch.spark.blocks import rows_in
from batch.spark.chunks import user_chunks
from batch.spark.read import PROFILE, RATING, VIEW
from batch.spark.session import collected
from batch.spark.task import mapped

_PAIR: Final = ("user_id", "item_id")
_TIMES: Final = pa.schema([("last_at", pa.int64())])
_SCALES: Final = (5.0, 10.0)
_COUNTS: Final = ("n_users_to_5", "n_users_to_10", "n_ratings", "n_above_5")
_ITEM_COUNTS: Final = pa.schema([("item_id", pa.string()), *((n, pa.int64()) for n in _COUNTS)])


@dataclass(frozen=True, slots=True)
class CountedItems:
    """Items of all rows.

    Attributes:
        item_ids: (n_items,) ids of any event, sorted.
        n_users: (n_items,) users with a view, or a rating on the scale.
        best_rating: Best rating of the scale.
    """

    item_ids: pa.StringArray
    n_users: Rows
    best_rating: float

    @classmethod
    def of(cls, counts: pa.Table, max_rating: float) -> "CountedItems":
        """Return the items of all partitions.

        Args:
            counts: Counts of each item, in any order: see `item_counts`.
            max_rating: Best rating of the scale, 0 to infer it from the data.
        """
        counts = counts.sort_by("item_id")
        n_above_5, n_ratings = (pc.sum(counts[n]).as_py() or 0 for n in ("n_above_5", "n_ratings"))
        best = max_rating or best_rating(n_above_5, n_ratings)
        n_users = counts["n_users_to_10" if best > _SCALES[0] else "n_users_to_5"]
        item_ids = counts["item_id"].combine_chunks().cast(pa.string())
        return cls(item_ids, n_users.to_numpy(), best)

    @property
    def n_interactions(self) -> int:
        """Number of pairs of a user and an item, those outside the catalogue included."""
        return int(self.n_users.sum())


def count_items(rows: Any, max_rating: float) -> CountedItems:
    """Return the items of all rows.

    Args:
        rows: DataFrame of blocks as `frames.by_user` returns them.
        max_rating: Best rating of the scale, 0 to infer it from the data.
    """
    from pyspark.sql import functions as f

    counted = mapped(rows, _ITEM_COUNTS, item_counts, max_rating=max_rating)
    of_partitions = counted.groupBy("item_id")
    counts = of_partitions.agg(*(f.sum(name).alias(name) for name in _COUNTS)).toArrow()
    return CountedItems.of(counts, max_rating)


def item_counts(batches: Iterable[pa.RecordBatch], max_rating: float) -> Iterator[pa.RecordBatch]:
    """Yield the counts of each item of a partition, from blocks of rows sorted by user.

    Args:
        batches: Blocks of rows with the columns of `read.ROWS`.
        max_rating: Best rating of the scale, 0 to count for both scales.
    """
    parts = [summed_counts(_counts_of(rows, max_rating)) for rows in user_chunks(rows_in(batches))]
    if parts:
        yield from summed_counts(parts).to_batches()


def summed_counts(parts: Iterable[pa.Table]) -> pa.Table:
    """Return the sum of the counts of each item."""
    by_item = pa.concat_tables(parts).group_by("item_id", use_threads=False)
    summed = by_item.aggregate([(name, "sum") for name in _COUNTS])
    return summed.select(["item_id", *(f"{name}_sum" for name in _COUNTS)]).rename_columns(
        _ITEM_COUNTS.names
    )


def _counts_of(rows: pa.Table, max_rating: float) -> list[pa.Table]:
    """Return tables of counts by item, of some users' rows."""
    rows = rows.filter(pc.not_equal(rows["kind"], PROFILE))
    counted = {"item_id": rows["item_id"]}
    for name, scale in zip(_COUNTS, _SCALES, strict=False):
        evidence = rows.filter(_is_evidence(rows, max_rating or scale))
        counted[name] = evidence.group_by(_PAIR, use_threads=False).aggregate([])["item_id"]
    ratings = rows.filter(pc.equal(rows["kind"], RATING))
    distinct = ratings.group_by([*_PAIR, "first_at", "rating"], use_threads=False).aggregate([])
    is_above = pc.and_(pc.greater(distinct["rating"], 5), pc.less_equal(distinct["rating"], 10))
    counted |= {"n_ratings": distinct["item_id"], "n_above_5": distinct.filter(is_above)["item_id"]}
    return [_count_table(name, item_ids) for name, item_ids in counted.items()]


def _is_evidence(rows: pa.Table, best: float) -> pa.ChunkedArray:
    """Return (n_rows,) flags of views, and of ratings on the scale; null where it is neither."""
    rating, scale = rows["rating"], pa.scalar(best, pa.float32())
    is_on_scale = pc.and_kleene(pc.greater(rating, 0), pc.less_equal(rating, scale))
    return pc.or_kleene(pc.equal(rows["kind"], VIEW), is_on_scale)


def _count_table(name: str, item_ids: pa.ChunkedArray) -> pa.Table:
    """Return how often each item occurs, as the column of that name, 0 in the others."""
    found = pc.value_counts(item_ids)
    zeros = pa.repeat(pa.scalar(0, pa.int64()), len(found))
    counts = [found.field("counts") if one == name else zeros for one in _COUNTS]
    return pa.table([found.field("values").cast(pa.string()), *counts], schema=_ITEM_COUNTS)


def basis_of(
    rows: Any, counted: CountedItems, runtimes: Runtimes | None, settings: BatchSettings
) -> InteractionBasis:
    """Return the basis of all interactions.

    Args:
        rows: DataFrame of blocks as `frames.by_user` returns them.
        counted: Items of these rows.
        runtimes: Minutes of each item of the catalogue; None without a catalogue.
        settings: Settings of the batch.
    """
    basis = basis_without_latest(counted, runtimes, settings)
    if not settings.half_life_days:
        return basis
    return replace(basis, latest=_latest_of(rows, [*basis.runtimes], basis.best_rating))


def basis_without_latest(
    counted: CountedItems, runtimes: Runtimes | None, settings: BatchSettings
) -> InteractionBasis:
    """Return the basis of interactions whose weights do not age."""
    runtime, default = runtimes_and_default(counted.item_ids, runtimes or {})
    exists = counted.n_users >= (MIN_USERS_OF_ITEM if runtimes is None else 1)
    minutes = zip(counted.item_ids.to_pylist(), runtime.tolist(), exists.tolist(), strict=True)
    kept = {
        name: length
        for name, length, is_kept in minutes
        if is_kept and (runtimes is None or name in runtimes)
    }
    weighting = Weighting.from_settings(settings)
    return InteractionBasis(
        kept, default, counted.best_rating, None, weighting, runtimes is not None
    )


def _latest_of(rows: Any, item_ids: list[str], best: float) -> int | None:
    """Return the latest time of a pair, the 0.1 % highest left out; None if all are unknown."""
    from pyspark.sql import functions as f

    pairs = mapped(rows, _TIMES, pair_times, item_ids=item_ids, best=best)
    from_latest = rank_from_latest(pairs.count())
    found = collected(pairs.orderBy(f.desc("last_at")).offset(from_latest).limit(1))
    return int(found[0]["last_at"]) if found and found[0]["last_at"] else None


def pair_times(
    batches: Iterable[pa.RecordBatch], item_ids: Sequence[str], best: float
) -> Iterator[pa.RecordBatch]:
    """Yield the latest time of each pair of a partition, 0 if it is unknown.

    Args:
        batches: Blocks of rows with the columns of `read.ROWS`, sorted by user.
        item_ids: Ids of the items that exist.
        best: Best rating of the scale.
    """
    known = pa.array(item_ids, pa.string())
    for rows in user_chunks(rows_in(batches)):
        is_known = pc.is_in(rows["item_id"], known)
        pairs = rows.filter(pc.and_kleene(_is_evidence(rows, best), is_known))
        at = pc.max_element_wise(pc.fill_null(pairs["last_at"], 0), 0)
        latest = pairs.set_column(pairs.column_names.index("last_at"), "last_at", at)
        found = latest.group_by(_PAIR, use_threads=False).aggregate([("last_at", "max")])
        yield from found.select(["last_at_max"]).rename_columns(["last_at"]).to_batches()
