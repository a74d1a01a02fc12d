"""What the records of a ledger say together: positions, gaps, counts, and the last intents."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from batch.events.positions import Positions, Range, merge_ranges
from stream.collect.lines import PartitionKey


@dataclass(frozen=True, slots=True)
class Span:
    """A closed range of positions of one partition that a flush took.

    Attributes:
        log: Name of the log.
        partition: Name of the partition.
        first: First position.
        last: Last position.
        messages: Number of messages or lines; Kafka's logs may have holes.
    """

    log: str
    partition: str
    first: int
    last: int
    messages: int


@dataclass(slots=True)
class LedgerState:
    """The sum of all records.

    Attributes:
        generation: Number of the last writer.
        number: Number of the last flush.
        flushed_at: Time of the last flush, seconds since 1970.
        accepted: Number of accepted lines.
        quarantined: Number of quarantined lines.
        ranges: Positions that were taken, by `LOG PARTITION`.
        next: Position to be read next, by `LOG PARTITION`.
        gaps: Lost ranges as (log, partition, first position, position after the last).
        identities: Identity of cluster and topic by log, empty where unknown.
        last_flush: Record of the last flush.
        last_removals: Paths that were removed: by the last removal, and since the last flush.
    """

    generation: int = 0
    number: int = 0
    flushed_at: float = 0.0
    accepted: int = 0
    quarantined: int = 0
    ranges: dict[str, tuple[Range, ...]] = field(default_factory=dict)
    next: dict[str, int] = field(default_factory=dict)
    gaps: list[tuple[str, str, int, int]] = field(default_factory=list)
    identities: dict[str, tuple[str, str]] = field(default_factory=dict)
    last_flush: dict[str, Any] = field(default_factory=dict)
    last_removals: list[list[str]] = field(default_factory=list)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add a record to the sum."""
        self.generation = max(self.generation, record.get("generation", 0))
        apply = getattr(self, f"_add_{record['kind']}", None)
        if apply:
            apply(record)

    def next_of(self, key: PartitionKey) -> int | None:
        """Return the position after the last one that was taken; None if none was."""
        return self.next.get(" ".join(key))

    def as_json(self) -> dict[str, Any]:
        """Return a record of kind `sum`, which `add` takes."""
        return asdict(self)

    @property
    def n_messages(self) -> int:
        """Number of messages that were taken, accepted or not."""
        return self.accepted + self.quarantined

    @property
    def positions(self) -> Positions:
        """All positions that were taken."""
        return Positions(self.ranges, self.identities)

    def _add_flush(self, record: Mapping[str, Any]) -> None:
        self.number, self.flushed_at = record["number"], record["at"]
        self.accepted += record["accepted"]
        self.quarantined += record["quarantined"]
        for span in record["spans"]:
            key = f"{span['log']} {span['partition']}"
            ranges = self.ranges.get(key, ())
            if ranges and span["first"] == ranges[-1][1] + 1:  # nearly always
                self.ranges[key] = (*ranges[:-1], (ranges[-1][0], span["last"]))
            else:
                self.ranges[key] = merge_ranges((*ranges, (span["first"], span["last"])))
            self.next[key] = span["last"] + 1
        self.last_flush = dict(record)
        self.last_removals = self.last_removals[-1:]  # it may not be complete yet

    def _add_gap(self, record: Mapping[str, Any]) -> None:
        gap = record["log"], record["partition"], record["first"], record["end"]
        self.gaps.append(gap)
        self.next[f"{gap[0]} {gap[1]}"] = gap[3]

    def _add_log(self, record: Mapping[str, Any]) -> None:
        self.identities[record["log"]] = record["cluster"], record["topic_id"]

    def _add_reset(self, record: Mapping[str, Any]) -> None:
        self.next[f"{record['log']} {record['partition']}"] = record["next"]

    def _add_removal(self, record: Mapping[str, Any]) -> None:
        self.last_removals.append(list(record["paths"]))

    def _add_sum(self, record: Mapping[str, Any]) -> None:
        for one in fields(self):
            setattr(self, one.name, record[one.name])
        self.ranges = {
            key: tuple((first, last) for first, last in ranges)
            for key, ranges in self.ranges.items()
        }
        self.gaps = [(log, partition, first, end) for log, partition, first, end in self.gaps]
        self.identities = {log: (pair[0], pair[1]) for log, pair in self.identities.items()}
