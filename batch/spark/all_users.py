"""All users on the executors, for sweeps over them.

    chunks ─► users' factors, given those of the items ═══ kept
    sums of a partition's users ─► of a group of partitions ─► driver: arrays as large as the items

Partitions are added in their order, whatever executor had them, so the sums have the same bits.
"""

import functools
import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from batch.models.all_users import SolvedUsers, Sums, total_of
from batch.models.least_squares_users import LeastSquares
from batch.spark.frames import on_disk
from batch.spark.session import job_errors
from batch.spark.sweep_step import SweepStep
from batch.spark.tasks import SOLVED_DDL, SUMS_DDL, to_solved, to_sums, to_total


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
        made = functools.partial(to_solved, step=self.step, solve=solve)
        kept = on_disk(self.chunks.mapInArrow(made, SOLVED_DDL))
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

    def total(self, of_part: Callable[[SolvedUsers], Sums]) -> Sums:
        """Return the sums over all users; see `UserPasses.total`."""
        from pyspark.sql import functions as f

        with job_errors("sweeps"):
            n_groups = math.isqrt(self.kept.rdd.getNumPartitions()) + 1
            sums = self.kept.mapInArrow(functools.partial(to_sums, of_part=of_part), SUMS_DDL)
            numbered = sums.withColumn("number", f.spark_partition_id())
            grouped = numbered.repartitionById(n_groups, f.col("number") % n_groups)
            in_order = grouped.sortWithinPartitions("number").select("sums")
            rows = in_order.mapInArrow(to_total, SUMS_DDL).collect()
        # Of our own tasks, in the order of the groups; there are users, so there is a sum.
        (total,) = total_of(pickle.loads(bytes(row.sums)) for row in rows)  # noqa: S301
        return total
