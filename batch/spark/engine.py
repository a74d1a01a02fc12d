"""The engine on Spark: each stage a chain of transformations, kept on the executors' disks.

    read_profiles         files ─► rows ═══ kept                   driver: reports
    read_events           groups of files ─► rows ═══ kept         driver: reports
                          rows sorted by user ═══ kept             driver: items
    build_interactions    chunks ═══ kept                          driver: sample of users
    all_users             chunks ─► users' factors ═══ kept        driver: sums over users by item
    users                 chunks ─► records ═══ kept               driver: counts, then a stream

The sample is as large as the trial of the local engine, so many interactions an item, or as
the settings say. Where all users are that few, it is all of them, and the snapshot has the
bytes of a local one.
"""

import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from batch.errors import InputError
from batch.events.events import Events
from batch.events.parsed import ACCOUNTS, RATINGS, VIEWS
from batch.events.read import EventInput
from batch.inputs import RefreshInputs
from batch.interactions.aggregate import Runtimes, check_enough
from batch.interactions.build import Interactions
from batch.learn import Learned, trial_interactions
from batch.models.all_users import AllUsers
from batch.prepare import Prepared
from batch.records.profiles import Profile, Profiles
from batch.settings import BatchSettings
from batch.spark.all_users import SparkAllUsers
from batch.spark.frames import SparkUsers, UserChunks, by_user, on_disk
from batch.spark.item_pass import CountedItems, basis_of, count_items
from batch.spark.profiles import groups_of_profiles, without_users
from batch.spark.read import (
    ACCOUNT,
    REPORT,
    ROWS_DDL,
    Report,
    groups_of,
    reports_of,
)
from batch.spark.session import collected, job_errors, spark_session
from batch.spark.sweep_step import SweepStep
from batch.spark.tasks import of_sample, read_groups, read_groups_of_profiles
from batch.spark.user_step import UserStep
from batch.tables.users import UserTables
from batch.tables.write import SnapshotTables

_PARTITION_EVENTS: Final = 1_000_000
_BATCH_BYTES: Final = "64m"  # a row holds the records of many users, so 10,000 rows are too many


@contextlib.contextmanager
def opened_spark(settings: BatchSettings) -> Iterator["SparkEngine"]:
    """Yield the engine on the master that the settings name.

    Raises:
        EngineError: PySpark, Java, the master or an executor is missing.
    """
    with spark_session(settings.spark_master, settings.spark_wait_seconds) as session:
        yield SparkEngine(session)


class SparkEngine:
    """The stages of a refresh that touch every user, on Spark; see `Engine`.

    Args:
        session: Session of PySpark.
    """

    def __init__(self, session: Any) -> None:
        session.conf.set("spark.sql.execution.arrow.maxBytesPerBatch", _BATCH_BYTES)
        self._session = session
        self._of_profiles: Any = None
        self._profiles: dict[str, Profile] = {}
        self._rows: Any = None
        self._chunks: UserChunks | None = None
        self._counted: CountedItems | None = None
        self._began_at: datetime | None = None

    def read_profiles(self, settings: BatchSettings) -> Profiles:
        """Read all profiles in tasks, which keep them; see `Engine.read_profiles`."""
        groups = groups_of_profiles(settings)
        if not groups:
            return Profiles({}, ())
        with job_errors("reading profiles"):
            read = functools.partial(read_groups_of_profiles, settings=settings)
            self._of_profiles, reports = self._read(groups, read)
        return without_users(reports)

    def read_events(
        self, settings: BatchSettings, began_at: datetime, on_lines: Callable[[int], object]
    ) -> EventInput:
        """Read all events in tasks, which keep them; see `Engine.read_events`.

        The accounts that are returned are those of the sample.
        """
        groups = groups_of(settings)
        with job_errors("reading events"):
            read = functools.partial(read_groups, settings=settings, began_at=began_at)
            rows, reports = self._read(groups, read)
            n_partitions = settings.spark_partitions or self._n_partitions(reports)
            self._session.conf.set("spark.sql.shuffle.partitions", n_partitions)
            of_profiles = self._of_profiles
            of_users = rows if of_profiles is None else rows.union(of_profiles)
            self._rows, self._began_at = by_user(of_users, n_partitions), began_at
            self._counted = count_items(self._rows, settings.max_rating)
            has_accounts = any(report.n_accounts for report in reports)
            accounts = ACCOUNTS.empty_table()
            if has_accounts:
                accounts = _accounts(rows, sample_share(self._counted, settings))
            for one in (rows, of_profiles):
                if one is not None:
                    one.unpersist()
        for report in reports:
            on_lines(sum(file.n_lines for file in report.files.files))
        return event_input(reports, accounts)

    def build_interactions(
        self, inputs: RefreshInputs, runtimes: Runtimes | None, settings: BatchSettings
    ) -> Interactions:
        """Return the interactions of a sample of users; see `Engine.build_interactions`.

        Numbers of dropped events and of users without interactions are those of all users.
        """
        assert self._counted is not None
        if self._chunks is not None:
            raise InputError(
                "[batch] engine",
                "spark makes one set of interactions a refresh, but arms with weights of "
                "their own are being built",
                'set engine = "local" while the experiment runs',
            )
        with job_errors("interactions"):
            counted = self._counted
            if settings.max_rating not in (0, counted.best_rating):  # an arm's own scale
                counted = count_items(self._rows, settings.max_rating)
            basis = basis_of(self._rows, counted, runtimes, settings)
            self._chunks = chunks = UserChunks.of(self._rows, basis)
            self._rows.unpersist()
            check_enough(chunks.n_users, len(basis.runtimes), chunks.dropped)
            vectors = inputs.user_vectors
            named = frozenset(vectors.ids.to_pylist() if vectors else ())
            found, self._profiles = chunks.sample(sample_share(counted, settings), named)
            return found

    def profiles(self, read: Profiles) -> Profiles:
        """Return the profiles that the driver needs, and counts of all; see `Engine.profiles`."""
        assert self._chunks is not None
        return replace(read, users=self._profiles, counts=self._chunks.profile_counts)

    def all_users(self, prepared: Prepared, young_since: int | None) -> AllUsers | None:
        """Return all users, unless the sample has them all; see `Engine.all_users`."""
        assert self._chunks is not None
        assert self._began_at is not None
        if not prepared.interactions.n_elsewhere:
            return None
        item_ids = prepared.interactions.item_ids.to_pylist()
        step = SweepStep(item_ids, young_since, self._began_at)
        return SparkAllUsers(self._chunks.kept, self._chunks.n_users, step)

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
        n_users = self._chunks.n_users
        step = UserStep.of(
            prepared, learned, tables, settings, n_users=n_users, not_after=self._began_at
        )
        with job_errors("lists"):
            return SparkUsers.of(self._chunks, step)

    def _read(
        self, groups: Sequence[Sequence[str]], read: Callable[..., Any]
    ) -> tuple[Any, list[Any]]:
        """Return the rows of all groups of files, kept by the tasks that read them, and reports.

        Args:
            groups: Names that a task reads together.
            read: Function from the batches of a partition of groups to those of the rows.

        Raises:
            BatchError: An input is missing, broken or empty.
        """
        numbered = [(number, list(names)) for number, names in enumerate(groups)]
        source = self._session.createDataFrame(numbered, "number int, names array<string>")
        rows = on_disk(source.repartitionById(len(groups), "number").mapInArrow(read, ROWS_DDL))
        reported = collected(rows.where(rows.kind == REPORT).select("content"))
        return rows, reports_of(row["content"] for row in reported)

    def _n_partitions(self, reports: list[Report]) -> int:
        """Return enough partitions, so many that all processors have the same number of them."""
        n_processors = int(self._session.sparkContext.defaultParallelism)
        n_lines = sum(file.n_lines for report in reports for file in report.files.files)
        n_of_each = n_lines // (_PARTITION_EVENTS * n_processors) + 1
        return n_of_each * n_processors


def _accounts(rows: Any, share: float) -> pa.Table:
    """Return the accounts of the sample."""
    accounts = rows.where(rows.kind == ACCOUNT)
    select = functools.partial(of_sample, share=share)
    found = accounts.mapInArrow(select, ROWS_DDL).select("user_id", "first_at").toArrow()
    return found.rename_columns(ACCOUNTS.names).cast(ACCOUNTS)


def sample_share(counted: CountedItems, settings: BatchSettings) -> float:
    """Return the share of the users in the sample."""
    n_interactions = settings.spark_sample or trial_interactions(len(counted.item_ids))
    return n_interactions / max(counted.n_interactions, 1)


def event_input(reports: list[Report], accounts: pa.Table) -> EventInput:
    """Return what all tasks have read, with no views and ratings."""
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
