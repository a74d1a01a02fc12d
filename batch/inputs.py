"""Inputs of a refresh: events, catalogue and profiles, and a summary of the rejected lines."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from batch.errors import InputError
from batch.events.events import EventFile, Events
from batch.events.parsed import RATINGS, VIEWS
from batch.events.read import check_named, read_events
from batch.records.catalogue import Catalogue, read_catalogues
from batch.records.profiles import Profiles, read_profiles
from batch.records.read import RecordFile
from batch.records.vectors import OutsideVectors, Owner, read_vectors
from batch.settings import BatchSettings
from batch.sql.source import DatabaseInput, record_input
from batch.stages import Stages
from store.manifest import sha256


@dataclass(frozen=True, slots=True)
class RefreshInputs:
    """Everything that a refresh read.

    Attributes:
        events: Views and ratings.
        catalogue: Items that exist.
        profiles: Profiles of users.
        rejected: Number of rejected lines of the events by reason.
        quarantine: File of the rejected lines, None without any.
        item_vectors: Vectors of items from outside; None without any.
        user_vectors: Vectors of users from outside; None without any.
    """

    events: Events
    catalogue: Catalogue
    profiles: Profiles
    rejected: Counter[str]
    quarantine: Path | None
    item_vectors: OutsideVectors | None = None
    user_vectors: OutsideVectors | None = None

    def without_events(self) -> "RefreshInputs":
        """Return the same inputs without views and ratings; the list of files stays."""
        events = replace(self.events, views=VIEWS.empty_table(), ratings=RATINGS.empty_table())
        return replace(self, events=events)

    def fingerprints(self, n_threads: int) -> list[dict[str, Any]]:
        """Return name, size and hash of each file, for the manifest.

        Args:
            n_threads: Number of threads that compute hashes.
        """
        files: list[EventFile | RecordFile] = [*self.events.sources, *self._record_files]
        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(_fingerprint, files))

    @property
    def unusable(self) -> dict[str, int]:
        """Number of entries of catalogues, profiles and vectors without a valid id, by file."""
        return {str(file.path): file.n_rejected for file in self._record_files if file.n_rejected}

    @property
    def _record_files(self) -> list[RecordFile]:
        vectors = [outside.source for outside in (self.item_vectors, self.user_vectors) if outside]
        return [*self.catalogue.sources, *self.profiles.sources, *vectors]


def read_inputs(settings: BatchSettings, began_at: datetime, stages: Stages) -> RefreshInputs:
    """Read all files that the settings name.

    Args:
        settings: Settings of the batch: files and patterns of ids.
        began_at: Time when the refresh began, after which the quarantine's file is named.
        stages: Timer of the stages.

    Raises:
        BatchError: No events are named, or a file is missing, broken or empty.
    """
    check_named(settings)
    if settings.item_vectors and settings.new_items == "none":
        what = 'is not used while new_items = "none"'
        raise InputError("[batch] item_vectors", what, 'set new_items = "content", or leave it out')
    with stages("catalogue"):
        catalogue = read_catalogues([record_input(name, settings) for name in settings.catalogue])
        profiles = read_profiles([record_input(name, settings) for name in settings.profiles])
        item_vectors = _read_vectors(settings.item_vectors, "item")
        user_vectors = _read_vectors(settings.user_vectors, "user")
    with stages("events", unit="line") as advance:
        events, rejected, quarantine = read_events(settings, began_at, advance)
    return RefreshInputs(
        events, catalogue, profiles, rejected, quarantine, item_vectors, user_vectors
    )


def _fingerprint(file: EventFile | RecordFile) -> dict[str, Any]:
    path = file.path
    entry = {"name": path.name, "kind": file.kind, "rejected": file.n_rejected}
    if isinstance(path, DatabaseInput):
        return entry | {"rows": path.digest.n_rows, "rows_digest": path.digest.hexdigest}
    return entry | {"bytes": path.stat().st_size, "sha256": sha256(path)}


def _read_vectors(path: str, owner: Owner) -> OutsideVectors | None:
    return read_vectors(Path(path), owner) if path else None
