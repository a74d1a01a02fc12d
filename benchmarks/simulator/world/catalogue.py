"""The catalogue in the form of the movie API: one JSON object a line, with its fields and types."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.fitted import GENRES
from benchmarks.simulator.world.items import Items

_GENRES: Final[list[dict[str, Any]]] = [
    {"id": number, "name": name} for name, (number, _) in GENRES.items()
]


def write_catalogue(items: Items, seed: int, path: Path) -> None:
    """Write one movie API answer a line.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("w") as file:
        for answer in movie_answers(items, seed):
            file.write(json.dumps(answer) + "\n")


def movie_answers(items: Items, seed: int) -> Iterator[dict[str, Any]]:
    """Yield what the movie API answers for each item.

    `popularity` and the votes belong to an external database: they are random
    and independent of what the users watch.
    """
    rng = generator(seed, "outside database")
    popularity = rng.lognormal(0, 1.5, len(items)).round(6).tolist()
    votes = rng.normal(6, 1, len(items)).clip(0, 10).round(1).tolist()
    n_votes = rng.geometric(0.02, len(items)).tolist()
    dates = np.datetime_as_string(items.dates).tolist()
    for row, item_id in enumerate(items.ids):
        title, genres = items.titles[row], [_GENRES[genre] for genre in items.genres[row]]
        language = str(items.languages[row])
        kind = genres[0]["name"].lower() if genres else "film"
        yield {
            "id": item_id,
            "tmdb_id": 1000 + row,
            "imdb_id": f"tt{1_000_000 + row}",
            "title": title,
            "original_title": title,
            "adult": str(bool(items.adult[row])),
            "belongs_to_collection": {},
            "budget": "0",
            "genres": genres,
            "homepage": "null",
            "original_language": language,
            "overview": f"A {kind} about {title.lower().removeprefix('the ')}.",
            "popularity": str(popularity[row]),
            "poster_path": f"/{row:x}.jpg",
            "production_companies": [],
            "production_countries": [],
            "release_date": dates[row],
            "revenue": "0",
            "runtime": int(items.runtimes[row]),
            "spoken_languages": [{"iso_639_1": language, "name": language}],
            "status": "Released",
            "vote_average": str(votes[row]),
            "vote_count": str(n_votes[row]),
            "cost": float(items.costs[row]),
        }
