"""Positions: which part of a log the rows of a Parquet file come from.

    kafka:movielog1#1 0   [[0, 4999], [6000, 7999]]      topic, log, partition: offsets
    file:var/stream.log 8812-1f00a3c9   [[0, 81234]]     a file's identity: bytes

The ranges are closed. A file of one flush holds those of the flush, a day's file the
union of all that were folded into it, so the ledger of the collector can be rebuilt.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from batch.errors import InputError

Range = tuple[int, int]

REMEDY: Final = "remove it and ingest the logs of its day again"
_KEY: Final = b"marquee.positions"


@dataclass(frozen=True, slots=True)
class Positions:
    """Parts of logs.

    Attributes:
        ranges: Closed ranges by log and partition, ascending, apart from one another.
        identities: Identity of the cluster and of the topic by log; empty where unknown.
        arrived_at: Time when the first of the rows arrived, seconds since 1970, of one flush;
            0 where unknown.
    """

    ranges: Mapping[str, tuple[Range, ...]] = field(default_factory=dict)
    identities: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    arrived_at: float = 0.0

    @classmethod
    def union(cls, several: Iterable["Positions"]) -> Self:
        """Return all parts together."""
        ranges: dict[str, tuple[Range, ...]] = {}
        identities: dict[str, tuple[str, str]] = {}
        for positions in several:
            for partition, of_partition in positions.ranges.items():
                ranges[partition] = merge_ranges((*ranges.get(partition, ()), *of_partition))
            identities |= positions.identities
        return cls(ranges, identities)

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Return what the metadata of a Parquet file says; empty without any.

        Raises:
            InputError: The file cannot be read as Parquet.
        """
        try:
            metadata = pq.read_metadata(path).metadata or {}
            document = json.loads(metadata.get(_KEY, b"{}"))
        except (pa.ArrowException, ValueError) as error:
            problem = f"cannot be read as Parquet: {error}"
            raise InputError(path, problem, REMEDY) from error
        return cls(
            {key: _pairs(ranges) for key, ranges in document.get("ranges", {}).items()},
            {key: (pair[0], pair[1]) for key, pair in document.get("identities", {}).items()},
            document.get("arrived_at", 0.0),
        )

    def as_metadata(self) -> dict[bytes, bytes]:
        """Return key and value for the metadata of a Parquet file; none without ranges."""
        if not self.ranges:
            return {}
        document: dict[str, Any] = {"ranges": self.ranges, "identities": self.identities}
        if self.arrived_at:
            document["arrived_at"] = round(self.arrived_at, 3)
        return {_KEY: json.dumps(document, sort_keys=True, separators=(",", ":")).encode()}


def merge_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the same positions as ascending ranges that neither touch nor overlap."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return tuple(merged)


def _pairs(ranges: Iterable[Iterable[int]]) -> tuple[Range, ...]:
    return tuple((first, last) for first, last in ranges)
