"""What is shown of a file: one reading by the refresh's own reader, or why there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

N_ROWS: Final = 5  # that are shown


@dataclass(frozen=True, slots=True)
class Reading:
    """A file as one kind of input.

    Attributes:
        use: Kind of input: `events`, `catalogue` or `profiles`.
        kind: Form that the file was recognized as.
        columns: Column of each role that is read.
        rows: First rows as they are read, the values by name.
        counts: Counts of lines, ids and values.
        ranges: Smallest and largest value, by name; times as ISO 8601 in UTC.
        rejected: Number of rejected lines by reason.
        rejected_share: Share of the lines that are rejected.
        notes: Sentences about what the file was read as.
        warnings: Sentences about what may be wrong.
    """

    use: str
    kind: str
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    rejected_share: float = 0.0
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()


class Look(NamedTuple):
    """A look at a path as one kind of input.

    Attributes:
        readings: Readings by the name of the file.
        not_read: Reason why each other member of an archive is not read, by its name.
    """

    readings: Mapping[str, Reading]
    not_read: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FileView:
    """A file, or a member of an archive, and what it can be read as.

    Attributes:
        file: Name of the file.
        form: Packing, encoding and line ends, those that are not usual.
        readings: Readings of the file; empty if it is not read.
        problems: Reason why it is not read as each other kind of input, by that kind.
        head: First lines of a file that is not read.
    """

    file: str
    form: str = ""
    readings: Sequence[Reading] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    head: Sequence[str] = ()
