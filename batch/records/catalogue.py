"""The catalogue: the items that exist, with title, year, genres and other fields.

An item exists if any of the files lists it; each file may add fields.
Interactions with other items are noise and never reach a list.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

from batch.records.fields import flag, moment, number, text
from batch.records.kinds import RecordKind, any_line_like, csv_kind, json_kind
from batch.records.read import RecordFile, read_records
from batch.records.rows import ID, Row, separated_rows
from batch.sql.source import DatabaseInput
from store.ids import is_item_id

_MAX_MINUTES: Final = 24 * 60
_MAX_OVERVIEW_CHARACTERS: Final = 4_000  # real overviews have fewer than 1,000
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_NOT_GENRES: Final = frozenset(("(no genres listed)", "unknown"))
_YEAR: Final = re.compile(r"\b(?:18|19|20|21)[0-9]{2}\b")
# "(1995)", a series' "(1975-1979)" or "(2013– )", and possible suffixes: "(1995) (V)".
_TITLE_YEAR: Final = re.compile(
    r"\s*\(((?:18|19|20|21)[0-9]{2})(?:[-–][0-9 ]*)?\)(?:\s*\([A-Z]+\))?$"
)


@dataclass(frozen=True, slots=True)
class Item:
    """Fields of one item, each None if unknown.

    Attributes:
        title: Title without the year.
        year: Year of release.
        genres: Names of genres, in the order of the source; empty if unknown.
        runtime: Minutes, above 0 and at most a day.
        adult: Whether the item is hidden from minors.
        overview: Description in a few sentences.
        language: Original language, two or three letters: "fr".
        cost: Licence fee of one play in USD, 0 or more.
        available_from: First moment at which it may be shown, ISO 8601 in UTC; None: no
            limit; `UNREADABLE`: the source has an invalid time.
        available_until: Moment from which on it may not be shown, in the same form.
    """

    title: str | None
    year: int | None
    genres: tuple[str, ...]
    runtime: float | None
    adult: bool | None
    overview: str | None = None
    language: str | None = None
    cost: float | None = None
    available_from: str | None = None
    available_until: str | None = None

    def or_else(self, other: "Item") -> "Item":
        """Return this item, its missing fields filled from `other`."""
        return Item(
            title=self.title or other.title,
            year=self.year or other.year,
            genres=self.genres or other.genres,
            runtime=self.runtime or other.runtime,
            adult=other.adult if self.adult is None else self.adult,
            overview=self.overview or other.overview,
            language=self.language or other.language,
            cost=other.cost if self.cost is None else self.cost,
            available_from=self.available_from or other.available_from,
            available_until=self.available_until or other.available_until,
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Items that exist.

    Attributes:
        items: Items by item_id.
        sources: Files, in the order in which they were read.
        not_read: Reason why each other member of an archive was not read, by its name.
    """

    items: dict[str, Item]
    sources: tuple[RecordFile, ...]
    not_read: dict[str, str] = field(default_factory=dict)


def read_catalogues(paths: Sequence[Path | DatabaseInput]) -> Catalogue:
    """Read catalogue files of any known kind, plain or packed, archives of them, and tables.

    Raises:
        InputError: A file cannot be read, is of no known kind, or has no
            item with a valid id.
    """
    return Catalogue(*read_records(paths, _KINDS, is_item_id))


def _api_item(row: Row) -> Item:
    return Item(
        title=text(row.get("title")),
        year=_year(row.get("release_date")),
        genres=_api_genres(row.get("genres")),
        runtime=_runtime(row.get("runtime")),
        adult=flag(row.get("adult")),
        overview=text(row.get("overview"), _MAX_OVERVIEW_CHARACTERS),
        **_licence(row),
    )


def _movielens_item(row: Row) -> Item:
    """Return an item whose title ends with the year and whose genres are separated by bars."""
    title, year = _title_and_year(text(row.get("title")))
    return Item(
        title=title,
        year=year or _year(row.get("release_date")) or _year(row.get("year")),
        genres=_barred_genres(row.get("genres")),
        runtime=_runtime(row.get("runtime")),
        adult=flag(row.get("adult")),
        overview=text(row.get("overview"), _MAX_OVERVIEW_CHARACTERS),
        **_licence(row),
    )


class _Licence(TypedDict):
    language: str | None
    cost: float | None
    available_from: str | None
    available_until: str | None


def _licence(row: Row) -> _Licence:
    """Return the fields that have the same names in the API and in CSV."""
    return {
        "language": _language(row.get("original_language")),
        "cost": _cost(row.get("cost")),
        "available_from": moment(row.get("available_from")),
        "available_until": moment(row.get("available_until"), at_end=True),
    }


def _cost(value: object) -> float | None:
    usd = number(value)
    return usd if usd is not None and 0 <= usd < math.inf else None


def _title_and_year(title: str | None) -> tuple[str | None, int | None]:
    found = _TITLE_YEAR.search(title) if title else None
    if title is None or found is None:
        return title, None
    return title[: found.start()] or None, int(found[1])


def _year(date: object) -> int | None:
    found = _YEAR.search(date) if isinstance(date, str) else None
    return int(found[0]) if found else None


def _language(value: object) -> str | None:
    code = (text(value) or "").lower()
    return code if _LANGUAGE.fullmatch(code) else None


def _runtime(value: object) -> float | None:
    minutes = number(value)
    return minutes if minutes and 0 < minutes <= _MAX_MINUTES else None


def _api_genres(value: object) -> tuple[str, ...]:
    entries = value if isinstance(value, list) else []
    return _unique(text(entry.get("name")) for entry in entries if isinstance(entry, dict))


def _barred_genres(value: object) -> tuple[str, ...]:
    names = value.split("|") if isinstance(value, str) else []
    return _unique(text(name) for name in names if name not in _NOT_GENRES)


def _unique(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name))


_U_ITEM_GENRES: Final = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
_U_ITEM_COLUMNS: Final = (ID, "title", "release_date", "video_date", "url", *_U_ITEM_GENRES)


def _u_item_rows(lines: Iterable[str]) -> Iterator[Row]:
    """Yield rows with the names of their genres, separated by bars, in place of 19 flags."""
    for row in separated_rows(lines, "|", _U_ITEM_COLUMNS):
        yield {**row, "genres": "|".join(name for name in _U_ITEM_GENRES if row.get(name) == "1")}


_KINDS: Final[Sequence[RecordKind[Item]]] = (
    csv_kind(
        "CSV with a movieID column (also MovieLens movies.csv)",
        "movieID,title,genres",
        id_columns=("movieid", "movie_id", "itemid", "item_id"),
        foreign_columns=("userid", "user_id"),
        record=_movielens_item,
    ),
    json_kind(
        "movie API, JSON lines",
        '{"id": "toy+story+1995", "title": "Toy Story", "runtime": 81}',
        id_field="id",
        record=_api_item,
    ),
    RecordKind(
        "MovieLens 100k u.item",
        "1|Toy Story (1995)|01-Jan-1995||http://…|0|0|… 19 flags",
        matches=any_line_like(r"[^|]+\|.*(\|[01]){19}\s*$"),
        rows=_u_item_rows,
        record=_movielens_item,
    ),
    RecordKind(
        "MovieLens movies.dat",
        "1::Toy Story (1995)::Animation|Comedy",
        matches=any_line_like(r"[^:]+::(?:(?!::).)+::[^:0-9]*$"),
        rows=partial(separated_rows, separator="::", columns=(ID, "title", "genres")),
        record=_movielens_item,
    ),
)
