"""Posted events, JSON lines, as lines of the event stream, which the collector parses.

    {"type": "view", "user_id": 42, "item_id": "alien+1979", "minute": 16, "at": "2026-…"}
    {"type": "rating", "user_id": "42", "item_id": "alien+1979", "rating": 4}
    {"type": "account", "user_id": "42"}
                     │
                     ▼
    2026-11-14T12:23:12,42,GET /data/m/alien+1979/16.mpg

Here is checked what a line needs to be one line of the stream. Which ids, times and ratings are
valid is decided by the collector's parser alone: what it rejects goes to the quarantine.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import falcon

from serve.resources.params import item_id_of, user_id_of, whole

Event = Mapping[str, Any]

_MAX_NUMBER: Final = 99_999  # of minutes and ratings
_MAX_SECONDS: Final = 4_102_444_800  # 2100: larger numbers are milliseconds
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)
_TIME_RULE: Final = "at must be a time such as 2026-11-14T12:23:12, or seconds since 1970"


class EventFault(NamedTuple):
    """A line that was not accepted.

    Attributes:
        line: Number of the line, from 1.
        why: What is wrong.
    """

    line: int
    why: str


class _RepeatedKeyError(ValueError):
    """An object has a key twice."""


class StreamLines(NamedTuple):
    """Lines of the event stream.

    Attributes:
        lines: Lines, each with its LF.
        faults: Lines of the body that could not be translated.
    """

    lines: list[str]
    faults: list[EventFault]


def stream_lines(body: bytes, now: datetime) -> StreamLines:
    """Return the events of a body; blank lines are left out.

    Args:
        body: JSON lines, one event each.
        now: Time of events without one.
    """
    lines, faults = [], []
    for number, line in enumerate(body.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            lines.append(_stream_line(line, now))
        except ValueError as error:
            faults.append(EventFault(number, str(error)))
        except falcon.HTTPBadRequest as error:
            faults.append(EventFault(number, str(error.description)))
    return StreamLines(lines, faults)


def _stream_line(line: bytes, now: datetime) -> str:
    event = _event(line)
    kind = event.get("type")
    form = _FORMS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise ValueError(f"type must be one of {', '.join(_FORMS)}")
    if unknown := event.keys() - form.keys - {"type", "user_id", "at"}:
        raise ValueError(f"{ascii(min(unknown))[:80]} is not a key of a {kind}")
    return f"{_time(event, now)},{user_id_of(event)},GET {form.write(event)}\n"


def _event(line: bytes) -> Event:
    try:
        found = json.loads(line.decode("utf-8"), object_pairs_hook=_without_repeats)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except _RepeatedKeyError:
        raise
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - a fault of the line, not of the code
    return {key: whole(value) for key, value in found.items()}


def _without_repeats(pairs: list[tuple[str, Any]]) -> Event:
    event = dict(pairs)
    if len(event) < len(pairs):
        raise _RepeatedKeyError("has a key twice")
    return event


def _time(event: Event, now: datetime) -> str:
    """Return the time as the stream has it: no zone, whole seconds."""
    try:
        at = _datetime(event["at"]) if "at" in event else now
        at = at.astimezone(UTC) if at.tzinfo else at
    except (ValueError, OverflowError):
        raise ValueError(_TIME_RULE) from None
    return at.replace(tzinfo=None).isoformat(timespec="seconds")


def _datetime(at: Any) -> datetime:
    if isinstance(at, int | float) and not isinstance(at, bool) and 0 <= at < _MAX_SECONDS:
        return datetime.fromtimestamp(at, UTC)
    if isinstance(at, str) and _TIME.fullmatch(at):
        return datetime.fromisoformat(at.upper())
    raise ValueError(at)


def _view(event: Event) -> str:
    return f"/data/m/{item_id_of(event, 'item_id')}/{_number(event, 'minute')}.mpg"


def _rating(event: Event) -> str:
    return f"/rate/{item_id_of(event, 'item_id')}={_number(event, 'rating')}"


def _account(_: Event) -> str:
    return "/create_account"


def _number(event: Event, key: str) -> int:
    value = event.get(key)
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise ValueError(f"{key} must be a whole number from 0 to {_MAX_NUMBER}")
    return value


class _Form(NamedTuple):
    """The form of one type of event.

    Attributes:
        keys: Keys of its own.
        write: Function that returns the request in its line of the stream.
    """

    keys: frozenset[str]
    write: Callable[[Event], str]


_FORMS: Final[Mapping[str, _Form]] = {
    "view": _Form(frozenset({"item_id", "minute"}), _view),
    "rating": _Form(frozenset({"item_id", "rating"}), _rating),
    "account": _Form(frozenset(), _account),
}
