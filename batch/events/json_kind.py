"""The kind of JSON: lines with an object each, or records in one array or object.

{"user_id": "1", "item_id": "102"}      lines, if one of the first is a record of its own
[{"user_id": "1", …}, …]                records at a depth that `record_depth` finds
{"1": {"user_id": "1", …}, …}
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from batch.columns.names import ITEM, USER
from batch.columns.roles import roles_by_name
from batch.errors import InputError, UnreadKindError
from batch.events.json_lines import OBJECT_LINE, JsonReader, parse_object
from batch.events.json_records import MIN_RECORD_BYTES, head_records, read_records, record_depth
from batch.events.kinds import EventKind, TextReader
from batch.events.lines import read_blocks
from batch.events.nested import plan_flat
from batch.events.rows import RowsParser, rows_parser
from batch.files.input_file import InputFile
from batch.settings import BatchSettings

_OBJECT_LINE: Final = re.compile(OBJECT_LINE)
_OPENING: Final = re.compile(r"\s*(?:\[\s*(?:[\[{\]]|$)|\{\s*(?:[\"'}]|$))")
_EXAMPLE: Final = '{"user_id": "1", "item_id": "102", "rating": 4}'
_MAX_LINES: Final = 100  # parsed to find a record


def json_events(settings: BatchSettings) -> EventKind:
    """Return the kind of JSON, in lines or not."""
    return EventKind("JSON", _EXAMPLE, _n_json_lines, partial(_open, settings=settings))


def _n_json_lines(lines: Sequence[str]) -> int:
    """Return how many of a file's first lines are objects; all, if it begins as other JSON does."""
    first = next((line for line in lines if line.strip()), "")
    n_objects = sum(bool(_OBJECT_LINE.match(line)) for line in lines)
    is_json = _OPENING.match(first) and (first.lstrip().startswith("[") or not n_objects)
    return len(lines) if is_json else n_objects


def _open(file: InputFile, lines: Sequence[str], *, settings: BatchSettings) -> TextReader:
    """Return the reader of a file of JSON.

    Raises:
        UnreadKindError: It has no object with a user and an item.
    """
    text = "\n".join(lines)
    is_record = partial(_is_record, given=settings.columns)
    is_array = text.lstrip().startswith("[")
    objects = [] if is_array else _objects(lines)
    if any(map(is_record, objects)):
        parser = rows_parser(file, JsonReader, lines, settings)
        return _reader("JSON lines", parser)
    depth = record_depth(text, is_record)
    if depth:
        parser = rows_parser(file, JsonReader, head_records(text, depth), settings)
        blocks = partial(read_records, depth=depth)
        return _reader("JSON records", parser)._replace(blocks=blocks)
    if not (is_array or objects) and len(lines) == 1:
        first = next(read_blocks(file)).lines[0].as_py().decode("utf-8", "replace")
        if len(first) > len(lines[0]):  # a line that is longer than the head
            return _open(file, [first], settings=settings)
    for some in (map(json.dumps, objects), *(head_records(text, depth) for depth in (2, 1, 3))):
        for record in some:
            plan_flat(file, _schema(record), settings.columns)  # its error names the keys
    raise UnreadKindError(file, "is JSON without records", f"give objects like {_EXAMPLE}")


def _reader(kind: str, parser: RowsParser) -> TextReader:
    return TextReader(kind, parser, MIN_RECORD_BYTES, notes=parser.notes, columns=parser.columns)


def _objects(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Return the objects among the first lines."""
    found = (parse_object(line.encode()) for line in lines)
    return list(islice((one for one in found if one is not None), _MAX_LINES))


def _is_record(found: dict[str, Any], given: Mapping[str, str]) -> bool:
    """Return whether an object has a user or an item itself, and the other itself or in a list."""
    if not {USER, ITEM} & roles_by_name([*found]).keys() and not {*given.values()} & found.keys():
        return False
    try:
        plan_flat("record", _schema(json.dumps(found, default=repr)), given)
    except InputError:
        return False
    return True


def _schema(record: str) -> pa.Schema:
    return JsonReader()(pa.array([record.encode()])).table.schema
