"""The fresh lists of the users who are served one generation.

    new files, segments first ─► events of its users ─► evidence ─► merged ─► lists ─► fresh.mdb

Without an experiment these are all users. In one, each arm's generation has its own users,
its own model, and its own new files: those that its snapshot has not read.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from batch.errors import BatchError
from batch.events.day_files import DayFile, read_rows
from batch.events.positions import Positions
from store.fresh import FreshWriter
from stream.fresh.metrics import FreshMetrics
from stream.fresh.model import FreshModel, MergedUsers
from stream.fresh.new_events import new_evidence, own_rows
from stream.fresh.new_files import NewFiles, is_segment
from stream.fresh.settings import FreshSettings

_CLOCK_SKEW_SECONDS: Final = 86_400  # lead that local times may have over UTC, as in the batch

Work = Iterator[None]  # a step of it for each `next`

log = logging.getLogger(__name__)


class GenerationLists:
    """Makes the lists of the users of one generation.

    Args:
        model: Model of the generation.
        events: Directory of the day partitions.
        settings: Settings of the speed layer.
        writer: Writer of the fresh lists.
        metrics: Figures of the speed layer.
    """

    def __init__(
        self,
        model: FreshModel,
        events: Path,
        settings: FreshSettings,
        writer: FreshWriter,
        metrics: FreshMetrics,
    ) -> None:
        self._model = model
        self._events = events
        self._settings = settings
        self._writer = writer
        self._metrics = metrics
        self._hidden: frozenset[int] = frozenset()
        self._is_own: Callable[[bytes], bool] | None = None
        self.read_all()

    def read_all(self) -> None:
        """Read all files that the snapshot has not read, once more."""
        self._files = NewFiles(self._events, self._model.snapshot.manifest.inputs)
        self._segments: list[Work] = []
        self._days: list[Work] = []

    def assign(self, is_own: Callable[[bytes], bool] | None) -> None:
        """Make the lists of these users from now on; None: of all."""
        self._is_own = is_own
        self.read_all()

    def hide(self, item_ids: Sequence[str]) -> None:
        """Leave items out of the lists that are made from now on."""
        rows = (self._model.rules.row_of.get(name.encode()) for name in item_ids)
        self._hidden = frozenset(row for row in rows if row is not None)

    def make_again(self, user_ids: Sequence[bytes]) -> None:
        """Make the lists of those of these users who are its own again, from their histories."""
        own = [*filter(self._is_own, user_ids)] if self._is_own else user_ids
        pairs = zip(own, self._writer.histories(own), strict=True)
        known = [(user_id, history) for user_id, history in pairs if history]
        self._write(MergedUsers([key for key, _ in known], [value for _, value in known]))

    def step(self) -> bool:
        """Make the lists of one batch of users, and return whether there may be more to do."""
        for path in self._files.look():
            works = self._segments if is_segment(path) else self._days
            works.append(self._read(path))
        for works in (self._segments, self._days):
            while works:
                with contextlib.suppress(StopIteration):
                    next(works[0])
                    return True
                del works[0]
        return False

    def _read(self, path: Path) -> Work:
        """Merge the events of one file."""
        file = DayFile.of(path)
        assert file is not None
        not_after = int(time.time()) + _CLOCK_SKEW_SECONDS
        model, files = self._model, self._files
        try:
            written_at = path.stat().st_mtime
            if not is_segment(path) and files.is_read_in_parts(path):
                return
            arrived_at = Positions.of_file(path).arrived_at
            for table in read_rows(file.kind, path):
                for new in new_evidence(
                    file.kind.name, own_rows(table, self._is_own), model.items,
                    self._settings.batch_users, not_after,
                ):  # fmt: skip
                    fresh = self._writer.histories(new.user_ids)
                    seen = model.histories(new.user_ids)
                    old = [one or other for one, other in zip(fresh, seen, strict=True)]
                    self._write(model.merge(new.user_ids, old, new.evidence))
                    yield
            files.mark_read(path)
            self._metrics.read(
                is_segment=is_segment(path), written_at=written_at, arrived_at=arrived_at
            )
        except FileNotFoundError:  # merged into the day's file, which is read as well
            return
        except BatchError as error:
            if path.exists():
                log.error("left out: %s", error)  # noqa: TRY400

    def _write(self, merged: MergedUsers) -> None:
        if merged.user_ids:
            lists = self._model.lists(merged, self._hidden)
            self._writer.put(zip(merged.user_ids, lists, merged.histories, strict=True))
            self._metrics.wrote(len(lists), self._writer.n_lists)
