"""Titles in free text: the items of a catalogue that a text names.

    "Loved Heat (1995), the fly and Up."  ─►  Heat of 1995, The Fly, Up

At each word the longest title that begins there is taken. A title of two or more words is found
wherever it stands. A title of one word must be marked: by quotes, by its year, by a capital inside
a sentence, or as one entry of an enumeration. A title of common words alone ("It", "Her", "Now and
Then") needs the quotes, the year or the capitals. Of several items with one title, a year in the
text decides; without one, the most popular item is taken.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from batch.cold_start.words import ARTICLES, COMMON_WORDS, Word, words_in

Key = tuple[str, ...]

_MAX_WORDS: Final = 12  # of a title that are compared
_YEAR: Final = re.compile(r"(?:18|19|20|21)\d\d")
_MAX_YEARS_APART: Final = 1  # years in texts are often off by one
_TRAILING_ARTICLE: Final = re.compile(
    r"^(.*), (the|an?|l[aeo]s?|il|el|die|der|das)$", re.IGNORECASE
)
_BRACKETS: Final = re.compile(r"\(([^)]*)\)")
_ALSO_KNOWN_AS: Final = re.compile(r"^a\.?k\.?a\.? ", re.IGNORECASE)
_QUOTES: Final = frozenset("\"'“”„«»’*_")
_SENTENCE_END: Final = frozenset(".!?:;\n")
_SEPARATORS: Final = _SENTENCE_END | frozenset(",/()-–—+|&•")
_BEFORE_TITLES: Final = (
    "adore also and are but dislike enjoy enjoyed especially favorite favourite film films hate "
    "hated is like liked likes love loved loves movie movies nor not or plus saw see seen was watch"
    " watched were"
)
_AFTER_TITLES: Final = "also and are because but is nor or plus too was were"
_LEADING: Final = frozenset(_BEFORE_TITLES.split())
_FOLLOWING: Final = frozenset(_AFTER_TITLES.split())


class CatalogueTitle(NamedTuple):
    """The title of one item.

    Attributes:
        title: Title in the catalogue.
        year: Year of release, None if unknown.
        item_row: Row of the item.
        n_users: Number of users of the item.
    """

    title: str
    year: int | None
    item_row: int
    n_users: int


class Titles:
    """All titles of a catalogue, and a search for them in text."""

    def __init__(self, items: Iterable[CatalogueTitle]) -> None:
        self._items_by_key: dict[Key, list[CatalogueTitle]] = {}
        ordered = sorted(items, key=lambda item: (-item.n_users, item.item_row))
        for item in ordered:
            for key in _keys(item.title):
                self._items_by_key.setdefault(key, []).append(item)
        full_titles = frozenset(self._items_by_key)
        for item in ordered:  # "Star Wars" for "Star Wars: Episode IV", unless it is a title
            key = _key(item.title.partition(":")[0])
            if key and key not in full_titles:
                self._items_by_key.setdefault(key, []).append(item)
        self._longest: dict[str, int] = {}
        for key in self._items_by_key:
            self._longest[key[0]] = max(self._longest.get(key[0], 0), len(key))

    def find(self, words: Sequence[Word]) -> Iterator[tuple[int, int, int]]:
        """Yield (start, end, item row) of each title from left to right, words[start:end]."""
        start = 0
        while start < len(words):
            found = self._at(words, start)
            if found:
                yield start, *found
            start = found[0] if found else start + 1

    def _at(self, words: Sequence[Word], start: int) -> tuple[int, int] | None:
        longest = min(self._longest.get(words[start].text, 0), len(words) - 1 - start)
        for n_words in range(longest, 0, -1):
            end = start + n_words
            items = self._items_by_key.get(tuple(word.text for word in words[start:end]))
            if items:
                dated = _of_year(items, words[end].text)
                if dated or _is_marked(words, start, end):
                    return (end + 1, dated.item_row) if dated else (end, items[0].item_row)
        return None


def _of_year(items: Sequence[CatalogueTitle], year: str) -> CatalogueTitle | None:
    """Return the item of a year, or of the year before or after."""
    if not _YEAR.fullmatch(year):
        return None
    for apart in range(_MAX_YEARS_APART + 1):
        for item in items:
            if item.year is not None and abs(item.year - int(year)) == apart:
                return item
    return None


def _is_marked(words: Sequence[Word], start: int, end: int) -> bool:
    """Return whether words[start:end] are written as a title, not as words of a sentence."""
    title = words[start:end]
    uncommon = [word for word in title if word.text not in COMMON_WORDS]
    if uncommon and len(title) - (title[0].text in ARTICLES) > 1:
        return True
    if _is_quoted(title[0].before, words[end].before):
        return True
    is_inside = start > 0 and _SENTENCE_END.isdisjoint(title[0].before)
    if is_inside and _has_capitals(title):
        return True
    return bool(uncommon) and _is_alone(words, start, end)


def _is_quoted(before: str, behind: str) -> bool:
    return before[-1:] in _QUOTES and behind[:1] in _QUOTES and bool(before and behind)


def _has_capitals(title: Sequence[Word]) -> bool:
    """Return whether the outer and the uncommon words have capitals."""
    outer = (title[0], title[-1])
    is_capitalized = all(
        word.is_capital for word in title if word in outer or word.text not in COMMON_WORDS
    )
    return is_capitalized and [word.text for word in title] != ["i"]  # which is always a capital


def _is_alone(words: Sequence[Word], start: int, end: int) -> bool:
    """Return whether a title is one entry of an enumeration, or the whole text."""
    before, behind = words[start].before, words[end].before
    is_begun = start == 0 or not _SEPARATORS.isdisjoint(before) or words[start - 1].text in _LEADING
    is_ended = (
        end == len(words) - 1 or not _SEPARATORS.isdisjoint(behind) or words[end].text in _FOLLOWING
    )
    return is_begun and is_ended


def _keys(title: str) -> set[Key]:
    """Return the variants of a title: without its article, and the text in brackets."""
    names = [_BRACKETS.sub(" ", title), *_BRACKETS.findall(title)]
    keys = set()
    for name in names:
        name = _ALSO_KNOWN_AS.sub("", " ".join(name.split()))
        trailing = _TRAILING_ARTICLE.match(name)
        key = _key(f"{trailing[2]} {trailing[1]}" if trailing else name)
        keys.add(key)
        if trailing or (key and key[0] in ARTICLES):
            keys.add(key[1:])
    return {key for key in keys if key}


def _key(name: str) -> Key:
    return tuple(word.text for word in words_in(name)[:-1])[:_MAX_WORDS]
