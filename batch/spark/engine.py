"""The engine on Spark: each stage a chain of transformations, kept on the executors' disks.

    read_events           groups of files ─► rows ═══ kept         driver: reports
    build_interactions    rows sorted by user ─► chunks ═══ kept   driver: items, sample of users
    users                 chunks ─► records ═══ kept               driver: counts, then a stream

The sample is as large as the trial of the local engine: so many interactions an item. Where
all users are that few, it is all of them, and the snapshot has the bytes of a local one.
"""

import contextlib
import functools
import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from batch.errors import EngineError, InputError
from batch.events.events import Events
from batch.events.parsed import ACCOUNTS, RATINGS, VIEWS
from batch.events.read import EventInput
from batch.interactions.aggregate import Runtimes, check_enough
from batch.interactions.build import Interactions
from batch.learn import Learned, trial_interactions
from batch.prepare import Prepared
from batch.served.files import ServedModel
from batch.settings import BatchSettings
from batch.spark.basis import InteractionBasis, concat_interactions, select_users
from batch.spark.chunks import in_sample, user_chunks
from batch.spark.item_pass import CountedItems, basis_of, count_items
from batch.spark.read import (
    ACCOUNT,
    RATING,
    REPORT,
    ROWS_DDL,
    VIEW,
    Report,
    groups_of,
    read_group,
    reports_of,
)
from batch.spark.session import job_errors, spark_session
from batch.spark.user_step import RECORDS_DDL, UserStep, record_batches, unpacked
from batch.tables.users import USER_TABLES, Records, UserTable, UserTables
from batch.tables.write import SnapshotTables

_CHUNKS: Final = pa.schema(
    [("n_users", pa.int64()), ("n_interactions", pa.int64()), ("n_users_without", pa.int64()),
     ("dropped", pa.string()), ("interactions", pa.binary())]
)  # fmt: skip
_CHUNKS_DDL: Final = (
    "n_users bigint, n_interactions bigint, n_users_without bigint, dropped string, "
    "interactions binary"
)
_PARTITION_EVENTS: Final = 1_000_000

Batches = Iterable[pa.RecordBatch]


@contextlib.contextmanager
def opened_spark(settings: BatchSettings) -> Iterator["SparkEngine"]:
    """Yield the engine on the master that the settings name.

    Raises:
        EngineError: PySpark, Java or the master is missing.
    """
    with spark_session(settings.spark_master) as session:
        yield SparkEngine(session)


class SparkEngine:
    """The stages of a refresh that touch every user, on Spark; see `Engine`.

    Args:
        session: Session of PySpark.
    """

    def __init__(self, session: Any) -> None:
        self._session = session
        self._rows: Any = None
        self._chunks: _Chunks | None = None
        self._began_at: datetime | None = None

    def read_events(
        self, settings: BatchSettings, began_at: datetime, on_lines: Callable[[int], object]
    ) -> EventInput:
        """Read all events in tasks, which keep them; see `Engine.read_events`.

        The accounts that are returned are those of the sample.
        """
        groups = [(number, list(names)) for number, names in enumerate(groups_of(settings))]
        source = self._session.createDataFrame(groups, "number int, names array<string>")
        read = functools.partial(_read_groups, settings=settings, began_at=began_at)
        with job_errors("reading events"):
            rows = _kept(source.repartition(len(groups), "number").mapInArrow(read, ROWS_DDL))
            reported = rows.where(rows.kind == REPORT).select("report").collect()
            reports = reports_of(bytes(row.report) for row in reported)
            self._rows, self._began_at = rows, began_at
            accounts = self._accounts(count_items(rows, settings.max_rating))
        for report in reports:
            on_lines(sum(file.n_lines for file in report.files.files))
        return _event_input(reports, accounts)

    def build_interactions(
        self, events: Events, runtimes: Runtimes | None, settings: BatchSettings
    ) -> Interactions:
        """Return the interactions of a sample of users; see `Engine.build_interactions`.

        Numbers of dropped events and of users without interactions are those of all users.
        """
        if self._chunks is not None:
            raise InputError(
                "[batch] engine",
                "spark makes one set of interactions a refresh, but arms with weights of "
                "their own are being built",
                'set engine = "local" while the experiment runs',
            )
        with job_errors("interactions"):
            counted = count_items(self._rows, settings.max_rating)
            basis = basis_of(self._rows, counted, runtimes, settings)
            n_partitions = settings.spark_partitions or self._n_partitions(counted)
            to_chunks = functools.partial(_to_chunks, basis=basis)
            chunks = _Chunks.of(_made_chunks(self._rows, n_partitions, to_chunks))
            self._chunks = chunks
            self._rows.unpersist()
            check_enough(chunks.n_users, len(basis.runtimes), chunks.dropped)
            return chunks.sample(_share_of(counted))

    def users(
        self,
        prepared: Prepared,
        learned: Learned,
        tables: SnapshotTables,
        settings: BatchSettings,
    ) -> UserTables:
        """Return the tables of all users, which stay on the executors; see `Engine.users`.

        Raises:
            EngineError: The model cannot fold in users.
        """
        assert self._chunks is not None
        assert self._began_at is not None
        served = tables.served
        if not isinstance(served, ServedModel):
            remedy = 'choose another [batch] model, or engine = "local"'
            raise EngineError("[batch] model", f"cannot fold in users: {served.reason}", remedy)
        step = UserStep(
            tables.interactions.item_ids,
            served.model,
            learned.vectors.solve,
            tables.factors.item_factors,
            prepared.rules.of_users(tables.interactions.user_ids[:0], {}, 1.0),
            dict(tables.profiles),
            prepared.taken_down_rows,
            settings,
            self._began_at,
            self._chunks.n_users,
        )
        with job_errors("lists"):
            return _SparkUsers.of(self._chunks, step)

    def _accounts(self, counted: CountedItems) -> pa.Table:
        share = _share_of(counted)
        accounts = self._rows.where(self._rows.kind == ACCOUNT)
        of_sample = functools.partial(_of_sample, share=share)
        found = accounts.mapInArrow(of_sample, ROWS_DDL).select("user_id", "first_at").toArrow()
        return found.rename_columns(ACCOUNTS.names).cast(ACCOUNTS)

    def _n_partitions(self, counted: CountedItems) -> int:
        n_processors = int(self._session.sparkContext.defaultParallelism)
        return max(n_processors, counted.n_interactions // _PARTITION_EVENTS + 1)


@dataclass(frozen=True, slots=True)
class _Chunks:
    """Interactions of all users on the executors, in the order of their ids.

    Attributes:
        kept: DataFrame with the columns of `_CHUNKS`, a row for each chunk of users.
        n_users: Number of users.
        n_interactions: Number of pairs of a user and an item.
        n_users_without: Number of users whose every event was dropped.
        dropped: Number of valid events that are not used, by reason.
    """

    kept: Any
    n_users: int
    n_interactions: int
    n_users_without: int
    dropped: Counter[str]

    @classmethod
    def of(cls, kept: Any) -> "_Chunks":
        """Make all chunks, and add up their numbers."""
        rows = kept.drop("interactions").collect()
        dropped: Counter[str] = Counter()
        for row in rows:
            dropped.update(json.loads(row.dropped))
        n_users, n_interactions, n_without = (
            sum(row[name] for row in rows)
            for name in ("n_users", "n_interactions", "n_users_without")
        )
        return cls(kept, n_users, n_interactions, n_without, dropped)

    def sample(self, share: float) -> Interactions:
        """Return the interactions of a sample of users, with the dropped events of all."""
        select = functools.partial(_sample_chunks, share=share)
        rows = self.kept.mapInArrow(select, "interactions binary").toLocalIterator()
        found = concat_interactions([pickle.loads(row.interactions) for row in rows])  # noqa: S301
        return replace(found, dropped=self.dropped, n_users_without=self.n_users_without)


@dataclass(frozen=True, slots=True)
class _SparkUsers:
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
    def of(cls, chunks: _Chunks, step: UserStep) -> "_SparkUsers":
        """Make all records."""
        kept = _kept(chunks.kept.mapInArrow(functools.partial(_to_records, step=step), RECORDS_DDL))
        first = kept.where(kept.table_number == 0)
        (found,) = first.agg({"n_users": "sum", "n_lists": "sum"}).collect()
        n_users, n_lists = found["sum(n_users)"], found["sum(n_lists)"]
        return cls(kept, int(n_users), int(n_lists), chunks.n_interactions)

    def records(self, table: UserTable) -> Records:
        """Yield the records of a table, partition by partition; see `UserTables.records`."""
        number = USER_TABLES.index(table)
        of_table = self.kept.where(self.kept.table_number == number).select("records")
        with job_errors("records of users"):
            for row in of_table.toLocalIterator():
                yield from unpacked(bytes(row.records))


# Functions of tasks, on batches of a partition: they need no Spark.


def _read_groups(
    batches: Batches, settings: BatchSettings, began_at: datetime
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for row in batch.to_pylist():
            yield from read_group(row["number"], row["names"], settings, began_at)


def _of_sample(batches: Batches, share: float) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.filter(pa.array(in_sample(batch["user_id"].to_pylist(), share)))


def _to_chunks(batches: Batches, basis: InteractionBasis) -> Iterator[pa.RecordBatch]:
    for rows in user_chunks(batches):
        made = basis.interactions(rows)
        row = {
            "n_users": len(made.user_ids),
            "n_interactions": made.weights.nnz,
            "n_users_without": made.n_users_without,
            "dropped": json.dumps(made.dropped),
            "interactions": pickle.dumps(made),
        }
        yield pa.RecordBatch.from_pylist([row], schema=_CHUNKS)


def _sample_chunks(batches: Batches, share: float) -> Iterator[pa.RecordBatch]:
    for made in _interactions_in(batches):
        selected = select_users(made, in_sample(made.user_ids.to_pylist(), share))
        yield pa.RecordBatch.from_pydict({"interactions": [pickle.dumps(selected)]})


def _to_records(batches: Batches, step: UserStep) -> Iterator[pa.RecordBatch]:
    for made in _interactions_in(batches):
        if len(made.user_ids):
            yield from record_batches(step(made))


def _interactions_in(batches: Batches) -> Iterator[Interactions]:
    for batch in batches:
        for content in batch["interactions"]:
            yield pickle.loads(content.as_buffer())  # noqa: S301 - of our own tasks


def _made_chunks(rows: Any, n_partitions: int, to_chunks: Callable[..., Any]) -> Any:
    """Return the chunks of all users; partitions are ranges of ids in byte order."""
    events = rows.where(rows.kind.isin(VIEW, RATING)).drop("report")
    by_user = events.repartitionByRange(n_partitions, "user_id").sortWithinPartitions("user_id")
    return _kept(by_user.mapInArrow(to_chunks, _CHUNKS_DDL))


def _kept(frame: Any) -> Any:
    """Return a DataFrame whose rows are computed once, and kept on the executors' disks."""
    from pyspark import StorageLevel

    return frame.persist(StorageLevel.DISK_ONLY)


def _share_of(counted: CountedItems) -> float:
    """Return the share of the users in the sample."""
    return trial_interactions(len(counted.item_ids)) / max(counted.n_interactions, 1)


def _event_input(reports: list[Report], accounts: pa.Table) -> EventInput:
    rejected: Counter[str] = Counter()
    not_read: dict[str, str] = {}
    for report in reports:
        rejected.update(report.files.rejected)
        not_read |= report.files.not_read
    events = Events(
        VIEWS.empty_table(),
        RATINGS.empty_table(),
        sum(report.n_accounts for report in reports),
        sum(report.n_answers for report in reports),
        tuple(file for report in reports for file in report.files.files),
        not_read,
        accounts,
    )
    quarantined = (report.files.quarantine for report in reports if report.files.quarantine)
    return EventInput(events, rejected, next(quarantined, None))
