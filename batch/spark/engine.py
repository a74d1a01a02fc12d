"""The engine on Spark: each stage a chain of transformations, kept on the executors' disks.

    read_profiles         files ─► blocks ═══ kept                 driver: reports
    read_events           groups of files ─► blocks ═══ kept       driver: reports
                          blocks by user ═══ kept                  driver: items
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
from collections.abc import Callable, Iterator
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
from batch.spark.blocks import OF_ACCOUNTS
from batch.spark.frames import ReadGroups, SparkUsers, UserChunks, by_user
from batch.spark.item_pass import CountedItems, basis_of, count_items
from batch.spark.profiles import groups_of_profiles, read_profiles, without_users
from batch.spark.read import ACCOUNT_ROWS, Report, groups_of, read_group
from batch.spark.session import job_errors, spark_session
from batch.spark.sweep_step import SweepStep
from batch.spark.task import mapped
from batch.spark.tasks import of_sample
from batch.spark.user_step import UserStep
from batch.tables.users import UserTables
from batch.tables.write import SnapshotTables

_PARTITION_ROWS: Final = 1_000_000
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
        self._of_profiles: list[ReadGroups] = []
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
            read = functools.partial(read_profiles, n_groups=len(groups), settings=settings)
            found = ReadGroups.of(self._session, groups, read)
        self._of_profiles = [found]
        return without_users(found.reports)

    def read_events(
        self, settings: BatchSettings, began_at: datetime, on_lines: Callable[[int], object]
    ) -> EventInput:
        """Read all events in tasks, which keep them; see `Engine.read_events`.

        The accounts that are returned are those of the sample.
        """
        groups = groups_of(settings)
        with job_errors("reading events"):
            read = functools.partial(
                read_group, n_groups=len(groups), settings=settings, began_at=began_at
            )
            found = ReadGroups.of(self._session, groups, read)
            parts = [found, *self._of_profiles]
            n_partitions = settings.spark_partitions or self._n_partitions(parts)
            self._session.conf.set("spark.sql.shuffle.partitions", n_partitions)
            self._rows, self._began_at = by_user(parts, n_partitions), began_at
            self._counted = count_items(self._rows, settings.max_rating)
            accounts = ACCOUNTS.empty_table()
            if any(report.n_accounts for report in found.reports):
                accounts = _accounts(found.kept, sample_share(self._counted, settings))
            for part in parts:
                part.kept.unpersist()
        for report in found.reports:
            on_lines(sum(file.n_lines for file in report.files.files))
        return event_input(found.reports, accounts)

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

    def _n_partitions(self, parts: list[ReadGroups]) -> int:
        """Return enough partitions, so many that all processors have the same number of them."""
        n_processors = int(self._session.sparkContext.defaultParallelism)
        n_rows = sum(part.n_rows for part in parts)
        n_of_each = n_rows // (_PARTITION_ROWS * n_processors) + 1
        return n_of_each * n_processors


def _accounts(read: Any, share: float) -> pa.Table:
    """Return the accounts of the sample."""
    accounts = read.where(read.kind == OF_ACCOUNTS)
    return mapped(accounts, ACCOUNT_ROWS, of_sample, share=share).toArrow().cast(ACCOUNTS)


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
