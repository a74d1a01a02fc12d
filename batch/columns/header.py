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
from batch.columns.names import ITEM, ROLES, USER
from batch.columns.roles import (
    ColumnChoice,
    choose_columns,
    given_columns,
    is_header,
    roles_by_name,
    shown_names,
)
from batch.errors import InputError


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
        InputError: The header has no column of users or of items, has a name too few or too
            many, or the columns of a table without a header cannot be guessed.
    """
    n_blank = next(n for n, line in enumerate(lines) if line.strip())
    first = dialect.fields(lines[n_blank])
    split = [dialect.fields(line) for line in lines[n_blank:] if line.strip()]
    rows = tuple(tuple(one) for one in split if len(one) == dialect.n_columns)
    known = {USER, ITEM} & roles_by_name(first).keys()
    if is_header(first) and len(first) != dialect.n_columns and known:
        problem = f"its header names {len(first)} columns, its lines have {dialect.n_columns}"
        raise InputError(source, problem, "write the header like the lines")
    if not is_header(first) or len(first) != dialect.n_columns:
        return _without_header(source, rows, given)
    is_known = bool(roles_by_name(first)) or any(column in first for column in given.values())
    if not is_known and dialect.n_columns == 2:
        head = _without_header(source, rows, given)
        note = f"the first line is read as data, not as a header: {', '.join(first)}"
        return Head(None, 0, head.choice, rows, (note, *head.notes))
    return Head(tuple(first), n_blank + 1, choose_columns(source, first, given), rows[1:])


def _without_header(
    source: object, rows: tuple[tuple[str, ...], ...], given: Mapping[str, str]
) -> Head:
    numbers = [str(number) for number in range(1, len(rows[0]) + 1)]
    chosen = given_columns(source, numbers, given)
    if USER in chosen and ITEM in chosen:
        ordered = {role: chosen[role] for role in ROLES if role in chosen}
        names = {role: f"column {column + 1}" for role, column in ordered.items()}
        return Head(None, 0, ColumnChoice(ordered, names), rows)
    guess = guess_columns(rows)
    if guess is None:
        problem = (
            f"has no header, and its {len(numbers)} columns cannot be told apart: "
            f"it begins with {shown_names(rows[0])}"
        )
        remedy = "name them by number, such as --columns user=1,item=2,rating=3,time=4"
        raise InputError(source, problem, remedy)
    columns = {r: c for r, c in guess.columns.items() if c not in chosen.values()} | chosen
    ordered = {role: columns[role] for role in ROLES if role in columns}
    names = {role: f"column {column + 1}" for role, column in ordered.items()}
    roles = ", ".join(f"{role}={column + 1}" for role, column in ordered.items())
    notes = [f"no header: read as {roles}, a guess that --columns overrides"]
    if guess.is_exchanged and not chosen:
        notes.append(
            "warning: users and items look exchanged; if they are, give --columns user=2,item=1"
        )
    return Head(None, 0, ColumnChoice(ordered, names), rows, tuple(notes))
