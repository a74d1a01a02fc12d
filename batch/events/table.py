"""A table of events: columns with roles, of any type, become views and ratings.

    user  item  rating  time         ratings                a 0 on a scale of 10: a view
    user  item  minutes [time]       views                  the furthest minute
    user  item  count | percentage | flag                   views of a share of the item
    user  item  [time]               views                  watched to the end

Delimited text, JSON, Parquet and databases are read by this one parser. What the columns
mean is decided once a source, from its first rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Rows
from batch.columns.ids import IdForm, IdReader, id_form
from batch.columns.names import FIRST_TIME, ITEM, LAST_TIME, TIME, TIMES, USER, VALUES
from batch.columns.numbers import Meaning, NumberOptions, NumberReader, number_reader
from batch.columns.roles import ColumnChoice
from batch.columns.times import TimeReader, time_reader
from batch.columns.values import Fault
from batch.events.parsed import RATINGS, Parsed, part_watched, to_table, view_table
from batch.settings import BatchSettings
from store.ids import ITEM_ID_PATTERN, USER_ID_PATTERN

Table = Mapping[str, pa.Array]  # columns by role

_PATTERNS: Final = {USER: USER_ID_PATTERN, ITEM: ITEM_ID_PATTERN}


@dataclass(frozen=True, slots=True)
class TableParser:
    """Parses tables whose columns have roles.

    Attributes:
        ids: Readers of users and items.
        number: Reader of ratings, minutes, counts, flags or percentages; None without.
        number_role: Role of that column; empty without.
        times: Readers of times by role.
        notes: Sentences about what the columns were read as.
    """

    ids: Mapping[str, IdReader]
    number: NumberReader | None
    number_role: str
    times: Mapping[str, TimeReader]
    notes: tuple[str, ...]

    def __call__(self, table: Table) -> Parsed:
        """Return the events of some rows, and which rows are rejected.

        Args:
            table: Columns by role, (n_rows,) each, as text, bytes, numbers, times or
                dictionaries of these; columns without a reader are ignored.
        """
        columns: dict[str, pa.Array] = {}
        faults: list[Fault] = []
        for role, reader in self._readers().items():
            columns[role], found = reader(table[role])
            faults += found
        n_rows = len(table[USER])
        rejected, reasons = _rejected(n_rows, faults)
        largest = self._largest_off_scale(columns, faults)
        if len(rejected):
            is_sound = np.ones(n_rows, dtype=bool)
            is_sound[rejected] = False
            mask = pa.array(is_sound)
            columns = {role: column.filter(mask) for role, column in columns.items()}
        views, ratings = self._events(columns)
        return Parsed(
            views=views, ratings=ratings, rejected=rejected, reasons=reasons,
            largest_off_scale=largest,
        )  # fmt: skip

    def _readers(self) -> dict[str, IdReader | NumberReader | TimeReader]:
        numbers = {self.number_role: self.number} if self.number else {}
        return {**self.ids, **numbers, **self.times}

    def _largest_off_scale(self, columns: Table, faults: list[Fault]) -> float | None:
        number = self.number
        if number is None or number.meaning is not Meaning.RATING:
            return None
        rows = [fault.rows for fault in faults if fault.reason == number.off_scale]
        if not rows:
            return None
        return float(columns[self.number_role].filter(pa.array(rows[0])).to_numpy().max())

    def _events(self, columns: Table) -> tuple[pa.Table, pa.Table]:
        ids = columns[USER], columns[ITEM]
        unknown = pa.nulls(len(ids[0]), pa.int64())
        at = columns.get(TIME, unknown)
        times = columns.get(FIRST_TIME, at), columns.get(LAST_TIME, at)
        if self.number is None:
            return view_table(*ids, None, *times), RATINGS.empty_table()
        values = columns[self.number_role]
        if self.number.meaning is Meaning.RATING:
            rated = pc.greater(values, 0)
            ratings = to_table((*ids, values, pc.fill_null(at, 0)), RATINGS)
            views = view_table(*ids, None, *times)
            if pc.all(rated, min_count=0).as_py():
                return views[:0], ratings
            return views.filter(pc.invert(rated)), ratings.filter(rated)
        is_minutes = self.number.meaning is Meaning.MINUTES
        minute = values if is_minutes else part_watched(values)
        return view_table(*ids, minute, *times), RATINGS.empty_table()


def table_parser(choice: ColumnChoice, first: Table, settings: BatchSettings) -> TableParser:
    """Return the parser of a table, by the names and the first rows of its columns.

    Args:
        choice: Columns that are read, and their names.
        first: First rows of these columns, by role; all rows of a small table.
        settings: Settings of the batch: scale of ratings, weight of counts.
    """
    forms = {role: id_form(_plain(first[role])) for role in (USER, ITEM)}
    notes = [
        f"{choice.names[role]} read as whole numbers: 7.0 is the id 7"
        for role, form in forms.items()
        if form is IdForm.FLOAT
    ]
    number_role = next((role for role in VALUES if role in choice.columns), "")
    number = None
    if number_role:
        options = NumberOptions(settings.max_rating, settings.zero_rating, settings.count_half)
        name = choice.names[number_role]
        number = number_reader(number_role, name, first[number_role], options)
        notes.append(number.sentence)
    times = {}
    for role in TIMES:
        if role not in choice.columns:
            continue
        name = choice.names[role]
        if reader := time_reader(name, first[role]):
            times[role] = reader
            notes.append(reader.sentence)
        else:
            example = next(iter(_plain(first[role]).drop_null().cast(pa.string()).to_pylist()), "")
            notes.append(f"warning: no times: {name} cannot be read as times, such as {example!r}")
    notes += [f"{name} is not read, beside {choice.names[number_role]}" for name in choice.unused]
    ids = {role: IdReader(role, _PATTERNS[role], form) for role, form in forms.items()}
    return TableParser(ids, number, number_role, times, tuple(notes))


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _rejected(n_rows: int, faults: list[Fault]) -> tuple[Rows, list[str]]:
    """Return the rejected rows, ascending, and the first reason of each."""
    is_open = np.ones(n_rows, dtype=bool)
    reasons = np.full(n_rows, "", dtype=object) if faults else np.zeros(0, dtype=object)
    for reason, rows in faults:
        reasons[rows & is_open] = reason
        is_open &= ~rows
    rejected = np.flatnonzero(~is_open)
    return rejected, reasons[rejected].tolist()
