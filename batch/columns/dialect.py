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
        """Return the fields of a line without line ends in its fields."""
        fields = _split(line, self.separator, is_quoted=self.is_quoted)
        return [field.strip() for field in fields] if self.has_blanks else fields

    def n_matches(self, lines: Sequence[str]) -> int:
        """Return the number of lines with `n_columns` fields."""
        return sum(len(self.fields(line)) == self.n_columns for line in lines)


def find_dialect(lines: Sequence[str]) -> Dialect | None:
    """Return the dialect of a table of two or more columns, None if it is none.

    Args:
        lines: First lines of a text, without their line ends.
    """
    lines = [line for line in lines if line.strip()]
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
    split = [_split(line, separator, is_quoted=is_quoted) for line in lines]
    counts = Counter(len(fields) for fields in split if len(fields) > 1)
    n_columns, n_lines = max(counts.items(), key=lambda one: one[::-1], default=(0, 0))
    n_blank = sum(
        any(field != field.strip() for field in fields)
        for fields in split
        if len(fields) == n_columns
    )
    has_blanks = separator != BLANK and n_blank * 2 > n_lines
    return Dialect(separator, n_columns, is_quoted, has_blanks), n_lines


def _split(line: str, separator: str, *, is_quoted: bool) -> list[str]:
    if separator == BLANK:
        line = BLANK.join(line.split())
    if not is_quoted or '"' not in line:
        return line.split(separator)
    reader = csv.reader([line], delimiter=separator, skipinitialspace=True)
    return next(reader, [""])
