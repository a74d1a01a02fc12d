"""Frames: what the executors keep on their disks between two stages.

ReadGroups   blocks of rows by group        ─► reports, some of the ids
UserChunks   interactions, profiles         ─► numbers, sample
SparkUsers   records of all users, by table ─┬─► numbers, then a stream, partition by partition
                                             └─► shard files, each by the task that has it
"""

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.interactions.build import Interactions
from batch.records.profiles import Profile
from batch.spark.basis import InteractionBasis
from batch.spark.blocks import (
    BLOCKS,
    GROUPS,
    IDS,
    OF_USERS,
    PARTS,
    READ,
    REPORT,
    bounds_of,
    to_blocks_by_user,
    to_parts,
    unpacked,
)
from batch.spark.read import reports_of
from batch.spark.session import collected, job_errors
from batch.spark.shard_step import ShardStep
from batch.spark.task import mapped, struct_type
from batch.spark.tasks import (
    CHUNKS,
    SAMPLE,
    WRITTEN,
    read_groups,
    sample_chunks,
    sample_of,
    to_chunks,
    to_records,
    to_shard_files,
    written_shards,
)
from batch.spark.user_step import RECORDS, UserStep, unpacked_records
from batch.tables.users import LISTS, PROFILES, SPARES, TABLES_OF_USERS, Records, UserTable
from store.writer import SnapshotWriter


@dataclass(frozen=True, slots=True)
class ReadGroups:
    """Rows of groups of files on the executors that have read them.

    Attributes:
        kept: DataFrame with the columns of `blocks.READ`.
        reports: What the tasks have read; see `read.reports_of`.
        ids: Some of the user ids of each group; see `blocks.sampled_ids`.
    """

    kept: Any
    reports: list[Any]
    ids: list[pa.Table]

    @property
    def n_rows(self) -> int:
        """Approximate number of rows of users."""
        return sum(pc.sum(ids["n_rows"]).as_py() or 0 for ids in self.ids)

    @classmethod
    def of(
        cls,
        session: Any,
        groups: Sequence[Sequence[str]],
        read: Callable[[int, Sequence[str]], Iterator[pa.RecordBatch]],
    ) -> "ReadGroups":
        """Read all groups, one task each.

        Args:
            session: Session of PySpark.
            groups: Names that are read together; one group or more.
            read: Function from number and names of a group to its blocks.

        Raises:
            BatchError: An input is missing, broken or empty.
        """
        numbered = [(number, list(names)) for number, names in enumerate(groups)]
        source = session.createDataFrame(numbered, struct_type(GROUPS))
        by_group = source.repartitionById(len(groups), "number")
        kept = on_disk(mapped(by_group, READ, read_groups, read=read))
        found = collected(kept.where(kept.kind.isin(IDS, REPORT)).select("kind", "about"))
        about = {
            kind: [row["about"] for row in found if row["kind"] == kind] for kind in (IDS, REPORT)
        }
        return cls(kept, reports_of(about[REPORT]), [unpacked(one) for one in about[IDS]])


@dataclass(frozen=True, slots=True)
class UserChunks:
    """Interactions of all users on the executors, in the order of their ids.

    Attributes:
        kept: DataFrame with the columns of `tasks.CHUNKS`, a row for each chunk of users.
        n_users: Number of users.
        n_interactions: Number of pairs of a user and an item.
        n_users_without: Number of users whose every event was dropped.
        dropped: Number of valid events that are not used, by reason.
        profile_counts: Number of users with a profile, and of those with each field.
    """

    kept: Any
    n_users: int
    n_interactions: int
    n_users_without: int
    dropped: Counter[str]
    profile_counts: Counter[str]

    @classmethod
    def of(cls, events: Any, basis: InteractionBasis) -> "UserChunks":
        """Make the chunks of all users.

        Args:
            events: Blocks as `by_user` returns them.
            basis: What interactions depend on beside the events of their user.
        """
        kept = on_disk(mapped(events, CHUNKS, to_chunks, basis=basis))
        rows = collected(kept.drop("interactions", "profiles"))
        dropped: Counter[str] = Counter()
        profile_counts: Counter[str] = Counter()
        for row in rows:
            dropped.update(json.loads(row["dropped"]))
            profile_counts.update(json.loads(row["profile_counts"]))
        n_users, n_interactions, n_without = (
            sum(row[name] for row in rows)
            for name in ("n_users", "n_interactions", "n_users_without")
        )
        return cls(kept, n_users, n_interactions, n_without, dropped, profile_counts)

    def sample(
        self, share: float, named: frozenset[str]
    ) -> tuple[Interactions, dict[str, Profile]]:
        """Return a sample of users, with the dropped events of all, and profiles.

        Args:
            share: Expected share of the users in the sample.
            named: Ids of the users with a vector from outside.
        """
        selected = mapped(self.kept, SAMPLE, sample_chunks, share=share, named=named)
        rows = selected.toLocalIterator()
        found, profiles = sample_of(
            (bytes(row.interactions), row.elsewhere, bytes(row.profiles)) for row in rows
        )
        found = replace(
            found,
            dropped=self.dropped,
            n_users_without=self.n_users_without,
            n_elsewhere=self.n_users - len(found.user_ids),
        )
        return found, profiles


@dataclass(frozen=True, slots=True)
class SparkUsers:
    """Tables of all users on the executors; see `UserTables`.

    Attributes:
        kept: DataFrame with the columns of `user_step.RECORDS`.
        n_users: Number of users.
        n_lists: Number of users with a list that is not empty.
        n_interactions: Number of pairs of a user and an item.
    """

    kept: Any
    n_users: int
    n_lists: int
    n_interactions: int

    @classmethod
    def of(cls, chunks: UserChunks, step: UserStep) -> "SparkUsers":
        """Make all records."""
        kept = on_disk(mapped(chunks.kept, RECORDS, to_records, step=step))
        of_lists = kept.where(kept.table_number == TABLES_OF_USERS.index(LISTS))
        n_lists = sum(row["n_records"] for row in collected(of_lists.select("n_records")))
        return cls(kept, chunks.n_users, n_lists, chunks.n_interactions)

    def records(self, table: UserTable) -> Records:
        """Yield the records of a table, partition by partition; see `UserTables.records`."""
        number = TABLES_OF_USERS.index(table)
        of_table = self.kept.where(self.kept.table_number == number).select("records")
        with job_errors("records of users"):
            for row in of_table.toLocalIterator():
                yield from unpacked_records(bytes(row.records))

    def write_shards(self, writer: SnapshotWriter, others: Mapping[UserTable, Records]) -> bool:
        """Write one file for each shard in tasks; see `UserTables.write_shards`.

        Raises:
            EngineError: A task cannot write to the store's folder.
            WriteError: A file that a task has written is not in the store's folder.
        """
        n_shards = writer.n_shards
        if n_shards == 1:
            return False
        step = ShardStep.of(writer.folder_apart(), n_shards, others)
        numbers = [TABLES_OF_USERS.index(table) for table in (LISTS, SPARES, PROFILES)]
        divided = self.kept.where(self.kept.table_number.isin(*numbers)).drop("n_records")
        by_shard = divided.repartitionById(n_shards, "shard").sortWithinPartitions(
            "shard", "table_number", "first"
        )
        with job_errors("shard files"):
            rows = collected(mapped(by_shard, WRITTEN, to_shard_files, step=step))
        writer.take_shards(written_shards(row["written"] for row in rows))
        return True


def by_user(read: Sequence[ReadGroups], n_partitions: int) -> Any:
    """Return blocks of rows sorted by user, in partitions that are ranges of ids in byte order.

    Args:
        read: Rows of all groups, in one part or several.
        n_partitions: Number of partitions; there are fewer where users are few.
    """
    bounds = bounds_of([ids for part in read for ids in part.ids], n_partitions)
    kept = functools.reduce(lambda one, other: one.union(other), (part.kept for part in read))
    of_users = kept.where(kept.kind == OF_USERS)
    parts = mapped(of_users, PARTS, to_parts, bounds=bounds)
    moved = parts.repartitionById(len(bounds) + 1, "partition")
    return on_disk(mapped(moved, BLOCKS, to_blocks_by_user))


def on_disk(frame: Any) -> Any:
    """Return a DataFrame whose rows are computed once, and kept on the executors' disks."""
    from pyspark import StorageLevel

    return frame.persist(StorageLevel.DISK_ONLY)
