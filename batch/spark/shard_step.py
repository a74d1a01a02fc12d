"""The step of a shard: from the records of its users to one file in the unpublished snapshot.

    records of a shard, by table and user ─┐
    lists from the driver ─────────────────┴─► apart/recs.03.mdb.5f0c… ─► size, checksum, counts

Every attempt writes a file of its own, and only what a completed task returns is used: a task
that is repeated or done twice changes nothing.
"""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from batch.spark.user_step import Record, divided, unpacked_records
from batch.tables.users import TABLES_OF_USERS, Records, UserTable
from store.append import Records as TableRecords
from store.durable import keep_from_others
from store.written_shard import WrittenShard, write_shard


@dataclass(frozen=True, slots=True)
class ShardStep:
    """What a shard file depends on, beside the records of its users.

    Attributes:
        folder: Folder for the files, which all executors can write to.
        n_shards: Number of shards.
        others: Records of other users, which the driver has, by table and shard.
    """

    folder: Path
    n_shards: int
    others: dict[UserTable, list[list[Record]]]

    @classmethod
    def of(cls, folder: Path, n_shards: int, others: Mapping[UserTable, Records]) -> Self:
        """Return the step of a snapshot; see `UserTables.write_shards`."""
        parts = {table: divided([*records], n_shards) for table, records in others.items()}
        return cls(folder, n_shards, parts)

    def __call__(self, shard: int, rows: Iterable[Mapping[str, Any]]) -> WrittenShard:
        """Write the file of a shard.

        Args:
            shard: Number of the shard.
            rows: Records of its users, as `user_step.RECORDS`, sorted by table and user.

        Raises:
            WriteError: The file cannot be written.
        """
        keep_from_others()
        return write_shard(self.folder, shard, self.n_shards, self._tables(shard, rows))

    def _tables(
        self, shard: int, rows: Iterable[Mapping[str, Any]]
    ) -> Iterator[tuple[str, TableRecords]]:
        for number, of_table in itertools.groupby(rows, itemgetter("table_number")):
            table = TABLES_OF_USERS[number]
            parts = (unpacked_records(row["records"]) for row in of_table)
            of_users = itertools.chain.from_iterable(parts)
            others = self.others[table][shard] if table in self.others else ()
            yield table[1], heapq.merge(of_users, others)  # no user is in both
