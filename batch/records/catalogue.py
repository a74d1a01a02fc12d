"""The catalogue: which items exist, and what is known of each.

An item exists if any of the files lists it; each adds what it knows.
Interactions with anything else are noise and never reach a list.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypedDict

from batch.records.fields import flag, moment, number, text
from batch.records.kinds import Kind, any_line_like, csv_kind, json_kind
from batch.records.read import Source, read_records
from batch.records.rows import ID, Row, separated_rows
from store.ids import is_item_id

_LONGEST_MINUTES: Final = 24 * 60
_NOT_GENRES: Final = frozenset(("(no genres listed)", "unknown"))
_YEAR: Final = re.compile(r"\b(?:18|19|20|21)[0-9]{2}\b")
# "(1995)", a series' "(1975-1979)" or "(2013– )", and what may follow: "(1995) (V)".
_TITLE_YEAR: Final = re.compile(
    r"\s*\(((?:18|19|20|21)[0-9]{2})(?:[-–][0-9 ]*)?\)(?:\s*\([A-Z]+\))?$"
)


@dataclass(frozen=True, slots=True)
class Item:
    """What is known of one item.

    Attributes:
        title: Without the year.
        year: Of release.
        genres: Names, in the order of the source; empty if none is known.
        runtime: Minutes, above 0 and at most a day.
        adult: Whether it is not for minors.
        language: Of the original, as the source writes it: "fr".
        cost: Of one play in licence fees, USD, 0 or more.
        available_from: Since when it may be shown, ISO 8601 in UTC; None: ever since.
        available_until: From when on it may not, the same; None: open end.
            `UNREADABLE` where the source says something that is no time.
    """

    title: str | None
    year: int | None
    genres: tuple[str, ...]
    runtime: float | None
    adult: bool | None
    language: str | None = None
    cost: float | None = None
    available_from: str | None = None
    available_until: str | None = None

    def or_else(self, other: "Item") -> "Item":
        """Return this item, what it lacks taken from `other`."""
        return Item(
            title=self.title or other.title,
            year=self.year or other.year,
            genres=self.genres or other.genres,
            runtime=self.runtime or other.runtime,
            adult=other.adult if self.adult is None else self.adult,
            language=self.language or other.language,
            cost=other.cost if self.cost is None else self.cost,
            available_from=self.available_from or other.available_from,
            available_until=self.available_until or other.available_until,
        )


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items that exist.

    Attributes:
        items: By item_id.
        sources: What came from where, in the order of the files.
    """

    items: dict[str, Item]
    sources: tuple[Source, ...]


def read_catalogues(paths: Sequence[Path]) -> Catalogue:
    """Read catalogue files of any known kind, plain or gzip.

    Raises:
        InputError: A file cannot be read, is of no known kind, or holds no
            item with a usable id.
    """
    return Catalogue(*read_records(paths, _KINDS, is_item_id))


def _api_item(row: Row) -> Item:
    return Item(
        title=text(row.get("title")),
        year=_year(row.get("release_date")),
        genres=_api_genres(row.get("genres")),
        runtime=_runtime(row.get("runtime")),
        adult=flag(row.get("adult")),
        **_licence(row),
    )


def _movielens_item(row: Row) -> Item:
    """Return an item whose title ends with the year and whose genres stand between bars."""
    title, year = _title_and_year(text(row.get("title")))
    return Item(
        title=title,
        year=year or _year(row.get("release_date")) or _year(row.get("year")),
        genres=_barred_genres(row.get("genres")),
        runtime=_runtime(row.get("runtime")),
        adult=flag(row.get("adult")),
        **_licence(row),
    )


class _Licence(TypedDict):
    language: str | None
    cost: float | None
    available_from: str | None
    available_until: str | None


def _licence(row: Row) -> _Licence:
    """Return the fields that the API and CSV name alike."""
    return {
        "language": text(row.get("original_language")),
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


def _runtime(value: object) -> float | None:
    minutes = number(value)
    return minutes if minutes and 0 < minutes <= _LONGEST_MINUTES else None


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
    """Yield rows whose 19 genre flags have become the genres' names between bars."""
    for row in separated_rows(lines, "|", _U_ITEM_COLUMNS):
        yield {**row, "genres": "|".join(name for name in _U_ITEM_GENRES if row.get(name) == "1")}


_KINDS: Final[Sequence[Kind[Item]]] = (
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
    Kind(
        "MovieLens 100k u.item",
        "1|Toy Story (1995)|01-Jan-1995||http://…|0|0|… 19 flags",
        fits=any_line_like(r"[^|]+\|.*(\|[01]){19}\s*$"),
        rows=_u_item_rows,
        record=_movielens_item,
    ),
    Kind(
        "MovieLens movies.dat",
        "1::Toy Story (1995)::Animation|Comedy",
        fits=any_line_like(r"[^:]+::(?:(?!::).)+::[^:0-9]*$"),
        rows=partial(separated_rows, separator="::", columns=(ID, "title", "genres")),
        record=_movielens_item,
    ),
)
