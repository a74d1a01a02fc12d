r"""Lines of one partition of a log, as a source hands them over.

positions   100      101      102         103
messages    a line   a line   tombstone   a line
data        a line\n a line\n             a line\n     joined, parsed in bulk
refused                       102: no value             no line: quarantined as it is
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Rows
from batch.events.parsed import Rejected
from batch.events.quarantine import MAX_TEXT_BYTES

PartitionKey = tuple[str, str]  # name of the log, and of its partition

NO_VALUE: Final = "message without a value"
LINE_BREAK: Final = "line break inside the message"
TOO_LONG: Final = "line is too long"
NONE_REFUSED: Final = Rejected([], np.zeros(0, np.int64), [pa.array([], pa.binary())])


class Lines(NamedTuple):
    """Consecutive messages of one partition, or lines of one file.

    Attributes:
        key: Log and partition.
        first: Position of the first.
        next: Position after the last.
        data: Lines, each with its LF.
        positions: (n_lines,) position of each line.
        refused: Messages that are not lines.
        newest_at: Time of the last message, seconds since 1970; 0 where unknown.
    """

    key: PartitionKey
    first: int
    next: int
    data: bytes
    positions: Rows
    refused: Rejected = NONE_REFUSED
    newest_at: float = 0.0

    @property
    def n_messages(self) -> int:
        """Number of lines and of refused messages."""
        return len(self.positions) + len(self.refused.reasons)


def lines_of_messages(
    key: PartitionKey, values: Sequence[bytes | None], offsets: Rows, max_bytes: int
) -> Lines:
    """Return messages as lines; those that are not one line are refused.

    Args:
        key: Log and partition.
        values: Values of the messages, None for tombstones.
        offsets: (n_messages,) their offsets, ascending; at least one.
        max_bytes: Length of the longest line.
    """
    ends = int(offsets[0]), int(offsets[-1]) + 1
    texts = [value for value in values if value is not None]
    data = b"\n".join([*texts, b""])
    if data.count(b"\n") == len(values) and (
        len(data) <= max_bytes or max(map(len, texts)) <= max_bytes
    ):
        return Lines(key, *ends, data, offsets)
    return _sorted_out(key, values, offsets, max_bytes)


def _sorted_out(
    key: PartitionKey, values: Sequence[bytes | None], offsets: Rows, max_bytes: int
) -> Lines:
    lines: list[bytes] = []
    reasons: list[str] = []
    texts: list[bytes] = []
    is_line = np.zeros(len(values), bool)
    for number, value in enumerate(values):
        line = (value or b"").removesuffix(b"\n")
        if value is None:
            reason = NO_VALUE
        elif len(line) > max_bytes:
            reason = TOO_LONG
        elif b"\n" in line:
            reason = LINE_BREAK
        else:
            is_line[number] = True
            lines.append(line + b"\n")
            continue
        reasons.append(reason)
        texts.append(line[: MAX_TEXT_BYTES + 1].replace(b"\n", b" "))
    refused = Rejected(reasons, offsets[~is_line], [pa.array(texts, pa.binary())])
    ends = int(offsets[0]), int(offsets[-1]) + 1
    return Lines(key, *ends, b"".join(lines), offsets[is_line], refused)
