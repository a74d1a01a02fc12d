"""The share of broken lines in the last 24 hours, by the records of the collector's ledger."""

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from batch.events.fold import DAY_SECONDS
from batch.events.quarantine import quarantine_files
from stream.collect.folder import CollectorFolder
from stream.collect.ledger import read_flushes

_MAX_BYTES: Final = 16 << 20  # of quarantined lines whose reasons are counted


class RejectedLines(NamedTuple):
    """Broken lines of the 24 hours before the last flush.

    Attributes:
        n_rejected: Number of broken lines.
        n_lines: Number of lines.
        reasons: Number of broken lines by reason, of the newest lines in the quarantine.
    """

    n_rejected: int
    n_lines: int
    reasons: Counter[str]


def rejected_lines(events: Path, quarantine: Path) -> RejectedLines | None:
    """Return the broken lines of the last 24 hours; None without a ledger.

    Raises:
        LedgerError: The ledger is damaged.
    """
    try:
        flushes = list(read_flushes(CollectorFolder(events).ledger))
    except FileNotFoundError:
        return None
    last_at = flushes[-1].at if flushes else 0.0
    recent = [flush for flush in flushes if flush.at > last_at - DAY_SECONDS]
    n_rejected = sum(flush.quarantined for flush in recent)
    n_lines = n_rejected + sum(flush.accepted for flush in recent)
    return RejectedLines(n_rejected, n_lines, _reasons(quarantine, last_at - DAY_SECONDS))


def _reasons(quarantine: Path, since: float) -> Counter[str]:
    counts: Counter[str] = Counter()
    n_left = _MAX_BYTES
    for path in reversed(quarantine_files(quarantine)):
        status = path.stat()
        if n_left <= 0 or status.st_mtime < since:
            break
        with path.open("rb") as file:
            file.seek(max(status.st_size - n_left, 0))
            lines = file.read(n_left).split(b"\n")
        n_left -= status.st_size
        counts.update(line.partition(b"\t")[0].decode(errors="replace") for line in lines if line)
    return counts
