"""Posted events as a log: one partition, whose positions lie in the files of the spool.

    store/spool/1764295200000000000.log      durable in the partitions: removed
                1764295200016777216.log      grows

The server writes lines of the stream, so that a posted event is parsed as any other.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Final

from store.spool import remove_collected, spool_files
from stream.collect.file_source import FileSource, LogFile
from stream.collect.lines import Lines, PartitionKey

_KEY: Final[PartitionKey] = ("posted", "0")

log = logging.getLogger(__name__)


class SpoolSource(FileSource):
    """Follows a spool, and removes the files whose events are in the partitions.

    Its path is the directory of the spool, which need not exist yet.
    """

    def poll(self, seconds: float) -> Sequence[Lines]:
        """Return the next whole lines; remove what the ledger says is durable."""
        # Not only after a flush: a full spool gets no lines that would be flushed.
        durable = self._ledger.state.next_of(_KEY)
        try:
            remove_collected(self._path, durable or 0)
        except OSError as error:
            log.warning("%s: collected files cannot be removed: %s", self._path, error.strerror)
        return super().poll(seconds)

    def files(self) -> Iterator[LogFile]:
        """Yield the files of the spool, oldest first."""
        for file in spool_files(self._path):
            yield LogFile(file.path, _KEY, file.begin, file.end, not file.is_newest)

    def position(self, file: LogFile) -> int:
        """Return the position to be read next, which is above a file that was read."""
        return max(self.next_of(_KEY), file.begin)
