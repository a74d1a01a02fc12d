"""Where the online figures come from: the store, the partitions, and the hours that are kept."""

import argparse
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from store.config import StoreSettings, load_section
from stream.errors import NoAnswersError, StreamError
from stream.online.compute import open_hours, update
from stream.online.events import DayFiles
from stream.online.hours import HourFiles
from stream.online.served_lists import ServedLists, generations_beside
from stream.online.settings import OnlineSettings
from stream.settings import StreamSettings


@dataclass(frozen=True, slots=True)
class OnlineInputs:
    """Where the figures come from.

    Attributes:
        settings: Settings of the section.
        store: Directory of the store.
        events: Directory of the partitions.
    """

    settings: OnlineSettings
    store: Path
    events: Path

    @classmethod
    def of(cls, options: argparse.Namespace) -> "OnlineInputs":
        """Return the inputs that the options `config`, `store` and `events` name."""
        config = options.config
        store = options.store or Path(load_section("store", StoreSettings, config).path)
        events = options.events or Path(load_section("stream", StreamSettings, config).events)
        return cls(load_section("online", OnlineSettings, config), store, events)

    @property
    def folder(self) -> Path:
        """Directory of the hours."""
        return Path(self.settings.path)

    @property
    def offset_seconds(self) -> int:
        """Seconds by which the clock of the events is ahead of UTC."""
        return 60 * self.settings.utc_offset_minutes

    @contextlib.contextmanager
    def errors_explained(self) -> Iterator[None]:
        """Raise the error of the stream where the disk refuses."""
        try:
            yield
        except OSError as error:
            folder, problem = self.settings.path, f"cannot be written: {error.strerror}"
            raise StreamError(folder, problem, "make room there, or check its rights") from error

    def updated(self) -> tuple[HourFiles, int]:
        """Compute the hours that are open; return all, and the time of the newest event.

        Raises:
            NoAnswersError: There are no events, and no access log.
            StreamError: The log cannot be read, or the hours are damaged.
        """
        hours = open_hours(self.settings)
        beside = generations_beside(self.store)
        with (
            DayFiles(self.events) as events,
            ServedLists(self.store, self.offset_seconds, beside) as served,
        ):
            newest = update(hours, events, served, self.settings)
        if not newest:
            remedy = "start `python -m stream collect`, or set access_log in [online]"
            raise NoAnswersError(self.events, "has no events", remedy)
        return hours, newest

    def had_answers(self) -> bool:
        """Return whether there has ever been an answer, as the hours that are kept say.

        Raises:
            StreamError: The hours are damaged.
        """
        return open_hours(self.settings).has_any()
