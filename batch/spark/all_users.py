"""All users on the executors, for sweeps over them.

    chunks ─► users' factors, given those of the items ═══ kept
    sums of a partition's users, in pieces ─► totals of pieces ─► driver: arrays of all items

Partitions are added in their order, whatever executor had them, so the sums have the same bits.
Pieces are small, for a JVM copies a row several times, whole, and finds no room for large ones.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np

from batch.models.all_users import SolvedUsers, Sums, joined
from batch.models.least_squares_users import LeastSquares
from batch.spark.frames import on_disk
from batch.spark.session import collected, job_errors
from batch.spark.sweep_step import SweepStep
from batch.spark.task import mapped
from batch.spark.tasks import SOLVED, SUMS, to_solved, to_sums, to_total


@dataclass(frozen=True, slots=True)
class SparkAllUsers:
    """All users with their weights; see `AllUsers`.

    Attributes:
        chunks: DataFrame with the columns of `tasks.CHUNKS`.
        n_users: Number of users.
        step: Step of the users that are trained on.
    """

    chunks: Any
    n_users: int
    step: SweepStep

    @contextmanager
    def solved(self, solve: LeastSquares) -> Iterator["SparkPasses"]:
        """Keep the users with their factors; see `AllUsers.solved`."""
        interactions = self.chunks.select("interactions")
        kept = on_disk(mapped(interactions, SOLVED, to_solved, step=self.step, solve=solve))
        try:
            yield SparkPasses(kept)
        finally:
            kept.unpersist()


@dataclass(frozen=True, slots=True)
class SparkPasses:
    """Users with their factors, on the executors; see `UserPasses`.

    Attributes:
        kept: DataFrame with a row for each chunk of users.
    """

    kept: Any

    def total(
        self, of_part: Callable[[SolvedUsers], Sums], shapes: Sequence[tuple[int, ...]]
    ) -> Sums:
        """Return the sums over all users; see `UserPasses.total`."""
        from pyspark.sql import functions as f

        with job_errors("sweeps"):
            n_partitions = self.kept.rdd.getNumPartitions()
            sums = mapped(self.kept, SUMS, to_sums, of_part=of_part)
            numbered = sums.withColumn("number", f.spark_partition_id())
            by_piece = numbered.repartitionById(n_partitions, f.col("piece") % n_partitions)
            in_order = by_piece.sortWithinPartitions("piece", "number").drop("number")
            rows = collected(mapped(in_order, SUMS, to_total))
        rows.sort(key=itemgetter("piece"))
        return joined((np.frombuffer(row["sums"]) for row in rows), shapes)
