"""What a refresh is given: events, catalogue and profiles, and what became of their lines."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from batch.errors import InputError
from batch.events.events import Events
from batch.events.events import Source as EventSource
from batch.events.kinds import kinds
from batch.events.parsed import RATINGS, VIEWS
from batch.events.quarantine import Quarantine
from batch.events.read import read_events
from batch.records.catalogue import Catalogue, read_catalogues
from batch.records.profiles import Profiles, read_profiles
from batch.records.read import Source as RecordSource
from batch.settings import BatchSettings
from batch.stages import Stages
from store.manifest import sha256


@dataclass(frozen=True, slots=True)
class RefreshInputs:
    """All that was read.

    Attributes:
        events: Views and ratings.
        catalogue: The items that exist.
        profiles: Who the users are.
        rejected: Rejected lines of the events by reason.
        quarantine: Where they lie, None if there are none.
    """

    events: Events
    catalogue: Catalogue
    profiles: Profiles
    rejected: Counter[str]
    quarantine: Path | None

    def without_events(self) -> "RefreshInputs":
        """Return the same, the events forgotten but for where they came from."""
        events = replace(self.events, views=VIEWS.empty_table(), ratings=RATINGS.empty_table())
        return replace(self, events=events)

    def fingerprints(self, n_threads: int) -> list[dict[str, Any]]:
        """Return which bytes all this was, for the manifest; hashed by so many threads."""
        sources: list[EventSource | RecordSource] = [
            *self.events.sources,
            *self.catalogue.sources,
            *self.profiles.sources,
        ]
        with ThreadPoolExecutor(n_threads) as pool:
            hashes = pool.map(sha256, (source.path for source in sources))
        return [
            {
                "name": source.path.name,
                "kind": source.kind,
                "rejected": source.n_rejected,
                "bytes": source.path.stat().st_size,
                "sha256": found,
            }
            for source, found in zip(sources, hashes, strict=True)
        ]

    @property
    def unusable(self) -> dict[str, int]:
        """Entries of catalogues and profiles without an id that can be used, by file."""
        sources = (*self.catalogue.sources, *self.profiles.sources)
        return {str(source.path): source.n_rejected for source in sources if source.n_rejected}


def read_inputs(settings: BatchSettings, began_at: datetime, stages: Stages) -> RefreshInputs:
    """Read everything that the settings name.

    Args:
        settings: Which files, and what an id is.
        began_at: When the refresh began; the quarantine is named after it.
        stages: To time each step.

    Raises:
        BatchError: Nothing is named, or a file is missing, broken or empty.
    """
    if not settings.events:
        raise InputError("events", "none given", "name files with --events, or in [batch] events")
    with stages("catalogue"):
        catalogue = read_catalogues([Path(path) for path in settings.catalogue])
        profiles = read_profiles([Path(path) for path in settings.profiles])
    folder, name = Path(settings.quarantine), began_at.strftime("%Y-%m-%dT%H%M%S.%fZ")
    with (
        stages("events", unit="line") as advance,
        Quarantine(folder, name, settings.quarantine_keep) as quarantine,
    ):
        events = read_events(
            [Path(path) for path in settings.events],
            kinds(settings.user_pattern, settings.item_pattern),
            quarantine,
            settings.max_rejected_share,
            advance,
            n_threads=settings.n_threads,
        )
    rejected = quarantine.counts
    return RefreshInputs(
        events, catalogue, profiles, rejected, quarantine.path if rejected else None
    )
