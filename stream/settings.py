"""The `[stream]` section of `marquee.toml`, and the table `[stream.kafka]`."""

import math
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """The section `[stream]`: sources, partitions, how often they are written, what is kept.

    Attributes:
        topic: Kafka topic of the events; empty: none.
        kafka: Settings of librdkafka, all of which are passed through, in a table of its own,
            `[stream.kafka]`: `"bootstrap.servers" = "host:9092"`. The environment does not
            override it.
        files: Growing files of events, which may be rotated.
        events: Directory of the day partitions.
        flush_seconds: Maximum age of an event that is not on disk yet.
        flush_lines: Maximum number of lines that are not on disk yet.
        flush_mib: Maximum size in MiB of the rows that are not on disk yet.
        max_line_kib: Length in KiB of the longest line that is read; longer ones are quarantined.
        fold_segments: Number of segments of a day that are merged into the day's file.
        fold_minutes: Age in minutes from which a segment is merged in any case.
        keep_days: Age in days from which a day is removed, counted from the newest day; 0: any.
        max_bytes: Size in bytes above which the oldest days are removed; 0: any size.
        min_free_mib: Free space in MiB below which answers are not kept, and below half of it
            no text of quarantined lines either.
        metrics_host: Address of the metrics.
        metrics_port: Port of the metrics; 0: none.
    """

    topic: str = ""
    kafka: dict[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    events: str = "var/events"
    flush_seconds: float = 1.0
    flush_lines: int = 2_000_000
    flush_mib: float = 32.0
    max_line_kib: float = 1024.0
    fold_segments: int = 120
    fold_minutes: float = 10.0
    keep_days: float = 0.0
    max_bytes: int = 16 << 30
    min_free_mib: float = 1024.0
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9102

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, int | float) and (value < 0 or not math.isfinite(value)):
                raise ValueError(f"{setting.name} must be 0 or more, and finite")
        for name in ("flush_seconds", "flush_lines", "flush_mib", "max_line_kib", "fold_segments"):
            if not getattr(self, name):
                raise ValueError(f"{name} must be more than 0")
        if self.max_line_kib > 1 << 15:
            raise ValueError("max_line_kib must be at most 32768")
        if self.metrics_port > 65_535:
            raise ValueError("metrics_port must be at most 65535")
        if not self.events:
            raise ValueError("events must not be empty")
        if "" in self.files:
            raise ValueError("files must not hold an empty entry")
