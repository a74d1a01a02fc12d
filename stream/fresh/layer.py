"""The speed layer's loop: it follows the store and the events, one batch of users at a time.

    CURRENT    another generation ─► its model; lists of the old one are removed, and all files
                                     that the new snapshot has not read are read
    TAKEDOWN   changed            ─► all lists are made again
    events     new segments first ─► evidence ─► merged ─► lists, histories ─► fresh.mdb
    fresh.mdb  damaged history    ─► removed, and all files are read again

A list and the history that it was made from are written in one transaction. So the state on
disk is whole at any moment, and after a crash the files are read again, which changes
nothing that was written.
"""

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from batch.errors import BatchError
from batch.events.day_files import DayFile, read_rows
from batch.events.positions import Positions
from batch.unavailable import Unavailable
from store.errors import NotAnItemError, StoreError
from store.fresh import FreshWriter
from store.pointer import current_or_none
from store.takedown import takedowns
from stream.fresh.metrics import FreshMetrics
from stream.fresh.model import CurrentModel, MergedUsers, open_model
from stream.fresh.new_events import new_evidence
from stream.fresh.new_files import NewFiles, is_segment
from stream.fresh.settings import FreshSettings

_CLOCK_SKEW_SECONDS: Final = 86_400  # lead that local times may have over UTC, as in the batch
_RETRY_SECONDS: Final = 5.0

Work = Iterator[None]  # a step of it for each `next`

log = logging.getLogger(__name__)


class SpeedLayer:
    """Keeps the fresh lists of one store. A context manager.

    Args:
        store: Directory of the store.
        events: Directory of the day partitions.
        settings: Settings of the speed layer.
        writer: Writer of the fresh lists.
        metrics: Figures of the speed layer.
    """

    def __init__(
        self,
        store: Path,
        events: Path,
        settings: FreshSettings,
        writer: FreshWriter,
        metrics: FreshMetrics,
    ) -> None:
        self._store = store
        self._events = events
        self._settings = settings
        self._writer = writer
        self._metrics = metrics
        self._opened = contextlib.ExitStack()
        self._generation = 0
        self._model: CurrentModel | Unavailable = Unavailable("no snapshot is served yet")
        self._files = NewFiles(events, [])
        self._hidden: frozenset[int] = frozenset()
        self._taken_down = b""
        self._segments: list[Work] = []
        self._days: list[Work] = []
        self._lacks_events = False  # of users whose history was damaged
        self._retry_at = 0.0
        self._problem = ""  # of the takedowns, in the log already

    def __enter__(self) -> "SpeedLayer":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def step(self) -> bool:
        """Follow the store and the events, and make the lists of one batch of users.

        Returns:
            Whether there is more to do at once.

        Raises:
            WriteError: The fresh lists cannot be written.
        """
        self._follow_generation()
        if isinstance(self._model, Unavailable):
            return False
        self._follow_takedowns(self._model)
        if self._writer.damaged:
            self._remove_damaged()
        for path in self._files.look():
            works = self._segments if is_segment(path) else self._days
            works.append(self._read(self._model, path))
        for works in (self._segments, self._days):
            while works:
                with contextlib.suppress(StopIteration):
                    next(works[0])
                    return True
                del works[0]
        if self._lacks_events:  # once, however many histories were damaged
            self._files, self._lacks_events = self._new_files(self._model), False
            return True
        return False

    def _follow_generation(self) -> None:
        generation = current_or_none(self._store) or 0
        if generation == self._generation or time.monotonic() < self._retry_at:
            return
        self._opened.close()
        self._model, self._generation = Unavailable("no snapshot is served yet"), 0
        self._segments, self._days, self._lacks_events = [], [], False
        if not generation:
            return
        try:
            opening = open_model(self._store, generation, self._settings.n_threads)
            self._model = self._opened.enter_context(opening)
        except (StoreError, BatchError) as error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            log.error("generation %d: no fresh lists: %s", generation, error)  # noqa: TRY400
            return
        self._generation = generation
        self._metrics.follow(generation)
        if isinstance(self._model, Unavailable):
            log.warning("generation %d: no fresh lists: %s", generation, self._model.reason)
            return
        self._files = self._new_files(self._model)
        of_generation, self._taken_down = self._writer.basis
        if of_generation != generation:
            self._taken_down = self._read_takedowns(self._model)
            self._writer.clear(generation, self._taken_down)
        else:
            self._taken_down = b""  # `_follow_takedowns` compares with what is on disk
        log.info("generation %d: fresh lists for its users", generation)

    def _remove_damaged(self) -> None:
        """Remove damaged histories; only the files of new events have what they held."""
        n_damaged = self._writer.remove_damaged()
        self._metrics.found_damaged(n_damaged)
        log.warning("%d damaged histories removed, all new events are read again", n_damaged)
        self._lacks_events = True

    def _new_files(self, model: CurrentModel) -> NewFiles:
        return NewFiles(self._events, model.snapshot.manifest.inputs)

    def _follow_takedowns(self, model: CurrentModel) -> None:
        try:
            digest = self._read_takedowns(model)
        except NotAnItemError as error:
            if str(error) != self._problem:  # logged once, not five times a second
                log.error("takedowns stay as last read: %s", error)  # noqa: TRY400
            self._problem = str(error)
            return
        self._problem = ""
        if digest == self._taken_down:
            return
        self._taken_down = digest
        if self._writer.basis[1] != digest:
            self._segments.insert(0, self._make_again(model, digest))

    def _read_takedowns(self, model: CurrentModel) -> bytes:
        """Read the takedowns, and return their digest."""
        names = sorted(takedowns(self._store))
        rows = (model.rules.row_of.get(name.encode()) for name in names)
        self._hidden = frozenset(row for row in rows if row is not None)
        return hashlib.sha256("\n".join(names).encode()).digest()

    def _make_again(self, model: CurrentModel, digest: bytes) -> Work:
        """Make all lists again."""
        for user_ids in self._writer.users(self._settings.batch_users):
            histories = self._writer.histories(user_ids)
            known = [pair for pair in zip(user_ids, histories, strict=True) if pair[1]]
            self._write(
                model, MergedUsers([key for key, _ in known], [value or b"" for _, value in known])
            )
            yield
        self._writer.depend_on(digest)

    def _read(self, model: CurrentModel, path: Path) -> Work:
        """Merge the events of one file."""
        file = DayFile.of(path)
        assert file is not None
        not_after = int(time.time()) + _CLOCK_SKEW_SECONDS
        try:
            written_at = path.stat().st_mtime
            if not is_segment(path) and self._files.is_read_in_parts(path):
                return
            arrived_at = Positions.of_file(path).arrived_at
            for table in read_rows(file.kind, path):
                for new in new_evidence(
                    file.kind.name, table, model.items, self._settings.batch_users, not_after
                ):
                    fresh = self._writer.histories(new.user_ids)
                    seen = model.histories(new.user_ids)
                    old = [one or other for one, other in zip(fresh, seen, strict=True)]
                    self._write(model, model.merge(new.user_ids, old, new.evidence))
                    yield
            self._files.mark_read(path)
            self._metrics.read(
                is_segment=is_segment(path), written_at=written_at, arrived_at=arrived_at
            )
        except FileNotFoundError:  # merged into the day's file, which is read as well
            return
        except BatchError as error:
            if path.exists():
                log.error("left out: %s", error)  # noqa: TRY400

    def _write(self, model: CurrentModel, merged: MergedUsers) -> None:
        if merged.user_ids:
            lists = model.lists(merged, self._hidden)
            self._writer.put(zip(merged.user_ids, lists, merged.histories, strict=True))
            self._metrics.wrote(len(lists), self._writer.n_lists)


def run(layer: SpeedLayer, pause: Callable[[float], bool], poll_seconds: float) -> None:
    """Follow until a stop is requested.

    Args:
        layer: The speed layer.
        pause: Function that waits some seconds and returns whether to stop.
        poll_seconds: Time between two looks.
    """
    while not pause(0 if layer.step() else poll_seconds):
        pass
