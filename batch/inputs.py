"""Inputs of a refresh: events, catalogue and profiles, and a summary of the rejected lines."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from batch.columns.names import ITEM, USER
from batch.columns.notes import of_all_files
from batch.errors import InputError
from batch.events.events import EventFile, Events
from batch.events.read import EventInput, check_named, read_events
from batch.files.input_file import name_of
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

    def fingerprints(self, n_threads: int) -> list[dict[str, Any]]:
        """Return name, size and hash of each file, for the manifest.

        The kind of a member of an archive ends with its name; size and hash are the archive's.
        A database has the number of its rows, and a digest of them.

        Args:
            n_threads: Number of threads that compute hashes.
        """
        files: list[EventFile | RecordFile] = [*self.events.sources, *self._record_files]
        of_files = dict.fromkeys(file.path for file in files if isinstance(file.path, Path))
        with ThreadPoolExecutor(n_threads) as pool:  # an archive once
            hashes = dict(zip(of_files, pool.map(sha256, of_files), strict=True))
        return [
            {
                "name": file.path.name,
                "kind": f"{file.kind}: {file.member}" if file.member else file.kind,
                "rejected": file.n_rejected,
                **_content(file.path, hashes),
            }
            for file in files
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what the files were read as, once for files that were read alike."""
        files: list[EventFile | RecordFile] = [*self.events.sources, *self._record_files]
        return of_all_files(
            (name_of(file.path, file.member), note) for file in files for note in file.notes
        )

    @property
    def unusable(self) -> dict[str, int]:
        """Number of entries of catalogues, profiles and vectors without a valid id, by file."""
        return {
            name_of(file.path, file.member): file.n_rejected
            for file in self._record_files
            if file.n_rejected
        }

    @property
    def not_read(self) -> dict[str, str]:
        """Reason why a member of an archive was not read, by its name.

        An archive may be given as events and as a catalogue, each of which has members.
        """
        files: list[EventFile | RecordFile] = [*self.events.sources, *self._record_files]
        read = {name_of(file.path, file.member) for file in files}
        left_out = self.events.not_read | self.catalogue.not_read | self.profiles.not_read
        return {name: why for name, why in left_out.items() if name not in read}

    @property
    def _record_files(self) -> list[RecordFile]:
        vectors = [outside.source for outside in (self.item_vectors, self.user_vectors) if outside]
        return [*self.catalogue.sources, *self.profiles.sources, *vectors]


# From settings, the begin of the refresh and a function called with numbers of lines to events
ReadEvents = Callable[[BatchSettings, datetime, Callable[[int], object]], EventInput]
ReadProfiles = Callable[[BatchSettings], Profiles]


def profiles_of(settings: BatchSettings) -> Profiles:
    """Read all profiles that the settings name.

    Raises:
        InputError: A file is missing, broken or no file of profiles.
    """
    inputs = [record_input(name, settings) for name in settings.profiles]
    return read_profiles(inputs, settings.columns.get(USER))


def read_inputs(
    settings: BatchSettings,
    began_at: datetime,
    stages: Stages,
    read: ReadEvents = read_events,
    profiles_of: ReadProfiles = profiles_of,
) -> RefreshInputs:
    """Read all files that the settings name.

    Args:
        settings: Settings of the batch: files and patterns of ids.
        began_at: Time when the refresh began, after which the quarantine's file is named.
        stages: Timer of the stages.
        read: Function that reads the events.
        profiles_of: Function that reads the profiles.

    Raises:
        BatchError: No events are named, or a file is missing, broken or empty.
    """
    check_named(settings)
    if settings.item_vectors and settings.new_items == "none":
        what = 'is not used while new_items = "none"'
        raise InputError("[batch] item_vectors", what, 'set new_items = "content", or leave it out')
    with stages("catalogue"):
        given = settings.columns
        catalogues = [record_input(name, settings) for name in settings.catalogue]
        catalogue = read_catalogues(catalogues, given.get(ITEM))
        profiles = profiles_of(settings)
        item_vectors = _read_vectors(settings.item_vectors, "item")
        user_vectors = _read_vectors(settings.user_vectors, "user")
    with stages("events", unit="line") as advance:
        events, rejected, quarantine = read(settings, began_at, advance)
    return RefreshInputs(
        events, catalogue, profiles, rejected, quarantine, item_vectors, user_vectors
    )


def _content(path: Path | DatabaseInput, hashes: Mapping[Path, str]) -> dict[str, Any]:
    """Return the size and the hash of a file, or of what was read of a database."""
    if isinstance(path, DatabaseInput):
        return {"rows": path.digest.n_rows, "rows_digest": path.digest.hexdigest}
    return {"bytes": path.stat().st_size, "sha256": hashes[path]}


def _read_vectors(path: str, owner: Owner) -> OutsideVectors | None:
    return read_vectors(Path(path), owner) if path else None
