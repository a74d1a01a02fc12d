"""What was found in catalogues and profiles: counts for the summary, and warnings.

A file that was read in a wrong way has 0 titles, or 1,130 genres: both are seen at once.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from batch.columns.roles import shown_names
from batch.files.input_file import name_of
from batch.records.catalogue import Catalogue
from batch.records.profiles import Profiles
from batch.records.read import RecordFile

EXPECTED: Final = frozenset(("titles", "genres", "runtimes", "ages", "genders"))  # of most files
_MAX_GENRES: Final = 100  # more are plausible only in a large catalogue
_MIN_ITEMS_PER_GENRE: Final = 50

_ITEM_COUNTS: Final = {
    "title": "titles",
    "year": "years",
    "genres": "items_with_genres",
    "runtime": "runtimes",
    "language": "languages",
    "overview": "overviews",
    "authors": "items_with_authors",
}
_USER_COUNTS: Final = {
    "age": "ages",
    "gender": "genders",
    "occupation": "occupations",
    "likes": "likes",
    "dislikes": "dislikes",
}


def catalogue_counts(catalogue: Catalogue) -> dict[str, int]:
    """Return the number of items, of those with each field, and of distinct genres."""
    items = catalogue.items
    genres = {genre for item in items.values() for genre in item.genres}
    return {"items": len(items), **_counts(items, _ITEM_COUNTS), "genres": len(genres)}


def profile_counts(profiles: Profiles) -> dict[str, int]:
    """Return the number of users, and of those with each field."""
    if profiles.counts is not None:
        return dict(profiles.counts)
    return {"users": len(profiles.users), **_counts(profiles.users, _USER_COUNTS)}


def record_warnings(catalogue: Catalogue, profiles: Profiles) -> list[str]:
    """Return a sentence for whatever looks as if a file was read in a wrong way."""
    sources = (*catalogue.sources, *profiles.sources)
    named = ((name_of(source.path, source.member), source.warnings) for source in sources)
    of_files = [f"{name}: {text}" for name, warnings in named for text in warnings]
    return [*of_files, *_catalogue_warnings(catalogue), *_profile_warnings(profiles)]


def _catalogue_warnings(catalogue: Catalogue) -> Iterator[str]:
    counts = catalogue_counts(catalogue)
    if counts["items"] and not counts["titles"]:
        yield f"no item has a title; the catalogue has {_columns(catalogue.sources)}"
    n_genres, n_items = counts["genres"], counts["items_with_genres"]
    if n_genres > _MAX_GENRES and n_genres * _MIN_ITEMS_PER_GENRE > n_items:
        shown = next(item.genres[0] for item in catalogue.items.values() if item.genres)
        yield f"{n_genres:,} different genres of {n_items:,} items, such as {shown[:60]!r}"


def _profile_warnings(profiles: Profiles) -> Iterator[str]:
    counts = profile_counts(profiles)
    if counts.pop("users") and not any(counts.values()):
        have = _columns(profiles.sources)
        yield f"no user has an age, gender or occupation; the profiles have {have}"


def _columns(sources: Iterable[RecordFile]) -> str:
    names = dict.fromkeys(name for source in sources for name in source.columns)
    return f"the columns {shown_names(list(names))}"


def _counts(records: Mapping[str, object], names: Mapping[str, str]) -> dict[str, int]:
    """Return how many records have each field; users share their records, a million of them."""
    n_of = Counter(map(id, records.values()))
    distinct = {id(record): record for record in records.values()}
    return {
        name: sum(n_of[key] for key, record in distinct.items() if _has(record, field))
        for field, name in names.items()
    }


def _has(record: object, field: str) -> bool:
    return getattr(record, field) not in (None, ())
