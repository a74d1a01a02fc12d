"""The catalogue: the items that exist, with title, year, genres and other fields.

An item exists if any of the files lists it; each file may add fields.
Interactions with other items are noise and never reach a list.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from batch.columns.names import ITEM, NAMES, USER
from batch.files.input_file import AnyFile
from batch.records.fields import flag, moment, number, text
from batch.records.forms import Headless
from batch.records.kinds import RecordKind
from batch.records.names import names_in
from batch.records.naming import ID, FieldNames, RecordColumns, is_set
from batch.records.read import RecordFile, read_records
from batch.records.rows import Row
from batch.sql.source import DatabaseInput
from store.ids import is_item_id

_MAX_MINUTES: Final = 24 * 60
_MAX_OVERVIEW_CHARACTERS: Final = 4_000  # real overviews have fewer than 1,000
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_REGION: Final = re.compile(r"(?<=[a-z])[-_][a-z]{2}$")  # "en-US"
_MINUTES: Final = re.compile(
    r"(?:(\d+)\s*h(?:ours?|rs?)?)?\s*(?:(\d+)\s*m(?:in(?:ute)?s?)?)?\.?", re.I
)
_ADULT_CODES: Final = {"0": False, "1": True}
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
        authors: Names of authors, in the order of the source; empty if unknown.
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
    authors: tuple[str, ...] = ()

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
            authors=self.authors or other.authors,
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


def read_catalogues(
    paths: Iterable[AnyFile | DatabaseInput], id_column: str | None = None
) -> Catalogue:
    """Read catalogue files of any known form, plain or packed, and archives of them.

    Args:
        paths: Files, tables and queries.
        id_column: Column of the ids, for files that have it; None: the one of a known name.

    Raises:
        InputError: A file cannot be read, is of no known form, has other content, or has no
            item with a valid id.
    """
    return Catalogue(*read_records(paths, ITEMS.with_ids_in(id_column)))


def _item_maker(columns: RecordColumns) -> Callable[[Row], Item]:
    """Return the function that makes an item from a row with these columns.

    Of JSON objects, a year in brackets is a part of the title.
    """
    wanted = [columns.column(field) for field in _NAMES.fields]
    flags, is_json = tuple(columns.flags.items()), columns.is_json

    def make(row: Row) -> Item:
        name, released, published, genres, runtime, duration, *others = map(row.get, wanted)
        adult, overview, language, cost, begin, end, authors = others
        title, year = (text(name), None) if is_json else _title_and_year(text(name))
        if flags:
            genres = [name for column, name in flags if is_set(row.get(column))]
        return Item(
            title=title,
            year=year or _year(released) or _year(published),
            genres=_genres(names_in(genres)),
            runtime=_runtime(runtime) or _duration(duration),
            adult=_adult(adult),
            overview=text(overview, _MAX_OVERVIEW_CHARACTERS),
            language=_language(language),
            cost=_cost(cost),
            available_from=moment(begin),
            available_until=moment(end, at_end=True),
            authors=names_in(authors),
        )

    return make


def _cost(value: object) -> float | None:
    usd = number(value)
    return usd if usd is not None and 0 <= usd < math.inf else None


def _title_and_year(title: str | None) -> tuple[str | None, int | None]:
    found = _TITLE_YEAR.search(title) if title else None
    if title is None or found is None:
        return title, None
    return title[: found.start()] or None, int(found[1])


def _year(value: object) -> int | None:
    if isinstance(value, float):
        value = f"{value:.0f}"
    elif isinstance(value, int):
        value = str(value)
    found = _YEAR.search(value) if isinstance(value, str) else None
    return int(found[0]) if found else None


def _language(value: object) -> str | None:
    return _language_code(value) if isinstance(value, str) else None


@lru_cache(maxsize=1 << 10)
def _language_code(value: str) -> str | None:
    code = _REGION.sub("", value.strip().lower())
    return code if _LANGUAGE.fullmatch(code) and text(value) else None


def _runtime(value: object) -> float | None:
    """Return minutes from a number, or from text such as "104 min"."""
    minutes = number(value)
    if minutes is None:
        return _duration(value)
    return minutes if 0 < minutes <= _MAX_MINUTES else None


def _duration(value: object) -> float | None:
    """Return minutes from text with its unit; a number alone may be seconds."""
    found = _MINUTES.fullmatch(value.strip()) if isinstance(value, str) else None
    minutes = float(found[1] or 0) * 60 + float(found[2] or 0) if found else 0
    return minutes if 0 < minutes <= _MAX_MINUTES else None


def _adult(value: object) -> bool | None:
    return _adult_word(value) if isinstance(value, str) else flag(value)


@lru_cache(maxsize=1 << 8)
def _adult_word(value: str) -> bool | None:
    return _ADULT_CODES.get(value.strip(), flag(value))


@lru_cache(maxsize=1 << 12)
def _genres(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in _NOT_GENRES)


_NOUNS: Final = (
    *("item", "movie", "film", "book", "product", "game", "track", "song", "album", "artist"),
    *("business", "article", "video", "show", "anime", "recipe", "beer", "joke", "content"),
)
_NOT_IDS: Final = (*_NOUNS, "i")
_NAMES: Final = FieldNames(
    ids=(*(name for name in NAMES[ITEM] if name not in _NOT_IDS), ID),
    nouns=_NOUNS,
    foreign=(*(name for name in NAMES[USER] if name.endswith("id")), "user", "tagid"),
    fields={
        "title": (
            *("title", "movietitle", "booktitle", "itemtitle", "producttitle", "filmtitle"),
            *("gametitle", "tracktitle", "primarytitle", "originaltitle", "name", "moviename"),
            *("bookname", "itemname", "productname", "filmname", "gamename", "appname"),
            *("trackname", "songname", "artistname", "businessname"),
            *_NOUNS,
        ),
        "release_date": (
            *("releasedate", "released", "dateofrelease", "premiered", "published", "publishdate"),
            "publicationdate",
        ),
        "year": (
            *("year", "releaseyear", "yearofrelease", "startyear", "yearofpublication"),
            *("publicationyear", "originalpublicationyear", "pubyear"),
        ),
        "genres": ("genres", "genre", "listedin", "categories", "category"),
        "runtime": ("runtime", "runtimeminutes", "runtimemins", "runtimemin"),
        "duration": ("duration",),
        "adult": ("adult", "isadult"),
        "overview": ("overview", "description", "plot", "summary", "synopsis", "storyline"),
        "language": ("originallanguage", "language", "languagecode", "lang"),
        "cost": ("cost",),
        "available_from": ("availablefrom",),
        "available_until": ("availableuntil",),
        "authors": ("authors", "author", "bookauthor", "bookauthors", "writers"),
    },
    is_bare_id_enough=True,
)
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
_HEADLESS: Final = (
    Headless(
        "MovieLens 100k u.item",
        "1|Toy Story (1995)|01-Jan-1995||http://…|0|0|… 19 flags",
        re.compile(r"[^|]+\|.*(\|[01]){19}\s*$"),
        "|",
        ("item_id", "title", "release_date", "video_date", "url", *_U_ITEM_GENRES),
    ),
    Headless(
        "MovieLens movies.dat",
        "1::Toy Story (1995)::Animation|Comedy",
        re.compile(r"[^:]+::(?:(?!::).)+::[^:0-9]*$"),
        "::",
        ("item_id", "title", "genres"),
    ),
    Headless(
        "Netflix Prize movie_titles.csv",
        "1,2003,Dinosaur Planet",
        re.compile(r"\d+,(?:(?:18|19|20)\d\d|NULL),\D*[A-Za-z]"),
        ",",
        ("item_id", "year", "title"),
        is_last_open=True,
    ),
)
ITEMS: Final = RecordKind(
    noun="item",
    names=_NAMES,
    is_id=is_item_id,
    maker=_item_maker,
    headless=_HEADLESS,
    header="movieID,title,genres",
    line='{"id": "toy+story+1995", "title": "Toy Story", "runtime": 81}',
    attributes={"release_date": "year", "duration": "runtime"},
    flags="genres",
)
