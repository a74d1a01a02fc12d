"""Checks of answers against the APIs' schemas: at most one violation of each field.

{"user_id": 42, "age": "28", "gender": null}
─►  age: type (text)     gender: null     occupation: missing
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

_TEXT: Final = "text"
_NUMBER: Final = "number"
_FLAG: Final = "true or false"
_OBJECT: Final = "object"
_OBJECTS: Final = "list of objects"
_LIST: Final = "list of other values"
_TYPES: Final = {bool: _FLAG, int: _NUMBER, float: _NUMBER, str: _TEXT, dict: _OBJECT}
_MAX_NUMBER: Final = 1e18  # so that NaN and infinity are out of range
_MAX_UNEXPECTED: Final = 100  # names of fields outside the schema; further ones count as OTHERS
_MAX_NAME: Final = 60
OTHERS: Final = "(other fields)"


class ApiField(NamedTuple):
    """What a field of an answer may hold.

    Attributes:
        types: Names of the types that it may have.
        minimum: Least number.
        maximum: Largest number.
    """

    types: tuple[str, ...]
    minimum: float = -_MAX_NUMBER
    maximum: float = _MAX_NUMBER


@dataclass(frozen=True, slots=True)
class ApiSchema:
    """Fields of the answers of an API.

    Attributes:
        id_field: Field with the id.
        fields: What each field may hold, by name.
    """

    id_field: str
    fields: Mapping[str, ApiField]

    def violations(self, doc: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Yield field, kind and, where the type is wrong, its name, of each violation.

        The kinds: `missing`, `null`, `empty` (`{}` in place of a value), `type`, `range` (a
        number outside of its limits) and `unexpected` (a field outside the schema).
        """
        for name, allowed in self.fields.items():
            if name not in doc:
                yield name, "missing", ""
            elif kind := _violation(doc[name], allowed):
                yield name, kind, _type_name(doc[name]) if kind == "type" else ""
        for name in doc.keys() - self.fields.keys():
            yield name, "unexpected", ""


@dataclass(slots=True)
class ViolationCounts:
    """Violations of a schema, counted.

    Attributes:
        schema: The schema.
        n_docs: Number of answers that were checked.
        kinds: Number of violations of each kind, by field.
        types: Number of violations by the name of the wrong type, by field.
    """

    schema: ApiSchema
    n_docs: int = 0
    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    types: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, doc: Mapping[str, Any]) -> None:
        """Check an answer and count its violations."""
        self.n_docs += 1
        for name, kind, found in self.schema.violations(doc):
            shown = self._shown(name) if kind == "unexpected" else name
            self.kinds.setdefault(shown, Counter())[kind] += 1
            if found:
                self.types.setdefault(name, Counter())[found] += 1

    def _shown(self, name: str) -> str:
        """Return the name of an unexpected field as it is counted and printed."""
        shown = (name if name.isprintable() else ascii(name))[:_MAX_NAME]
        is_full = len(self.kinds) >= len(self.schema.fields) + _MAX_UNEXPECTED
        return OTHERS if is_full and shown not in self.kinds else shown


def _violation(value: Any, allowed: ApiField) -> str:
    """Return the kind of a field's violation, empty without one."""
    found = _type_name(value)
    if found in allowed.types:
        is_number = found == _NUMBER
        return "range" if is_number and not allowed.minimum <= value <= allowed.maximum else ""
    if value is None:
        return "null"
    return "empty" if value == {} else "type"


def _type_name(value: Any) -> str:
    if isinstance(value, list):
        return _OBJECTS if all(isinstance(entry, dict) for entry in value) else _LIST
    return _TYPES.get(type(value), "null")


_A_TEXT: Final = ApiField((_TEXT,))
_SOME_OBJECTS: Final = ApiField((_OBJECTS,))
_NUMBER_AS_TEXT: Final = ApiField((_TEXT, _NUMBER))  # the editions differ

USER_SCHEMA: Final = ApiSchema(
    "user_id",
    {
        "user_id": _NUMBER_AS_TEXT,
        "age": ApiField((_NUMBER,), 1, 120),
        "occupation": _A_TEXT,
        "gender": _A_TEXT,
        "likes": _A_TEXT,
        "dislikes": _A_TEXT,
    },
)
MOVIE_SCHEMA: Final = ApiSchema(
    "id",
    {
        "id": _NUMBER_AS_TEXT,
        "tmdb_id": ApiField((_NUMBER,), 0),
        "imdb_id": _A_TEXT,
        "title": _A_TEXT,
        "original_title": _A_TEXT,
        "adult": ApiField((_TEXT, _FLAG)),
        "belongs_to_collection": ApiField((_OBJECT,)),
        "budget": _NUMBER_AS_TEXT,
        "genres": _SOME_OBJECTS,
        "homepage": _A_TEXT,
        "original_language": _A_TEXT,
        "overview": _A_TEXT,
        "popularity": _NUMBER_AS_TEXT,
        "poster_path": _A_TEXT,
        "production_companies": _SOME_OBJECTS,
        "production_countries": _SOME_OBJECTS,
        "release_date": _A_TEXT,
        "revenue": _NUMBER_AS_TEXT,
        "runtime": ApiField((_NUMBER,), 0, 24 * 60),
        "spoken_languages": _SOME_OBJECTS,
        "status": _A_TEXT,
        "vote_average": _NUMBER_AS_TEXT,
        "vote_count": _NUMBER_AS_TEXT,
        "cost": ApiField((_NUMBER,), 0),
    },
)
