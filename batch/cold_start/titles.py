"""Titles in free text: which items somebody means who writes of films.

    "Loved Heat (1995), the fly and Up."  ─►  Heat of 1995, The Fly, Up

At each word the longest title that begins there is taken. Two or more words are a title wherever
they stand. One word alone must stand as a title does: in quotes, with its year, with a capital
inside a sentence, or as one entry of an enumeration. A title of plain words alone ("It", "Her",
"Now and Then") needs the quotes, the year or the capitals. Of several items of one title the year
decides where it is given; else the most popular is meant.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from batch.cold_start.words import ARTICLES, PLAIN_WORDS, Word, words_in

Key = tuple[str, ...]

_MOST_WORDS: Final = 12  # of a title that is looked for
_YEAR: Final = re.compile(r"(?:18|19|20|21)\d\d")
_YEARS_APART: Final = 1  # a film's year is often remembered wrongly by one
_LATE_ARTICLE: Final = re.compile(r"^(.*), (the|an?|l[aeo]s?|il|el|die|der|das)$", re.IGNORECASE)
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
_BEHIND_TITLES: Final = "also and are because but is nor or plus too was were"
_LEADING: Final = frozenset(_BEFORE_TITLES.split())
_FOLLOWING: Final = frozenset(_BEHIND_TITLES.split())


class Titled(NamedTuple):
    """One item that can be meant.

    Attributes:
        title: As the catalogue has it.
        year: Of release, None if unknown.
        item_row: Which item.
        n_users: How popular it is.
    """

    title: str
    year: int | None
    item_row: int
    n_users: int


class Titles:
    """All titles of a catalogue, to be found in texts."""

    def __init__(self, items: Iterable[Titled]) -> None:
        self._meant: dict[Key, list[Titled]] = {}
        ordered = sorted(items, key=lambda item: (-item.n_users, item.item_row))
        for item in ordered:
            for key in _keys(item.title):
                self._meant.setdefault(key, []).append(item)
        whole = frozenset(self._meant)
        for item in ordered:  # "Star Wars" for "Star Wars: Episode IV", if nothing is called so
            key = _key(item.title.partition(":")[0])
            if key and key not in whole:
                self._meant.setdefault(key, []).append(item)
        self._longest: dict[str, int] = {}
        for key in self._meant:
            self._longest[key[0]] = max(self._longest.get(key[0], 0), len(key))

    def find(self, words: Sequence[Word]) -> Iterator[tuple[int, int, int]]:
        """Yield (first word, word behind the last, item row) of each title, from left to right."""
        at = 0
        while at < len(words):
            found = self._at(words, at)
            if found:
                yield at, *found
            at = found[0] if found else at + 1

    def _at(self, words: Sequence[Word], at: int) -> tuple[int, int] | None:
        longest = min(self._longest.get(words[at].text, 0), len(words) - 1 - at)
        for n_words in range(longest, 0, -1):
            end = at + n_words
            meant = self._meant.get(tuple(word.text for word in words[at:end]))
            if meant:
                dated = _of_year(meant, words[end].text)
                if dated or _stands_as_title(words, at, end):
                    return (end + 1, dated.item_row) if dated else (end, meant[0].item_row)
        return None


def _of_year(meant: Sequence[Titled], year: str) -> Titled | None:
    """Return the item of a year, or else of one close to it."""
    if not _YEAR.fullmatch(year):
        return None
    for apart in range(_YEARS_APART + 1):
        for item in meant:
            if item.year is not None and abs(item.year - int(year)) == apart:
                return item
    return None


def _stands_as_title(words: Sequence[Word], at: int, end: int) -> bool:
    title = words[at:end]
    telling = [word for word in title if word.text not in PLAIN_WORDS]
    if telling and len(title) - (title[0].text in ARTICLES) > 1:
        return True
    if _is_quoted(title[0].before, words[end].before):
        return True
    is_inside = at > 0 and _SENTENCE_END.isdisjoint(title[0].before)
    if is_inside and _has_capitals(title):
        return True
    return bool(telling) and _is_alone(words, at, end)


def _is_quoted(before: str, behind: str) -> bool:
    return before[-1:] in _QUOTES and behind[:1] in _QUOTES and bool(before and behind)


def _has_capitals(title: Sequence[Word]) -> bool:
    """Tell whether the outer words and all that are not plain are written as in titles."""
    outer = (title[0], title[-1])
    is_written = all(
        word.is_capital for word in title if word in outer or word.text not in PLAIN_WORDS
    )
    return is_written and [word.text for word in title] != ["i"]  # which is always a capital


def _is_alone(words: Sequence[Word], at: int, end: int) -> bool:
    """Tell whether a title is one entry of an enumeration, or all that there is."""
    before, behind = words[at].before, words[end].before
    is_begun = at == 0 or not _SEPARATORS.isdisjoint(before) or words[at - 1].text in _LEADING
    is_ended = (
        end == len(words) - 1 or not _SEPARATORS.isdisjoint(behind) or words[end].text in _FOLLOWING
    )
    return is_begun and is_ended


def _keys(title: str) -> set[Key]:
    """Return all that a title may be called: without its article, or by what stands in brackets."""
    names = [_BRACKETS.sub(" ", title), *_BRACKETS.findall(title)]
    keys = set()
    for name in names:
        name = _ALSO_KNOWN_AS.sub("", " ".join(name.split()))
        late = _LATE_ARTICLE.match(name)
        key = _key(f"{late[2]} {late[1]}" if late else name)
        keys.add(key)
        if late or (key and key[0] in ARTICLES):
            keys.add(key[1:])
    return {key for key in keys if key}


def _key(name: str) -> Key:
    return tuple(word.text for word in words_in(name)[:-1])[:_MOST_WORDS]
