"""Upkeep in the background: folding segments, removing old days, summing up the ledger."""

import logging
import threading
from typing import Self

from batch.errors import BatchError
from stream.collect.folder import CollectorFolder
from stream.collect.folding import fold_days
from stream.collect.ledger import Ledger
from stream.collect.metrics import CollectorMetrics
from stream.collect.retention import remove_old_days
from stream.errors import StreamError
from stream.settings import StreamSettings

_PAUSE_SECONDS = 5.0

log = logging.getLogger(__name__)


class Upkeep:
    """A thread that folds and removes from time to time. A context manager.

    Args:
        folder: Paths of the collector.
        ledger: Ledger, open for writing.
        settings: Settings of the stream.
        metrics: Figures of the collector.
    """

    def __init__(
        self,
        folder: CollectorFolder,
        ledger: Ledger,
        settings: StreamSettings,
        metrics: CollectorMetrics,
    ) -> None:
        self._folder = folder
        self._ledger = ledger
        self._settings = settings
        self._metrics = metrics
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def once(self) -> None:
        """Fold, remove and compact what is due; errors are logged, and it is tried again later."""
        try:
            self._metrics.folded(fold_days(self._folder, self._ledger, self._settings))
            for old in remove_old_days(self._folder, self._ledger, self._settings):
                log.info("events of %s removed: %s", old.day, old.why)
            self._ledger.compact()
        except (BatchError, StreamError, OSError) as error:
            log.error("upkeep failed, will retry: %s", error)  # noqa: TRY400

    def _run(self) -> None:
        while not self._ended.wait(_PAUSE_SECONDS):
            self.once()
