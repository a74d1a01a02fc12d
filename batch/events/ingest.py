"""Ingest: writes the events of stream logs to an event store, which a refresh reads instead.

logs ─► parse, validate, quarantine ─┬─► day partitions of Parquet
                                     └─► tables of a database
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from batch.errors import InputError
from batch.events.kinds import stream_log
from batch.events.parsed import Parsed
from batch.events.partitions import DEFAULT_PARTITION_SIZES, PartitionSizes, open_partitions
from batch.events.quarantine import Quarantine
from batch.events.read import DEFAULT_READ_SIZES, PARQUET, EventReader, ReadSizes, event_files
from batch.settings import BatchSettings
from batch.sql.source import DatabaseInput
from batch.stages import Stages


class EventTarget(Protocol):
    """An event store that is open for writing."""

    def add(self, parsed: Parsed) -> None:
        """Add the events of one piece of a log."""

    def commit(self) -> dict[str, int]:
        """Write the events for good, and return the number of rows by type of event."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Counts and times of an ingest.

    Attributes:
        n_lines: Number of lines read, rejected ones included.
        rejected: Number of rejected lines by reason.
        quarantine: File of the rejected lines, None without any.
        not_read: Reason why each other member of an archive was not read, by its name.
        rows: Number of rows by type of event: in the days that the logs touched, or merged
            into the tables; `expired` ones were deleted from these.
        seconds: Duration of each stage.
        peak_mib: Peak memory of the process during each stage.
    """

    n_lines: int
    rejected: dict[str, int]
    quarantine: Path | None
    not_read: dict[str, str]
    rows: dict[str, int]
    seconds: dict[str, float]
    peak_mib: dict[str, float]


def ingest(
    settings: BatchSettings,
    out: Path,
    read_sizes: ReadSizes = DEFAULT_READ_SIZES,
    partition_sizes: PartitionSizes = DEFAULT_PARTITION_SIZES,
) -> IngestResult:
    """Merge the events of stream logs into the day partitions of `out`.

    The same lines give the same partitions, in any order and any files, once or repeatedly.

    Args:
        settings: Settings of the batch: logs, patterns of ids, quarantine.
        out: Directory of the partitions.
        read_sizes: How much is read at a time.
        partition_sizes: How much is merged at a time.

    Raises:
        BatchError: A log is missing, broken or of another kind, or `out` cannot be
            written; its partitions are unchanged.
    """
    return ingest_into(settings, open_partitions(out, partition_sizes), read_sizes)


def ingest_into(
    settings: BatchSettings,
    opening: AbstractContextManager[EventTarget],
    read_sizes: ReadSizes = DEFAULT_READ_SIZES,
) -> IngestResult:
    """Write the events of stream logs to an event store; see `ingest`.

    Args:
        settings: Settings of the batch: logs, patterns of ids, quarantine.
        opening: Context in which the event store is open.
        read_sizes: How much is read at a time.

    Raises:
        BatchError: A log is missing, broken or of another kind, or the store cannot be
            written; it is unchanged.
    """
    files = event_files(settings)
    stages, kinds = Stages(), [stream_log(settings.user_pattern, settings.item_pattern)]
    n_lines = 0
    with (
        Quarantine.of_run(settings, datetime.now(UTC)) as quarantine,
        opening as target,
    ):
        with stages("events", unit="line") as advance:
            reader = EventReader(kinds, quarantine, settings, advance, read_sizes)
            for path in files:
                if isinstance(path, DatabaseInput):
                    raise InputError(path, "is a database", "give it to a refresh, which reads it")
            opened, not_read = reader.open_all(files)
            for file in opened:
                if file.kind == PARQUET:
                    problem = "is Parquet"
                    raise InputError(file.file, problem, "give it to a refresh, which reads it")
                n_lines += reader.read(file, file.pieces, target.add).n_lines
        with stages("merge"):
            rows = target.commit()
    return IngestResult(
        n_lines=n_lines,
        rejected=dict(quarantine.counts.most_common()),
        quarantine=quarantine.path if quarantine.counts else None,
        not_read=not_read,
        rows=rows,
        seconds=stages.seconds,
        peak_mib=stages.peak_mib,
    )
