"""Genres in free text: "sci-fi" or "romantic comedies" name genres of the catalogue."""

from collections.abc import Iterable
from typing import Final

from batch.cold_start.words import Word, words_in

_ALIASES: Final[dict[str, str]] = {  # by what a catalogue may call it, in lower case
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
_MOST_WORDS: Final = 3


class Genres:
    """The genres of a catalogue, to be found in texts."""

    def __init__(self, names: Iterable[str]) -> None:
        self._named: dict[tuple[str, ...], str] = {}
        names = sorted(set(names))
        for name in names:
            self._add(name, name)
        for name in names:  # what another genre is really called stays that genre's
            for alias in _ALIASES.get(name.casefold(), "").split():
                self._add(alias, name)

    def at(self, words: list[Word], at: int) -> tuple[int, str] | None:
        """Return (the word behind it, the genre) of one that begins at a word."""
        for end in range(min(at + _MOST_WORDS, len(words) - 1), at, -1):
            name = self._named.get(tuple(word.text for word in words[at:end]))
            if name:
                return end, name
        return None

    def _add(self, called: str, name: str) -> None:
        key = tuple(word.text for word in words_in(called)[:-1])
        if key:
            for last in _forms(key[-1]):
                self._named.setdefault((*key[:-1], last), name)


def _forms(word: str) -> tuple[str, str]:
    """Return a word and its plural."""
    return word, f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
