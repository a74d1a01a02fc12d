"""Ingest: stream logs in, day partitions out, which a refresh reads in place of the logs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from batch.errors import InputError
from batch.events.kinds import stream_log
from batch.events.partitions import partitions
from batch.events.quarantine import Quarantine
from batch.events.read import event_files, read_file
from batch.files import is_parquet
from batch.settings import BatchSettings
from batch.stages import Stages


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest did.

    Attributes:
        n_lines: Lines read, rejected ones included.
        rejected: Rejected ones by reason.
        quarantine: Where they lie, None if there are none.
        rows: Of each kind, in the days that the logs touched.
        seconds: Of each stage.
        peak_mib: The most memory up to the end of each stage.
    """

    n_lines: int
    rejected: dict[str, int]
    quarantine: Path | None
    rows: dict[str, int]
    seconds: dict[str, float]
    peak_mib: dict[str, float]


def ingest(settings: BatchSettings, out: Path) -> Ingested:
    """Bring the events of stream logs into the day partitions of `out`.

    The same lines again, in whatever order and files, leave the same partitions.

    Raises:
        BatchError: A log is missing, broken or none, or `out` cannot be written;
            its partitions are as they were.
    """
    files = event_files([Path(path) for path in settings.events])
    if not files:
        raise InputError("events", "none given", "name logs with --events, or in [batch] events")
    stages, known = Stages(), [stream_log(settings.user_pattern, settings.item_pattern)]
    name = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%S.%fZ")
    quarantined = Quarantine(Path(settings.quarantine), name, settings.quarantine_keep)
    n_lines = 0
    with quarantined as quarantine, partitions(out) as target:
        with stages("events", unit="line") as advance:
            for file in files:
                if is_parquet(file):
                    raise InputError(file, "is Parquet", "a refresh reads it as it is")
                share = settings.max_rejected_share
                source = read_file(file, known, quarantine, share, target.take, advance)
                n_lines += source.n_lines
        with stages("partitions"):
            rows = target.commit()
    return Ingested(
        n_lines=n_lines,
        rejected=dict(quarantine.counts.most_common()),
        quarantine=quarantine.path if quarantine.counts else None,
        rows=rows,
        seconds=stages.seconds,
        peak_mib=stages.peak_mib,
    )
