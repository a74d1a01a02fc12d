"""The buffer of one partition: lines that no flush has taken yet, parsed in large blocks.

    position   100 ──── first          200 ──── next
               ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▒▒▒▒▒▒▒▒
               parsed           waiting until there is a block of them

Lines before `next` were read already and are dropped; a jump beyond it is a hole that
compaction or a transaction left in Kafka's log.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

import numpy as np
import pyarrow as pa

from batch.arrays import Flags, Rows
from batch.events.lines import split_lines
from batch.events.parsed import Parsed, Rejected
from stream.collect.ledger_state import Span
from stream.collect.lines import Lines, PartitionKey

# With half of it a line takes 1.2 times as long to parse; twice as much takes 330 MiB in all.
BLOCK_BYTES: Final = 1 << 23

Parser = Callable[[pa.BinaryArray], Parsed]


class PartitionBuffer:
    """Lines of one partition since the last flush.

    Args:
        key: Log and partition.
        next_position: Position after the last flush; None if there was none.
        parse: Parser of a block of lines.

    Attributes:
        parsed: Parsed blocks.
        rejected: Quarantined lines, with their positions as numbers.
        n_messages: Number of messages since the last flush.
        n_bytes: Size of everything that is held.
        oldest_at: Time of the first message, or of the last that was read together with it,
            seconds since 1970; 0 without one.
        newest_at: Time of the newest message, seconds since 1970.
    """

    def __init__(self, key: PartitionKey, next_position: int | None, parse: Parser) -> None:
        self.key = key
        self.parsed: list[Parsed] = []
        self.rejected: list[Rejected] = []
        self.n_messages = 0
        self.n_bytes = 0
        self.oldest_at = self.newest_at = 0.0
        self._first = self._next = next_position
        self._parse = parse
        self._waiting: list[Lines] = []
        self._n_waiting_bytes = 0

    def add(self, lines: Lines) -> None:
        """Add lines; those that were read already are dropped."""
        if self._next is None:
            self._first = self._next = lines.first
        if lines.first < self._next:
            lines = _from(lines, self._next)
        if not lines.n_messages:
            return
        self._next = lines.next
        self.n_messages += lines.n_messages
        self.oldest_at = self.oldest_at or lines.newest_at
        self.newest_at = lines.newest_at or self.newest_at
        if lines.refused.reasons:
            self.rejected.append(lines.refused)
        self._waiting.append(lines)
        self._n_waiting_bytes += len(lines.data)
        self.n_bytes += len(lines.data)
        if self._n_waiting_bytes >= BLOCK_BYTES:
            self.parse()

    def parse(self) -> None:
        """Parse the lines that wait."""
        waiting, self._waiting = self._waiting, []
        data = b"".join([lines.data for lines in waiting])
        self.n_bytes -= self._n_waiting_bytes
        self._n_waiting_bytes = 0
        if not data:
            return
        positions = np.concatenate([lines.positions for lines in waiting])
        block = split_lines(data)
        parsed = self._parse(block)
        self.parsed.append(parsed)
        self.n_bytes += sum(table.nbytes for table in _tables(parsed))
        if len(parsed.rejected):
            texts = block.take(pa.array(parsed.rejected))
            self.n_bytes += texts.nbytes
            numbers = positions[parsed.rejected]
            self.rejected.append(Rejected(parsed.reasons, numbers, [texts]))

    @property
    def span(self) -> Span | None:
        """Range of the positions that are held; None without any."""
        if not self.n_messages:
            return None
        assert self._first is not None
        assert self._next is not None
        return Span(*self.key, self._first, self._next - 1, self.n_messages)

    @property
    def next_position(self) -> int | None:
        """Position after the last line; None if nothing was ever read."""
        return self._next

    @property
    def reasons(self) -> Counter[str]:
        """Number of quarantined lines by reason."""
        return Counter(reason for rejected in self.rejected for reason in rejected.reasons)


def _tables(parsed: Parsed) -> tuple[pa.Table, ...]:
    return parsed.views, parsed.ratings, parsed.accounts, parsed.answers


def _from(lines: Lines, begin: int) -> Lines:
    """Return the lines from a position on."""
    is_new = lines.positions >= begin
    refused = lines.refused
    is_refused = refused.numbers >= begin
    reasons = [reason for reason, new in zip(refused.reasons, is_refused, strict=True) if new]
    texts = [column.filter(pa.array(is_refused)) for column in refused.columns]
    kept = split_lines(lines.data).filter(pa.array(is_new)) if len(is_new) else []
    return lines._replace(
        first=begin,
        next=max(begin, lines.next),
        data=b"".join(line.as_py() for line in kept),
        positions=_only(lines.positions, is_new),
        refused=Rejected(reasons, _only(refused.numbers, is_refused), texts),
    )


def _only(rows: Rows, chosen: Flags) -> Rows:
    found: Rows = rows[chosen]
    return found
