"""The dialect of delimited text: separator, quotes, blanks; found from its first lines.

    1,102,4.0        "1";"102";"4.0"       1::102::4.0       1 | 102 | 4.0       1  102  4
    1,104,2.5        "1";"104";"2.5"       1::104::2.5       1 | 104 | 2.5       1  104  2

The separator is the one that splits the most lines into the same number of fields. A blank
separates only where nothing else does: times and titles hold blanks.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BLANK: Final = " "
_SEPARATORS: Final = ("::", "\t", ";", "|", ",")  # of equally good ones the first counts
_QUOTING: Final = (",", ";", "|")  # a quote in other text, such as 5" disk, begins no field
_MIN_SHARE: Final = 0.1  # of the lines must have another separator, or blanks separate
MAX_RECORD_LINES: Final = 200  # of a field in quotes that holds line ends
_MAX_LINES: Final = 128  # that are looked at
_NAMES: Final = {
    ",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", "::": "double-colon", BLANK: "blank",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    r"""How lines are split into fields.

    Attributes:
        separator: `,`, `;`, `|`, a tab, `::`, or a blank, which stands for any number of them.
        n_columns: Number of fields of most lines.
        is_quoted: Whether a field may stand in quotes, with separators and line ends in it.
        has_blanks: Whether blanks stand around separators, and belong to no field.
    """

    separator: str
    n_columns: int
    is_quoted: bool = False
    has_blanks: bool = False

    @property
    def name(self) -> str:
        """Name in messages, `comma-separated table`."""
        return f"{_NAMES[self.separator]}-separated table"

    def fields(self, line: str) -> list[str]:
        """Return the fields of a record, which is a line, or several where a field holds ends."""
        fields = _split(line, self.separator, is_quoted=self.is_quoted)
        return [field.strip() for field in fields] if self.has_blanks else fields

    def records(self, lines: Sequence[str]) -> list[str]:
        """Return lines, those of a field in quotes joined."""
        return _records(lines) if self.is_quoted else [*lines]

    def n_matches(self, lines: Sequence[str]) -> int:
        """Return the number of lines with `n_columns` fields, or in a record that has as many."""
        records = self.records(lines)
        return sum(_n_lines(one) for one in records if len(self.fields(one)) == self.n_columns)


def find_dialect(lines: Sequence[str]) -> Dialect | None:
    """Return the dialect of a table of two or more columns, None if it is none.

    Args:
        lines: First lines of a text, without their line ends.
    """
    lines = [line for line in lines if line.strip()][:_MAX_LINES]
    found = [_dialect(separator, lines) for separator in _SEPARATORS]
    best = max(found, key=lambda one: one[1])
    if best[1] < max(_MIN_SHARE * len(lines), 1):
        best = _dialect(BLANK, lines)
    return best[0] if best[1] else None


def _dialect(separator: str, lines: Sequence[str]) -> tuple[Dialect, int]:
    """Return the dialect of a separator, and how many lines have its number of fields."""
    is_quoted = separator in _QUOTING or (
        separator != "::" and any(line.lstrip().startswith('"') for line in lines)
    )
    records = _records(lines) if is_quoted else lines
    split = [(_split(one, separator, is_quoted=is_quoted), _n_lines(one)) for one in records]
    counts: Counter[int] = Counter()
    for fields, n in split:
        counts[len(fields)] += n * (len(fields) > 1)
    n_columns, n_lines = max(counts.items(), key=lambda one: one[::-1], default=(0, 0))
    n_blank = sum(
        n
        for fields, n in split
        if len(fields) == n_columns and any(field != field.strip() for field in fields)
    )
    has_blanks = separator != BLANK and n_blank * 2 > n_lines
    return Dialect(separator, n_columns, is_quoted, has_blanks), n_lines


def _records(lines: Sequence[str]) -> list[str]:
    """Return lines, those of a field in quotes joined; a quote that none closes is a stray one."""
    if not any('"' in line for line in lines):
        return [*lines]
    joined: list[str] = []
    number = 0
    while number < len(lines):
        record = lines[number]
        number += 1
        if record.count('"') % 2:
            behind = lines[number : number + MAX_RECORD_LINES - 1]
            n_more = next((n for n, line in enumerate(behind, 1) if line.count('"') % 2), 0)
            record = "\n".join([record, *behind[:n_more]])
            number += n_more
        joined.append(record)
    return joined


def _n_lines(record: str) -> int:
    return record.count("\n") + 1


def _split(line: str, separator: str, *, is_quoted: bool) -> list[str]:
    if separator == BLANK:
        line = BLANK.join(line.split())
    if not is_quoted or '"' not in line:
        return line.split(separator)
    reader = csv.reader(line.splitlines(keepends=True), delimiter=separator, skipinitialspace=True)
    return next(reader, [""])
