"""Remarks about one file of records: what may have been misread, a sentence each."""

from collections.abc import Iterator, Mapping, Sequence

from batch.records.fields import text
from batch.records.forms import Form, shortened
from batch.records.kinds import R, RecordKind
from batch.records.naming import ID
from batch.records.rows import Row


def remarks(
    form: Form, kind: RecordKind[R], head: Sequence[Row], records: Mapping[str, R]
) -> Iterator[str]:
    """Yield a sentence for whatever may have been misread in a file.

    Args:
        form: Form of the file.
        kind: Kind of the records.
        head: First rows of the file.
        records: Records of the file.
    """
    columns, shape = form.columns, form.shape
    if columns.rivals:
        others = " or ".join(columns.rivals)
        yield f"{columns.id_column} is read as the id, although {others} could be it, too"
    if shape and shape.n_uneven:
        n_lines, n_fields = shape.n_uneven, len(shape.columns)
        yield f"{n_lines:,} lines do not have {n_fields} fields: only their ids are used"
    for field, column in columns.of_field.items():
        shown = next((row[column] for row in head if text(row.get(column)) is not None), None)
        if field == ID or shown is None:
            continue
        attribute = kind.attributes.get(field, field)
        found = (getattr(record, attribute) for record in records.values())
        if all(value is None or value == () for value in found):
            yield f"no value of {column} can be read as {attribute}, such as {shortened(shown)}"
