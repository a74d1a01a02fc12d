"""The pass over all rows that gives the driver what belongs to items, and no user.

rows ─► distinct ratings ─► rating scale ─► distinct users of each item
     └► latest event of each pair ────────► time that ages count from
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from batch.arrays import Rows
from batch.interactions.aggregate import MIN_USERS_OF_ITEM, Runtimes, runtimes_and_default
from batch.interactions.rated import best_rating
from batch.interactions.weights import Weighting, rank_from_latest
from batch.settings import BatchSettings
from batch.spark.basis import InteractionBasis
from batch.spark.read import RATING, VIEW

_PAIR: Final = ("user_id", "item_id")


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

    @property
    def n_interactions(self) -> int:
        """Number of pairs of a user and an item, those outside the catalogue included."""
        return int(self.n_users.sum())


def count_items(rows: Any, max_rating: float) -> CountedItems:
    """Return the items of all rows.

    Args:
        rows: DataFrame with the columns of `read.ROWS`.
        max_rating: Best rating of the scale, 0 to infer it from the data.
    """
    from pyspark.sql import functions as f

    best = max_rating or _best_rating_of(rows)
    events = rows.where(f.col("kind").isin(VIEW, RATING))
    counted = (
        events.groupBy("item_id")
        .agg(f.countDistinct(f.when(_is_valid(best), f.col("user_id"))).alias("n_users"))
        .orderBy("item_id")
        .toArrow()
    )
    item_ids = counted["item_id"].combine_chunks().cast(pa.string())
    return CountedItems(item_ids, counted["n_users"].to_numpy(), best)


def basis_of(
    rows: Any, counted: CountedItems, runtimes: Runtimes | None, settings: BatchSettings
) -> InteractionBasis:
    """Return the basis of all interactions.

    Args:
        rows: DataFrame with the columns of `read.ROWS`.
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


def _is_valid(best: float) -> Any:
    """Return the condition of rows that are evidence: views, and ratings on the scale."""
    from pyspark.sql import functions as f

    rating = f.col("rating")
    return (f.col("kind") == VIEW) | ((rating > 0) & (rating <= f.lit(best).cast("float")))


def _best_rating_of(rows: Any) -> float:
    from pyspark.sql import functions as f

    rating = f.col("rating")
    distinct = rows.where(f.col("kind") == RATING).select(*_PAIR, "first_at", "rating").distinct()
    is_above_5 = (rating > 5) & (rating <= 10)
    (found,) = distinct.agg(f.count("*"), f.count_if(is_above_5)).collect()
    return best_rating(int(found[1]), int(found[0]))


def _latest_of(rows: Any, item_ids: list[str], best: float) -> int | None:
    """Return the latest time of a pair, the 0.1 % highest left out; None if all are unknown."""
    from pyspark.sql import functions as f

    known = rows.sparkSession.createDataFrame([(name,) for name in item_ids], "item_id string")
    pairs = (
        rows.where(f.col("kind").isin(VIEW, RATING) & _is_valid(best))
        .join(f.broadcast(known), "item_id")
        .groupBy(*_PAIR)
        .agg(f.max(f.greatest(f.coalesce("last_at", f.lit(0)), f.lit(0))).alias("last_at"))
    )
    from_latest = rank_from_latest(pairs.count())
    found = pairs.orderBy(f.desc("last_at")).offset(from_latest).limit(1).collect()
    return int(found[0]["last_at"]) if found and found[0]["last_at"] else None
