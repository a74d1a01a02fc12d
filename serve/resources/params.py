"""What a request asks for: its query and its JSON body, checked."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

import falcon

from store.ids import ITEM_ID_RULE, USER_ID_RULE, is_item_id, is_user_id
from store.layout import LIST_LENGTH

_NO_NUMBER = 1 << 63  # beyond it clients round differently
_MOST_DIGITS = 9  # of a number in a query: Python refuses to read thousands of them
MAX_BODY_BYTES = 16 * 1024  # of a request; the front lets no more through


class Query(NamedTuple):
    """The query of a list.

    Attributes:
        n: Items wanted, 1 to 20.
        as_json: Titles too, instead of one line of ids.
        history: Item ids that the user has watched, the latest first.
    """

    n: int
    as_json: bool
    history: tuple[bytes, ...]

    @classmethod
    def of(cls, req: falcon.Request) -> Self:
        """Read the query; what it does not know is left alone.

        Raises:
            falcon.HTTPBadRequest: A value that cannot be meant.
        """
        given = _parameters(req.query_string)
        form = given.get("format", "text")
        if form not in ("json", "text"):
            raise bad("malformed format", f"format is json or text, not {form!r}")
        history = filter(is_item_id, given.get("history", "").split(","))
        n = _n_items(given.get("n", str(LIST_LENGTH)))
        return cls(n, form == "json", tuple(name.encode() for name in history))


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters; a `+` stays one, for item ids hold it and never a blank."""
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def _n_items(text: str) -> int:
    is_short = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    if not (is_short and 1 <= int(text) <= LIST_LENGTH):
        raise bad("malformed n", f"n is a number from 1 to {LIST_LENGTH}")
    return int(text)


def json_body(req: falcon.Request) -> Mapping[str, Any]:
    """Return the JSON object in the body.

    Raises:
        falcon.HTTPBadRequest: There is none.
        falcon.HTTPContentTooLarge: It is longer than `MAX_BODY_BYTES`.
    """
    length = req.content_length or 0
    if length > MAX_BODY_BYTES:
        raise falcon.HTTPContentTooLarge(
            title="body too large", description=f"at most {MAX_BODY_BYTES} bytes are read"
        )
    try:
        body = json.loads(req.bounded_stream.read(length) or b"{}", parse_float=_number)
    except (ValueError, RecursionError):
        raise bad("malformed body", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise bad("malformed body", "the body is not a JSON object")
    return body


def _number(text: str) -> float:
    """Return what a JSON number with a point means: 5.0 is a whole one."""
    number = float(text)
    return int(number) if number.is_integer() else number


def user_id_of(body: Mapping[str, Any]) -> str:
    """Return `user_id`, which may be a number."""
    return _id_of(body, "user_id", is_user_id, USER_ID_RULE)


def item_id_of(body: Mapping[str, Any], field: str) -> str:
    """Return an item id, which may be a number."""
    return _id_of(body, field, is_item_id, ITEM_ID_RULE)


def n_items_of(body: Mapping[str, Any], field: str) -> int:
    """Return how many items are wanted."""
    n = body.get(field, LIST_LENGTH)
    if type(n) is not int or not 1 <= n <= LIST_LENGTH:
        raise bad(f"malformed {field}", f"{field} is a number from 1 to {LIST_LENGTH}")
    return n


def bad(title: str, description: str) -> falcon.HTTPBadRequest:
    """Return a 400 that says what is wrong and what would be right."""
    return falcon.HTTPBadRequest(title=title, description=description)


def _id_of(body: Mapping[str, Any], field: str, is_id: Any, rule: str) -> str:
    value = body.get(field)
    is_number = type(value) is int and 0 <= value < _NO_NUMBER
    text = str(value) if is_number or type(value) is str else ""
    if not is_id(text):
        raise bad(f"malformed {field}", rule)
    return text
