"""The services that are evaluated: real data sets of one folder, and a simulated one."""

import dataclasses
import gzip
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Floats, Rows
from batch.cold_start.words import words_in
from batch.interactions.build import Interactions
from batch.records.catalogue import Item
from batch.records.vectors import OutsideVectors
from benchmarks.cold_start.embedding import outside_vectors
from benchmarks.harness.data_sets import (
    ML_1M,
    ML_100K,
    MOVIE_ANSWERS,
    VIEWS_290K,
    Service,
    read_service,
    simulated,
)
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world.world import make_world

_DATA_SETS: Final = (ML_100K, ML_1M, VIEWS_290K)
_QUICK: Final = (ML_100K,)
_N_NUMBERS: Final = 64  # of a taste vector


class Tastes(NamedTuple):
    """Vectors of the tastes of a simulated service.

    Attributes:
        items: Vectors of the items.
        users: Vectors of the users.
    """

    items: OutsideVectors
    users: OutsideVectors


def real_data(folder: Path, *, is_quick: bool) -> Iterator[Service]:
    """Yield the data sets that exist in a folder; MovieLens gets overviews where it has none."""
    for data_set in _QUICK if is_quick else _DATA_SETS:
        if not data_set.exists(folder):
            continue
        service = read_service(data_set, folder)
        has_overviews = any(item.overview for item in service.items.values())
        if (folder / MOVIE_ANSWERS).exists() and not has_overviews:
            items = _with_overviews(service.items, folder / MOVIE_ANSWERS)
            service = dataclasses.replace(service, items=items)
        yield service


def simulated_data(n_users: int, n_items: int, views_per_user: float, seed: int) -> Service:
    """Return a simulated service whose users state the genres they like."""
    world = make_world(n_users, n_items, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(world, folder, HistoryOptions(views_per_user, is_parquet=True))
        return read_service(simulated(), folder)


def taste_vectors(n_users: int, n_items: int, seed: int) -> Tastes:
    """Return the latent tastes of the simulated items and users, with noise, as vectors.

    They stand for an embedding that is as good as one can hope for: half of its variance is
    what the views depend on, in unknown directions, the rest is noise.
    """
    world = make_world(n_users, n_items, seed)
    random = np.random.default_rng(seed)
    item_ids, user_ids = world.items.ids, [str(number) for number in world.users.ids.tolist()]
    return Tastes(
        outside_vectors("item", item_ids, _noisy(world.items.tastes, random)),
        outside_vectors("user", user_ids, _noisy(world.users.tastes, random)),
    )


def _noisy(tastes: Floats, random: np.random.Generator) -> Floats:
    mixed = (tastes - tastes.mean(axis=0)) @ random.normal(size=(tastes.shape[1], _N_NUMBERS))
    noise = mixed.std() * random.normal(size=mixed.shape)
    return np.asarray(mixed + noise, np.float32)


def of_users(interactions: Interactions, user_rows: Rows) -> Interactions:
    """Return the interactions of some users; item rows do not change."""
    return dataclasses.replace(
        interactions,
        user_ids=interactions.user_ids.take(user_rows),
        weights=interactions.weights[user_rows],
    )


def _with_overviews(items: Mapping[str, Item], answers: Path) -> dict[str, Item]:
    """Return the items with overview and language of the film of the same title and year."""
    films = {}
    with gzip.open(answers, "rt") as lines:
        for line in lines:
            film = json.loads(line)["doc"]
            year = re.match(r"\d{4}", film.get("release_date") or "")
            if film.get("title") and film.get("overview") and year:
                films[_normalized(film["title"]), int(year[0])] = film
    found = {}
    for item_id, item in items.items():
        film = films.get((_normalized(item.title or ""), item.year or 0))
        text = {"overview": film["overview"], "language": film["original_language"]} if film else {}
        found[item_id] = dataclasses.replace(item, **text)
    return found


def _normalized(title: str) -> str:
    late_article = re.fullmatch(r"(.*), (The|An?)", re.sub(r" *\(.*", "", title))
    words = words_in(f"{late_article[2]} {late_article[1]}" if late_article else title)
    return " ".join(word.text for word in words[:-1])
