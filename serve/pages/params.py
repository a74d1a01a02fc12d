"""Checked parameters of the pages' requests."""

from collections.abc import Callable
from typing import Final

import falcon

from serve.resources.params import bad

_MAX_DIGITS: Final = 18


def text_of(req: falcon.Request, name: str, is_valid: Callable[[str], bool], rule: str) -> str:
    """Return a text; 400 with the rule where it is not valid."""
    value: str = req.get_param(name, default="")
    if not is_valid(value):
        raise bad(f"malformed {name}", rule)
    return value


def generation_of(req: falcon.Request, name: str, default: int | None = None) -> int:
    """Return the number of a generation; 400 for another text, or for none without a default."""
    text: str = req.get_param(name, default="") or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise bad(f"malformed {name}", f"{name} must be the number of a generation")
    return int(text)
