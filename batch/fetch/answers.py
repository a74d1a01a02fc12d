"""Answers of an API: the body of a response, matched with the ids that were asked for.

/movie/a,b,c  ─►  [{"id": "a", …}, {"message": "movie b not found"}, {"id": "x"}]
a: its object     b: unknown     c: no usable answer
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

FOUND: Final = 200
UNKNOWN: Final = 404


class ApiAnswer(NamedTuple):
    """Answer of an API about one id.

    Attributes:
        id: Id of a user or an item.
        status: HTTP status: 200; 404 if the API has no such id; another one if it refuses the id.
        doc: JSON text of the id's object, on one line; empty unless the status is 200.
    """

    id: str
    status: int
    doc: str


class MalformedError(ValueError):
    """The body of a response does not have the form of answers; the text says why."""


def parse_answers(body: bytes, ids: Sequence[str], id_field: str) -> list[ApiAnswer]:
    """Return the answers of a response; ids without a usable one are left out.

    Args:
        body: Body of the response, JSON: an object for one id, an array for several. An array
            has an entry for each id, or only objects of ids, and the other ids are unknown.
        ids: Ids of the request.
        id_field: Field with the id of an object.

    Raises:
        MalformedError: The body has another form, or no usable answer to several ids.
    """
    parsed = _parsed(body)
    entries = parsed if isinstance(parsed, list) else [parsed]
    wanted = set(ids)
    found = {
        name: entry
        for entry in entries
        if isinstance(entry, dict) and (name := _id_text(entry.get(id_field))) in wanted
    }
    if len(entries) != len(ids) and not 0 < len(found) == len(entries) < len(ids):
        raise MalformedError(f"the answer has {len(entries):,} entries for {len(ids):,} ids")
    is_short = len(entries) < len(ids)
    answers = []
    for position, name in enumerate(ids):
        if name in found:
            answers.append(ApiAnswer(name, FOUND, json.dumps(found[name], separators=(",", ":"))))
        elif is_short or is_message(entries[position]):
            answers.append(ApiAnswer(name, UNKNOWN, ""))
    if not answers and len(ids) > 1:
        raise MalformedError(f"no entry has an id of the request in its field {id_field}")
    return answers


def is_not_found(body: bytes) -> bool:
    """Return whether the body of status 404 is the API's own, and not that of a wrong address."""
    try:
        return is_message(_parsed(body))
    except MalformedError:
        return False


def is_message(entry: Any) -> bool:
    """Return whether an entry is the message in place of an object."""
    return isinstance(entry, Mapping) and isinstance(entry.get("message"), str)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedError("the answer is not JSON") from None


def _id_text(value: object) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_whole or isinstance(value, str) else ""
