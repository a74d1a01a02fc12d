"""Verdicts: what the scenario's grader makes of an answer, and how it writes that down.

The body is split at commas and every id looked up; the first that is unknown
fails the whole answer. Blanks, line ends and quotes belong to the id beside
them, so any format but the right one fails by itself.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from benchmarks.simulator.live.requests.messages import LIMIT_MS, REFUSED, TIMED_OUT, Address, Came
from benchmarks.simulator.world.truth import LIST_LENGTH

OK: Final = 200
WRONG_STATUS: Final = "status"
EMPTY: Final = "empty"
UNKNOWN: Final = "unknown id"
TOO_LONG: Final = "too long"
NOT_REFUSED: Final = "malformed id not refused"

_WRONG_BODY: Final = 400
_SHOWN: Final = 120  # characters of an id that is none
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


class Verdict(NamedTuple):
    """What became of a request.

    Attributes:
        failure: Its kind, as `unknown id`; empty where the answer is good.
        status: As the stream's line has it.
        result: The text in the line; empty where the list itself stands there.
        rows: The items of a good answer, best first.
    """

    failure: str
    status: int
    result: str
    rows: list[int]


def judge(came: Came, catalogue: Mapping[bytes, int], host: Address) -> Verdict:
    """Judge what came of a well-formed request.

    Args:
        came: Its answer or its failure.
        catalogue: Item rows by id.
        host: Of the server, for the texts.
    """
    if came.error == TIMED_OUT:
        what = f"Request timeout to {host} after {LIMIT_MS:.0f} ms"
        return Verdict(TIMED_OUT, 0, f"java.util.concurrent.TimeoutException: {what}", [])
    if came.error == REFUSED:
        return Verdict(REFUSED, 0, f"java.net.ConnectException: Connection refused: {host}", [])
    if came.error:
        kind, _, what = came.error.partition(": ")
        return Verdict(kind, 0, f"java.io.IOException: {_printable(what)}", [])
    if came.status != OK:
        what = f"Unexpected response status: {came.status}"
        return Verdict(f"{WRONG_STATUS} {came.status}", came.status, what, [])
    return _judge_body(came.body, catalogue)


def is_well_refused(came: Came) -> bool:
    """Tell whether a malformed request got what it should: a status from 400 to 499."""
    return not came.error and OK * 2 <= came.status < OK * 2 + 100


def _judge_body(body: bytes, catalogue: Mapping[bytes, int]) -> Verdict:
    if not body:
        return Verdict(EMPTY, _WRONG_BODY, "invalid recommendation format (empty)", [])
    ids = body.split(b",")
    rows = [catalogue.get(name, -1) for name in ids]
    if -1 in rows:
        name = _printable(ids[rows.index(-1)].decode("latin-1"))
        return Verdict(UNKNOWN, _WRONG_BODY, f"movie {name} not found", [])
    if len(ids) > LIST_LENGTH:
        what = f"invalid recommendation format ({len(ids)} ids)"
        return Verdict(TOO_LONG, _WRONG_BODY, what, [])
    return Verdict("", OK, "", rows)


def _printable(text: str) -> str:
    """Return a text that keeps its line one line."""
    return _UNPRINTABLE.sub("?", text)[:_SHOWN]
