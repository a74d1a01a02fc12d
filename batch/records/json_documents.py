"""Objects of a JSON document: an array, an object that holds one, or one object for each id.

    [{"id": "a", "title": "Heat"}, …]                    ─┐
    {"page": 1, "results": [{"id": "a", …}, …]}           ├─►  {"id": "a", "title": "Heat"}, …
    {"a": {"title": "Heat"}, "b": {"title": "Ran"}, …}   ─┘

The text is parsed an object at a time, so that memory does not grow with the document.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from batch.errors import InputError

KEY: Final = "\0key"  # key of a row: the one under which its object stands in the document

_MAX_CHARACTERS: Final = 1 << 24  # of one value
_READ_CHARACTERS: Final = 1 << 16
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
_CLOSED: Final = (dict, list, str)  # values with a last character of their own

_decode: Final = json.JSONDecoder().raw_decode


def document_objects(
    file: object, lines: Iterable[str], is_field: Callable[[str], bool]
) -> Iterator[dict[str, object]]:
    """Yield the objects of a document, an empty one in place of what is not a record.

    Args:
        file: File, for messages.
        lines: Text of the file, in pieces of any size.
        is_field: Function that decides whether a key is the name of a field.

    Raises:
        InputError: The text is not JSON, ends too early, or is one object of fields; also
            during reading.
    """
    text = _Text(file, lines)
    first = text.next()
    if first == "[":
        yield from _array(text)
    elif first == "{":
        yield from _object(text, is_field)
    else:
        raise text.error("begins with neither a bracket nor a brace")
    if text.next():
        raise text.error("goes on behind its last bracket")


def _array(text: "_Text") -> Iterator[dict[str, object]]:
    text.take("[")
    if text.next() == "]":
        text.take("]")
        return
    while True:
        found = text.value()
        yield found if isinstance(found, dict) else {}
        if text.take(",]") == "]":
            return


def _object(text: "_Text", is_field: Callable[[str], bool]) -> Iterator[dict[str, object]]:
    """Yield the objects of each value that is an object or an array; skip plain values."""
    text.take("{")
    if text.next() == "}":
        text.take("}")
        return
    while True:
        key = text.value()
        text.take(":")
        if isinstance(key, str) and is_field(key) and text.next() in ("[", "{"):
            raise text.error(f"has the values of {key!r} together, and no records")
        if text.next() == "[":
            yield from _array(text)
        else:
            found = text.value()
            if isinstance(found, dict):
                yield {**found, KEY: key} if any(map(is_field, found)) else {}
        if text.take(",}") == "}":
            return


class _Text:
    """A text that is read as far as it is needed.

    Args:
        file: File, for messages.
        pieces: The text in pieces of any size.
    """

    def __init__(self, file: object, pieces: Iterable[str]) -> None:
        self._file = file
        self._pieces = iter(pieces)
        self._text = ""
        self._at = 0
        self._n_before = 0  # characters in front of the text

    def next(self) -> str:
        """Return the next character that is not blank, without taking it; "" at the end."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._text) or not self._read_more():
                return self._text[self._at : self._at + 1]

    def take(self, characters: str) -> str:
        """Take the next character that is not blank, which must be one of these."""
        found = self.next()
        if not found or found not in characters:
            raise self.error("ends too early" if not found else f"has {found!r} where it may not")
        self._at += 1
        return found

    def value(self) -> object:
        """Take the next value."""
        self.next()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except RecursionError:
                raise self.error("is nested too deep") from None
            except ValueError:
                if not self._read_more():
                    raise self.error("has a value that is broken or not whole") from None
            else:
                # the digits of a number may go on in the next piece
                if end < len(self._text) or isinstance(value, _CLOSED) or not self._read_more():
                    self._at = end
                    return value

    def _read_more(self) -> bool:
        """Add at least as much to the text as is left of it; return whether there was any."""
        left = self._text[self._at :]
        if len(left) > _MAX_CHARACTERS:
            raise self.error(f"has a value of more than {_MAX_CHARACTERS:,} characters")
        pieces, n_characters = [left], 0
        while n_characters < max(_READ_CHARACTERS, len(left)):
            piece = next(self._pieces, "")
            if not piece:
                break
            pieces.append(piece)
            n_characters += len(piece)
        self._n_before += self._at
        self._text, self._at = "".join(pieces), 0
        return n_characters > 0

    def error(self, problem: str) -> InputError:
        """Return the error of a text that is broken at this place."""
        at = self._n_before + self._at
        remedy = "write it again, or as one JSON object a line"
        return InputError(
            self._file, f"is not sound JSON: it {problem} at character {at:,}", remedy
        )
