"""Genres in free text: "sci-fi" or "romantic comedies" name genres of the catalogue."""

from collections.abc import Iterable
from typing import Final

from batch.cold_start.words import Word, words_in

_ALIASES: Final[dict[str, str]] = {  # of a genre as some catalogue names it, in lower case
    "animation": "animated anime cartoon",
    "children's": "kids children childrens",
    "documentary": "doc docs",
    "family": "kids children",
    "history": "historical historic",
    "music": "musical",
    "romance": "romantic romcom",
    "sci-fi": "science-fiction scifi sf",
    "science fiction": "sci-fi scifi sf",
    "thriller": "suspense",
}
_MAX_WORDS: Final = 3  # in a genre's name


class Genres:
    """The genres of a catalogue, and a search for them in text."""

    def __init__(self, names: Iterable[str]) -> None:
        self._genre_by_words: dict[tuple[str, ...], str] = {}
        names = sorted(set(names))
        for name in names:
            self._add(name, name)
        for name in names:  # a name in the catalogue takes precedence over another genre's alias
            for alias in _ALIASES.get(name.casefold(), "").split():
                self._add(alias, name)

    def at(self, words: list[Word], start: int) -> tuple[int, str] | None:
        """Return (end, genre) of a genre named from word `start` up to, not including, `end`."""
        for end in range(min(start + _MAX_WORDS, len(words) - 1), start, -1):
            name = self._genre_by_words.get(tuple(word.text for word in words[start:end]))
            if name:
                return end, name
        return None

    def _add(self, alias: str, name: str) -> None:
        key = tuple(word.text for word in words_in(alias)[:-1])
        if key:
            for last in _forms(key[-1]):
                self._genre_by_words.setdefault((*key[:-1], last), name)


def _forms(word: str) -> tuple[str, str]:
    """Return a word and its plural."""
    return word, f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
