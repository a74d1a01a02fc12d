"""Stated preferences: what a user says they like and do not, as items and genres of the catalogue.

    likes "Heat, and some sci-fi"   dislikes "horror"
        ─►  StatedPreferences(items=(17,), genres=("Science Fiction",), not_genres=("Horror",))

Nothing is read between the lines: "not" within what somebody likes is not understood.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from batch.cold_start.genres import Genres
from batch.cold_start.titles import Titled, Titles
from batch.cold_start.words import words_in
from batch.records.catalogue import Item
from batch.records.profiles import Profile, is_minor


class StatedPreferences(NamedTuple):
    """What one or more users have said; in the order of the rows and names.

    Attributes:
        items: Item rows that they like.
        genres: Names of the catalogue.
        not_items: Item rows that they do not like.
        not_genres: Names of the catalogue.
        is_minor: Whether adult titles are kept from them.
    """

    items: tuple[int, ...] = ()
    genres: tuple[str, ...] = ()
    not_items: tuple[int, ...] = ()
    not_genres: tuple[str, ...] = ()
    is_minor: bool = False


class TasteReader:
    """Reads tastes out of profiles, for one catalogue."""

    def __init__(
        self,
        item_ids: Sequence[str],
        items: Mapping[str, Item],
        n_users: Sequence[int],
        is_minor: Callable[[Profile], bool] = is_minor,
    ) -> None:
        """Prepare to find the titles and genres of a catalogue.

        Args:
            item_ids: (n_items,) of the rows.
            items: What is known, by item_id.
            n_users: (n_items,) of each row: of items of one title the most popular is meant.
            is_minor: Whether adult titles are kept from users of a profile.
        """
        self._titles = Titles(_titled(item_ids, items, n_users))
        self._genres = Genres(name for item in items.values() for name in item.genres)
        self._is_minor = is_minor
        self._read = lru_cache(maxsize=1 << 16)(self._found)

    def taste(self, profile: Profile) -> StatedPreferences | None:
        """Return the taste that a profile tells of; None if it names nothing that is known."""
        items, genres = self._read(profile.likes) if profile.likes else ((), ())
        not_items, not_genres = self._read(profile.dislikes) if profile.dislikes else ((), ())
        if not (items or genres or not_items or not_genres):
            return None
        return StatedPreferences(
            tuple(row for row in items if row not in not_items),
            tuple(name for name in genres if name not in not_genres),
            not_items,
            not_genres,
            self._is_minor(profile),
        )

    def _found(self, text: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
        words = words_in(text)
        items, genres, at = set(), set(), 0
        titles = {begin: (end, row) for begin, end, row in self._titles.find(words)}
        while at < len(words):
            genre, title = self._genres.at(words, at), titles.get(at)
            if title and not (genre and genre[0] >= title[0]):
                items.add(title[1])
                at = title[0]
            elif genre:
                genres.add(genre[1])
                at = genre[0]
            else:
                at += 1
        return tuple(sorted(items)), tuple(sorted(genres))


def _titled(
    item_ids: Sequence[str], items: Mapping[str, Item], n_users: Sequence[int]
) -> Iterable[Titled]:
    """Yield all titles; an item that the catalogue gives none is called by its id, `heat+1995`."""
    for row, (item_id, n) in enumerate(zip(item_ids, n_users, strict=True)):
        item = items.get(item_id)
        if item and item.title:
            yield Titled(item.title, item.year, row, n)
        elif "+" in item_id:
            title, _, last = item_id.rpartition("+")
            is_year = len(last) == len("1995") and last.isdigit()
            name = title if is_year else item_id
            yield Titled(name.replace("+", " "), int(last) if is_year else None, row, n)
