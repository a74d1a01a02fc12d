"""The head of a delimited text: its header, if it has one, and what each column is.

userId,movieId,rating        a header whose names are known is believed
heat+1995,7                  two columns without a known name or number: pairs, a note
code,relevance,flag          more columns, none of a known name: refused
1,102,4.0,1600000000         no header: a guess, which is noted
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from batch.columns.dialect import BLANK, Dialect
from batch.columns.guess import guess_columns
from batch.columns.names import ITEM, ROLES, TIME, USER
from batch.columns.roles import (
    ColumnChoice,
    choose_columns,
    given_columns,
    is_header,
    is_index,
    roles_by_name,
    shown_names,
)
from batch.columns.times import look_like_times
from batch.errors import UnreadKindError


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a table.

    Attributes:
        names: Names of the columns; None without a header.
        n_lines: Number of lines before the first row.
        choice: Columns that are read.
        rows: Fields of the first rows.
        notes: Sentences about a guess; warnings among them.
    """

    names: tuple[str, ...] | None
    n_lines: int
    choice: ColumnChoice
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def looks_like_table(dialect: Dialect, lines: Sequence[str]) -> bool:
    """Return whether lines are a table, and not words between blanks."""
    if dialect.separator != BLANK:
        return True
    fields = [dialect.fields(line) for line in lines if line.strip()]
    return any(len(one) == dialect.n_columns and not is_header(one) for one in fields)


def read_head(
    source: object, lines: Sequence[str], dialect: Dialect, given: Mapping[str, str]
) -> Head:
    """Return the head of a table, by its first lines.

    Args:
        source: File, for messages.
        lines: First lines, without their line ends; at least one is not blank.
        dialect: Dialect of these.
        given: Columns that `--columns` settles, by role.

    Raises:
        UnreadKindError: The header has no column of users or of items, has a name too few or too
            many, or the columns of a table without a header cannot be guessed.
    """
    n_blank = next(n for n, line in enumerate(lines) if line.strip())
    first = dialect.fields(lines[n_blank])
    split = [dialect.fields(one) for one in dialect.records(lines[n_blank:]) if one.strip()]
    rows = tuple(tuple(one) for one in split if len(one) == dialect.n_columns)
    known = {USER, ITEM} & roles_by_name(first).keys()
    if is_header(first) and len(first) != dialect.n_columns and known:
        problem = f"its header names {len(first)} columns, its lines have {dialect.n_columns}"
        raise UnreadKindError(source, problem, "write the header like the lines")
    if not is_header(first) or len(first) != dialect.n_columns:
        return _without_header(source, rows, given)
    is_known = bool(roles_by_name(first)) or any(column in first for column in given.values())
    if not is_known and dialect.n_columns == 2:
        head = _without_header(source, rows, given)
        note = f"the first line is read as data, not as a header: {', '.join(first)}"
        return Head(None, 0, head.choice, rows, (note, *head.notes))
    choice = choose_columns(source, first, given)
    rows = tuple(row for row in rows if row != tuple(first))  # headers of concatenated files
    return Head(tuple(first), n_blank + 1, choice, rows, _unread(first, choice, rows))


def _unread(
    names: Sequence[str], choice: ColumnChoice, rows: tuple[tuple[str, ...], ...]
) -> tuple[str, ...]:
    """Return sentences about the columns that are not read: their names; times among them."""
    read = {*choice.columns.values()}
    left = [n for n, name in enumerate(names) if n not in read and not is_index(name)]
    notes = [f"not read: {shown_names([names[column] for column in left])}"] if left else []
    if TIME not in choice.columns:
        notes += [
            f'warning: "{names[column]}" looks like times, but is not read; if it is, give '
            f"--columns time={names[column]}"
            for column in left
            if look_like_times([row[column] for row in rows])
        ]
    return tuple(notes)


def _without_header(
    source: object, rows: tuple[tuple[str, ...], ...], given: Mapping[str, str]
) -> Head:
    numbers = [str(number) for number in range(1, len(rows[0]) + 1)]
    chosen = given_columns(source, numbers, given)
    guess = guess_columns(rows)
    if guess is None and not {USER, ITEM} <= chosen.keys():
        problem = (
            f"has no header, and its {len(numbers)} columns cannot be told apart: "
            f"it begins with {shown_names(rows[0])}"
        )
        remedy = "name them by number, such as --columns user=1,item=2,rating=3,time=4"
        raise UnreadKindError(source, problem, remedy)
    guessed = guess.columns if guess else {}
    columns = {
        role: column
        for role, column in guessed.items()
        if column not in chosen.values() and role not in given
    } | chosen
    ordered = {role: columns[role] for role in ROLES if role in columns}
    names = {role: f"column {column + 1}" for role, column in ordered.items()}
    notes = _guess_notes(ordered, chosen, numbers)
    if guess and guess.is_exchanged and not chosen:
        exchanged = ordered | {USER: ordered[ITEM], ITEM: ordered[USER]}
        notes.append(
            "warning: users and items look exchanged; if they are, give "
            f"--columns {_as_option(exchanged)}"
        )
    return Head(None, 0, ColumnChoice(ordered, names), rows, tuple(notes))


def _guess_notes(
    columns: Mapping[str, int], chosen: Mapping[str, int], numbers: Sequence[str]
) -> list[str]:
    notes = []
    if columns != chosen:
        what = f"no header: read as {_as_option(columns)}"
        notes.append(f"{what}, a guess that --columns overrides")
    unread = [number for number in numbers if int(number) - 1 not in columns.values()]
    if unread:
        notes.append(f"not read: column {', '.join(unread)}")
    return notes


def _as_option(columns: Mapping[str, int]) -> str:
    return ",".join(f"{role}={column + 1}" for role, column in columns.items())
