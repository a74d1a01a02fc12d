"""Records by id, from files of several forms that are recognized by their content.

    file A ─► form ─► rows ─► records ─┐
                                       ├─► one record for each id
    file B ─► form ─► rows ─► records ─┘

Files complement each other: an id exists if any file has it, and the first known value
of a field wins, in the order of the files.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, NamedTuple

import pyarrow as pa

from batch.columns.ids import IdForm, id_form, whole_text
from batch.errors import UnreadKindError
from batch.files.archives import open_readable
from batch.files.input_file import AnyFile, InputFile
from batch.records.forms import N_HEAD
from batch.records.kinds import R, RecordKind
from batch.records.naming import ID, flag_columns
from batch.records.remarks import remarks
from batch.sql.source import DatabaseInput


@dataclass(frozen=True, slots=True)
class RecordFile:
    """A file of records that was read.

    Attributes:
        path: Path of the file, or the table or query.
        kind: Name of its kind.
        n_ids: Number of distinct ids of items or users.
        n_rejected: Number of entries without a valid id.
        member: Name in the archive that it is in; empty for a file of its own.
        columns: Names of its columns.
        notes: Sentences about what it was read as.
        warnings: Sentences about what may have been misread.
        fields: Name of the column of each field that is read, the id among them.
    """

    path: Path | DatabaseInput
    kind: str
    n_ids: int
    n_rejected: int
    member: str = ""
    columns: Sequence[str] = ()
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)


class FoundRecords(NamedTuple, Generic[R]):
    """Records of all files.

    Attributes:
        records: Records by id.
        sources: Files, in the order in which they were read.
        not_read: Reason why each other member of an archive was not read, by its name.
    """

    records: dict[str, R]
    sources: tuple[RecordFile, ...]
    not_read: dict[str, str]


def read_records(paths: Iterable[AnyFile | DatabaseInput], kind: RecordKind[R]) -> FoundRecords[R]:
    """Return the records of all files.

    Args:
        paths: Files of records, plain or packed, archives of them, tables and queries.
        kind: Kind of the records.

    Raises:
        InputError: A file cannot be read, is of no known form, has other content, or has
            no entry with a valid id.
    """
    records: dict[str, R] = {}
    sources = []
    not_read: dict[str, str] = {}
    for path in paths:
        opened, left_out = _open_each(path, kind)
        not_read |= left_out
        for found, source in opened:
            sources.append(source)
            if records:
                for name, record in found.items():
                    add_record(records, name, record)
            else:
                records = found
    return FoundRecords(records, tuple(sources), not_read)


def _open_each(
    path: AnyFile | DatabaseInput, kind: RecordKind[R]
) -> tuple[list[tuple[dict[str, R], RecordFile]], dict[str, str]]:
    if isinstance(path, DatabaseInput):
        return [read_file(path, kind)], {}
    return open_readable(path, lambda file: read_file(file, kind))


def read_file(
    file: InputFile | DatabaseInput, kind: RecordKind[R]
) -> tuple[dict[str, R], RecordFile]:
    """Return the records of one file by id, and what is known of the file.

    Raises:
        InputError: As `read_records`.
    """
    form = kind.form_of(file)
    rows, columns = form.rows(), form.columns
    head = list(itertools.islice(rows, N_HEAD))
    if kind.flags and kind.flags not in columns.of_field:
        columns = replace(columns, flags=flag_columns(columns, head))
    record, id_column = kind.maker(columns), columns.of_field[ID]
    records: dict[str, R] = {}
    n_rejected = 0
    for row in itertools.chain(head, rows):
        name = _id(row.get(id_column))
        if kind.is_id(name):
            add_record(records, name, record(row))
        else:
            n_rejected += 1
    if not columns.is_json:
        records.pop(id_column, None)  # the header again, of files that were concatenated
    if not records:
        problem = f"has no entry with a usable id, read as {form.name}"
        raise UnreadKindError(file, problem, f"give lines like {kind.line} or {kind.header}")
    records, notes = _with_whole_ids(records, id_column)
    if columns.flags:
        flags = ", ".join(columns.flags.values())
        notes += (f"{len(columns.flags)} columns of 0 and 1 read as {kind.flags}: {flags}",)
    return records, RecordFile(
        file.path,
        form.name,
        len(records),
        n_rejected,
        file.member_name,
        columns.names,
        notes,
        tuple(remarks(form, kind, head, records)),
        dict(columns.of_field),
    )


def _id(value: object) -> str:
    """Return an id as text; "" if it is not one."""
    if type(value) is str:
        return value
    if type(value) is int:  # and not a flag, which is an int, too
        return str(value)
    return f"{value:.1f}" if isinstance(value, float) and value.is_integer() else ""


def _with_whole_ids(records: dict[str, R], id_column: str) -> tuple[dict[str, R], tuple[str, ...]]:
    """Return the records with ids such as `7` for `7.0`, and a sentence if there were any."""
    if "." not in "".join(records) or id_form(pa.array(records)) is not IdForm.FLOAT:
        return records, ()
    fraction = next(name for name in records if "." in name)
    renamed: dict[str, R] = {}
    for name, record in records.items():
        add_record(renamed, whole_text(name), record)
    return renamed, (f"{id_column} read as whole numbers: {fraction} is {whole_text(fraction)}",)


def add_record(records: dict[str, R], name: str, record: R) -> None:
    """Add a record; where the id has one already, fill its missing fields.

    Args:
        records: Records by id, those of earlier files; changed.
        name: Id.
        record: Record of this id.
    """
    known = records.get(name)
    records[name] = record if known is None else known.or_else(record)
