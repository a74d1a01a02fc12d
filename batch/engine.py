"""Engines: where a refresh has its users, in this process or in the partitions of a cluster.

    stage                    local                     spark
    read_profiles            all profiles              executors keep the profiles
    read_events              all events                executors keep the events
    build_interactions       all users                 a sample of users, all items
    trust … trial … gate     the same code, on what the engine has returned
    all_users                none further              sweeps over all users, in partitions
    users                    rows in memory            lists, vectors, histories by partitions

`batch.refresh` describes the stages once; an engine does those that touch every user.
"""

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

from batch.events.read import EventInput, read_events
from batch.inputs import RefreshInputs, profiles_of
from batch.interactions.aggregate import Runtimes
from batch.interactions.build import Interactions, build_interactions
from batch.interactions.weights import Weighting
from batch.learn import Learned
from batch.models.all_users import AllUsers
from batch.prepare import Prepared
from batch.records.profiles import Profiles
from batch.settings import BatchSettings
from batch.tables.users import UserTables
from batch.tables.write import SnapshotTables


class Engine(Protocol):
    """The stages of a refresh that touch every user."""

    def read_profiles(self, settings: BatchSettings) -> Profiles:
        """Read all profiles; see `batch.inputs.profiles_of`.

        An engine that keeps the profiles elsewhere returns what was read, without users.
        """

    def read_events(
        self, settings: BatchSettings, began_at: datetime, on_lines: Callable[[int], object]
    ) -> EventInput:
        """Read all events; see `batch.events.read.read_events`.

        An engine that keeps the events elsewhere returns what was read, without views and
        ratings.
        """

    def build_interactions(
        self, inputs: RefreshInputs, runtimes: Runtimes | None, settings: BatchSettings
    ) -> Interactions:
        """Return the interactions to learn from, of all users or of a sample of them.

        Args:
            inputs: Inputs with the events that the engine has read.
            runtimes: Minutes of each item of the catalogue; None without a catalogue.
            settings: Settings of the batch.

        Raises:
            NothingToLearnError: There are fewer than 2 users or items.
        """

    def profiles(self, read: Profiles) -> Profiles:
        """Return the profiles of the users that the driver makes lists for, or learns from.

        Args:
            read: Profiles that `read_profiles` has returned.
        """

    def all_users(self, prepared: Prepared, young_since: int | None) -> AllUsers | None:
        """Return all users to train on; None if `build_interactions` has returned all.

        Args:
            prepared: Catalogue, profiles and rules, with the items to train on.
            young_since: Time after which the accounts begin that are not trained on, seconds
                since 1970; None: all are.
        """

    def users(
        self,
        prepared: Prepared,
        learned: Learned,
        tables: SnapshotTables,
        settings: BatchSettings,
    ) -> UserTables:
        """Return the tables of all users.

        Args:
            prepared: Catalogue, profiles and rules.
            learned: Trained models.
            tables: Tables of the users that `build_interactions` has returned.
            settings: Settings of the batch.
        """


class LocalEngine:
    """All users in the memory of this process."""

    def read_profiles(self, settings: BatchSettings) -> Profiles:
        """Read all profiles; see `Engine.read_profiles`."""
        return profiles_of(settings)

    def read_events(
        self, settings: BatchSettings, began_at: datetime, on_lines: Callable[[int], object]
    ) -> EventInput:
        """Read all events; see `Engine.read_events`."""
        return read_events(settings, began_at, on_lines)

    def build_interactions(
        self, inputs: RefreshInputs, runtimes: Runtimes | None, settings: BatchSettings
    ) -> Interactions:
        """Return the interactions of all users; see `Engine.build_interactions`."""
        return build_interactions(
            inputs.events,
            runtimes,
            settings.max_rating,
            Weighting.from_settings(settings),
            n_threads=settings.n_threads,
        )

    def profiles(self, read: Profiles) -> Profiles:
        """Return all profiles; see `Engine.profiles`."""
        return read

    def all_users(self, prepared: Prepared, young_since: int | None) -> None:
        """Return None; see `Engine.all_users`."""

    def users(
        self,
        prepared: Prepared,
        learned: Learned,
        tables: SnapshotTables,
        settings: BatchSettings,
    ) -> UserTables:
        """Return the tables of all users, which are in memory already; see `Engine.users`."""
        return tables.users()


@contextlib.contextmanager
def opened_engine(settings: BatchSettings) -> Iterator[Engine]:
    """Yield the engine that the settings name; a cluster's session ends with it.

    Raises:
        EngineError: Spark, Java or the master is missing.
    """
    if settings.engine == "local":
        yield LocalEngine()
        return
    from batch.spark.engine import opened_spark

    with opened_spark(settings) as engine:
        yield engine
