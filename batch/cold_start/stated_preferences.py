"""Stated preferences: likes and dislikes in free text, as items and genres of the catalogue.

    likes "Heat, and some sci-fi"   dislikes "horror"
        ─►  StatedPreferences(items=(17,), genres=("Science Fiction",), disliked_genres=("Horror",))

Only names are recognised: a "not" within the likes has no effect.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from batch.cold_start.genres import Genres
from batch.cold_start.titles import CatalogueTitle, Titles
from batch.cold_start.words import words_in
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor

_CACHED_TEXTS: Final = 1 << 16


class StatedPreferences(NamedTuple):
    """Likes and dislikes of one or more users, each sorted.

    Attributes:
        items: Item rows of the liked titles.
        genres: Liked genres, as the catalogue names them.
        disliked_items: Item rows of the disliked titles.
        disliked_genres: Disliked genres, as the catalogue names them.
        is_minor: Whether adult titles are excluded.
    """

    items: tuple[int, ...] = ()
    genres: tuple[str, ...] = ()
    disliked_items: tuple[int, ...] = ()
    disliked_genres: tuple[str, ...] = ()
    is_minor: bool = False


class PreferenceParser:
    """A parser of profiles for one catalogue."""

    def __init__(
        self,
        item_ids: Sequence[str],
        items: Mapping[str, Item],
        n_users: Sequence[int],
        is_minor: Callable[[Profile], bool] = is_minor,
    ) -> None:
        """Index the titles and genres of a catalogue.

        Args:
            item_ids: (n_items,) id of each item row.
            items: Catalogue entries by item_id.
            n_users: (n_items,) users of each item row; a shared title means the most popular item.
            is_minor: Test whether adult titles are excluded for a profile.
        """
        self._titles = Titles(_catalogue_titles(item_ids, items, n_users))
        self._genres = Genres(name for item in items.values() for name in item.genres)
        self._is_minor = is_minor
        self._parse = lru_cache(maxsize=_CACHED_TEXTS)(self._parse_text)

    def parse(self, profile: Profile) -> StatedPreferences | None:
        """Return the preferences in a profile; None if it names no item and no genre."""
        items, genres = self._parse(profile.likes) if profile.likes else ((), ())
        disliked_items, disliked_genres = (
            self._parse(profile.dislikes) if profile.dislikes else ((), ())
        )
        if not (items or genres or disliked_items or disliked_genres):
            return None
        return StatedPreferences(
            tuple(row for row in items if row not in disliked_items),
            tuple(name for name in genres if name not in disliked_genres),
            disliked_items,
            disliked_genres,
            self._is_minor(profile),
        )

    def _parse_text(self, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
        words = words_in(text)
        items, genres, start = set(), set(), 0
        titles = {begin: (end, row) for begin, end, row in self._titles.find(words)}
        while start < len(words):
            genre, title = self._genres.at(words, start), titles.get(start)
            if title and not (genre and genre[0] >= title[0]):
                items.add(title[1])
                start = title[0]
            elif genre:
                genres.add(genre[1])
                start = genre[0]
            else:
                start += 1
        return tuple(sorted(items)), tuple(sorted(genres))


def _catalogue_titles(
    item_ids: Sequence[str], items: Mapping[str, Item], n_users: Sequence[int]
) -> Iterable[CatalogueTitle]:
    """Yield all titles; without one in the catalogue, the title in an id such as `heat+1995`."""
    for row, (item_id, n) in enumerate(zip(item_ids, n_users, strict=True)):
        item = items.get(item_id)
        if item and item.title:
            yield CatalogueTitle(item.title, item.year, row, n)
        elif "+" in item_id:
            title, _, last = item_id.rpartition("+")
            is_year = len(last) == len("1995") and last.isdigit()
            name = title if is_year else item_id
            yield CatalogueTitle(name.replace("+", " "), int(last) if is_year else None, row, n)
