"""Grading: answers are checked by the rules of the scenario's grader, and described in its words.

The body is split at commas and every id is looked up; the first unknown id
fails the whole answer. Blanks, line ends and quotes are part of the id next to
them, so an answer in any other format fails without further rules.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from benchmarks.simulator.live.requests.messages import (
    LIMIT_MS,
    REFUSED,
    TIMED_OUT,
    Address,
    Response,
)
from benchmarks.simulator.world.truth import LIST_LENGTH

OK: Final = 200
WRONG_STATUS: Final = "status"
EMPTY: Final = "empty"
UNKNOWN: Final = "unknown id"
TOO_LONG: Final = "too long"
NOT_REFUSED: Final = "malformed id not refused"

_INVALID_BODY_STATUS: Final = 400
_MAX_SHOWN_CHARACTERS: Final = 120  # of an unknown id
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class Grade(NamedTuple):
    """Grade of an answer.

    Attributes:
        failure: Kind of failure, such as `unknown id`; empty for a good answer.
        status: Status in the line of the event log.
        result: Text in that line; empty where the line contains the list itself.
        rows: Item rows of a good answer, best first.
    """

    failure: str
    status: int
    result: str
    rows: list[int]


def grade_answer(response: Response, catalogue: Mapping[bytes, int], host: Address) -> Grade:
    """Return the grade of the response to a well-formed request.

    Args:
        response: Response or failure.
        catalogue: Item rows by id.
        host: Address of the server, for the texts.
    """
    if response.error == TIMED_OUT:
        what = f"Request timeout to {host} after {LIMIT_MS:.0f} ms"
        return Grade(TIMED_OUT, 0, f"java.util.concurrent.TimeoutException: {what}", [])
    if response.error == REFUSED:
        return Grade(REFUSED, 0, f"java.net.ConnectException: Connection refused: {host}", [])
    if response.error:
        kind, _, what = response.error.partition(": ")
        return Grade(kind, 0, f"java.io.IOException: {_printable(what)}", [])
    if response.status != OK:
        what = f"Unexpected response status: {response.status}"
        return Grade(f"{WRONG_STATUS} {response.status}", response.status, what, [])
    return _grade_body(response.body, catalogue)


def is_correctly_refused(response: Response) -> bool:
    """Return whether a malformed request was refused with a status from 400 to 499."""
    return not response.error and OK * 2 <= response.status < OK * 2 + 100


def _grade_body(body: bytes, catalogue: Mapping[bytes, int]) -> Grade:
    if not body:
        return Grade(EMPTY, _INVALID_BODY_STATUS, "invalid recommendation format (empty)", [])
    ids = body.split(b",")
    rows = [catalogue.get(name, -1) for name in ids]
    if -1 in rows:
        name = _printable(ids[rows.index(-1)].decode("latin-1"))
        return Grade(UNKNOWN, _INVALID_BODY_STATUS, f"movie {name} not found", [])
    if len(ids) > LIST_LENGTH:
        what = f"invalid recommendation format ({len(ids)} ids)"
        return Grade(TOO_LONG, _INVALID_BODY_STATUS, what, [])
    return Grade("", OK, "", rows)


def _printable(text: str) -> str:
    """Return the text with line ends and other unprintable characters replaced by `?`."""
    return _UNPRINTABLE.sub("?", text)[:_MAX_SHOWN_CHARACTERS]
