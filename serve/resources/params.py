"""The parameters of a request: its query and its JSON body, validated."""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

import falcon

from store.ids import ITEM_ID_RULE, USER_ID_RULE, is_item_id, is_user_id
from store.layout import LIST_LENGTH

MAX_BODY_BYTES = 16 * 1024  # nginx has the same limit
_MAX_ID_NUMBER = (1 << 63) - 1  # beyond it clients round differently
_MAX_DIGITS = 9  # of a number in a query: Python refuses to parse thousands of them
_MAX_PARAMETERS = 16  # of a query; its length alone would allow thousands
_MAX_HISTORY_IDS = 100
_MAX_HISTORY_CHARACTERS = 8192  # a request line of nginx is not longer; a bare server has no limit


class Query(NamedTuple):
    """The query of a list.

    Attributes:
        n: Number of items, 1 to 20.
        as_json: Whether the answer is JSON with titles instead of one line of ids.
        history: Different ids of watched items, the latest first, at most 100.
        n_ignored: Number of different ids of the history behind those.
    """

    n: int
    as_json: bool
    history: tuple[bytes, ...]
    n_ignored: int = 0

    @classmethod
    def of(cls, req: falcon.Request) -> Self:
        """Parse the query; unknown parameters and malformed items of a history are ignored.

        The first 16 parameters count.

        Raises:
            falcon.HTTPBadRequest: A value is malformed.
        """
        parameters = _parameters(req.query_string)
        form = parameters.get("format", "text")
        if form not in ("json", "text"):
            raise bad("malformed format", f"format must be json or text, not {form!r}")
        n = _n_items(parameters.get("n", str(LIST_LENGTH)))
        history, n_ignored = _history(parameters.get("history", ""))
        return cls(n, form == "json", history, n_ignored)


def _parameters(query: str) -> dict[str, str]:
    """Return the parameters; a `+` stays a `+`: item ids contain it, and never a blank."""
    parts = query.split("&", _MAX_PARAMETERS)[:_MAX_PARAMETERS]
    pairs = (part.partition("=") for part in parts if part)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def _history(text: str) -> tuple[tuple[bytes, ...], int]:
    """Return the first 100 different ids, and the number of those behind them."""
    names = iter(dict.fromkeys(text[:_MAX_HISTORY_CHARACTERS].split(",")))
    ids = islice(filter(is_item_id, names), _MAX_HISTORY_IDS)
    return tuple(name.encode() for name in ids), sum(1 for _ in names)


def _n_items(text: str) -> int:
    is_short = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    if not (is_short and 1 <= int(text) <= LIST_LENGTH):
        raise bad("malformed n", f"n must be a number from 1 to {LIST_LENGTH}")
    return int(text)


def json_body(req: falcon.Request) -> Mapping[str, Any]:
    """Return the JSON object in the body.

    Raises:
        falcon.HTTPBadRequest: The body is not a JSON object.
        falcon.HTTPContentTooLarge: The body is longer than `MAX_BODY_BYTES`.
    """
    length = req.content_length or 0
    if length > MAX_BODY_BYTES:
        raise falcon.HTTPContentTooLarge(
            title="body too large", description=f"send at most {MAX_BODY_BYTES} bytes"
        )
    try:
        body = json.loads(req.bounded_stream.read(length) or b"{}")
    except (ValueError, RecursionError):
        raise bad("malformed body", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise bad("malformed body", "the body is not a JSON object")
    return {field: whole(value) for field, value in body.items()}


def whole(value: Any) -> Any:
    """Return 5 for 5.0, which is the same number in JSON."""
    return int(value) if type(value) is float and value.is_integer() else value


def user_id_of(body: Mapping[str, Any]) -> str:
    """Return `user_id`, which may be a number."""
    return _id_of(body, "user_id", is_user_id, USER_ID_RULE)


def item_id_of(body: Mapping[str, Any], field: str) -> str:
    """Return an item id, which may be a number."""
    return _id_of(body, field, is_item_id, ITEM_ID_RULE)


def n_items_of(body: Mapping[str, Any], field: str) -> int:
    """Return the requested number of items."""
    n = body.get(field, LIST_LENGTH)
    if type(n) is not int or not 1 <= n <= LIST_LENGTH:
        raise bad(f"malformed {field}", f"{field} must be a number from 1 to {LIST_LENGTH}")
    return n


def bad(title: str, description: str) -> falcon.HTTPBadRequest:
    """Return a 400 that names the malformed part and its correct form."""
    return falcon.HTTPBadRequest(title=title, description=description)


def _id_of(body: Mapping[str, Any], field: str, is_id: Any, rule: str) -> str:
    value = body.get(field)
    is_number = type(value) is int and 0 <= value <= _MAX_ID_NUMBER
    text = str(value) if is_number or type(value) is str else ""
    if not is_id(text):
        raise bad(f"malformed {field}", rule)
    return text
