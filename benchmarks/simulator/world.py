"""The world: users with profiles, items as the movie API shows them, and latent tastes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_N_TASTES: Final = 6
_POPULARITY_EXPONENT: Final = 0.8  # an item's popularity falls with its rank to this power
_ACTIVITY_SIGMA: Final = 0.9  # of the log-normal views of a user
_GENRES: Final = ("Drama", "Comedy", "Thriller", "Romance", "Animation", "Documentary")
_ADJECTIVES: Final = ("lost", "silent", "golden", "last", "secret", "broken", "distant", "bright")
_NOUNS: Final = ("harbor", "river", "garden", "winter", "station", "letter", "island", "promise")
_OCCUPATIONS: Final = ("student", "programmer", "artist", "lawyer", "retired", "homemaker")


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is true before anything happens.

    Attributes:
        user_ids: (n_users,) integers, written in decimal wherever they appear.
        item_ids: (n_items,) as `the+lost+harbor+1987`.
        user_tastes: (n_users, n_tastes); a user likes an item by the inner product.
        item_tastes: (n_items, n_tastes); the strongest one is the item's genre.
        popularity: (n_items,) sums to 1.
        activity: (n_users,) mean is 1.
        runtimes: (n_items,) minutes.
        years: (n_items,) of release.
        ages: (n_users,) years.
        genders: (n_users,) "F" or "M".
        occupations: (n_users,) in words.
    """

    user_ids: npt.NDArray[np.int64]
    item_ids: list[str]
    user_tastes: Floats
    item_tastes: Floats
    popularity: Floats
    activity: Floats
    runtimes: npt.NDArray[np.int64]
    years: npt.NDArray[np.int64]
    ages: npt.NDArray[np.int64]
    genders: npt.NDArray[np.str_]
    occupations: npt.NDArray[np.str_]


def make_world(n_users: int, n_items: int, seed: int) -> World:
    """Draw a world; the same arguments give the same one."""
    rng = np.random.default_rng(seed)
    years = rng.integers(1930, 2026, n_items)
    popularity = (1.0 + rng.permutation(n_items)) ** -_POPULARITY_EXPONENT
    activity = rng.lognormal(0.0, _ACTIVITY_SIGMA, n_users)
    return World(
        user_ids=np.sort(rng.choice(max(1_000_000, 2 * n_users), n_users, replace=False)),
        item_ids=[_item_id(row, int(year)) for row, year in enumerate(years)],
        user_tastes=rng.normal(size=(n_users, _N_TASTES)),
        item_tastes=rng.normal(size=(n_items, _N_TASTES)),
        popularity=popularity / popularity.sum(),
        activity=activity / activity.mean(),
        runtimes=np.clip(rng.normal(105, 22, n_items), 40, 240).astype(np.int64),
        years=years,
        ages=np.clip(rng.normal(34, 13, n_users), 10, 90).astype(np.int64),
        genders=rng.choice(["F", "M"], n_users),
        occupations=rng.choice(_OCCUPATIONS, n_users),
    )


def write_catalogue(world: World, path: Path) -> None:
    """Write one movie API answer a line."""
    path.write_text("".join(json.dumps(item) + "\n" for item in _items(world)))


def write_profiles(world: World, path: Path) -> None:
    """Write one user API answer a line."""
    columns = (world.user_ids, world.ages, world.occupations, world.genders)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    names = ("user_id", "age", "occupation", "gender")
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))


def _items(world: World) -> Iterator[dict[str, Any]]:
    genre_rows = world.item_tastes.argmax(axis=1)
    for row, item_id in enumerate(world.item_ids):
        title, _, year = item_id.replace("+", " ").rpartition(" ")
        genre = int(genre_rows[row])
        yield {
            "id": item_id,
            "tmdb_id": 1000 + row,
            "imdb_id": f"tt{1_000_000 + row}",
            "title": title.title(),
            "original_title": title.title(),
            "adult": "False",
            "genres": [{"id": genre, "name": _GENRES[genre]}],
            "original_language": "en",
            "overview": f"A {_GENRES[genre].lower()} about a {title.removeprefix('the ')}.",
            "release_date": f"{year}-06-01",
            "runtime": int(world.runtimes[row]),
            "status": "Released",
        }


def _item_id(row: int, year: int) -> str:
    """Return an id in the real form; the part's number makes it unique."""
    name, part = divmod(row, len(_NOUNS))
    series, adjective = divmod(name, len(_ADJECTIVES))
    number = f"+{series + 1}" if series else ""
    return f"the+{_ADJECTIVES[adjective]}+{_NOUNS[part]}{number}+{year}"
