"""What is judged on: real files of one folder, and a simulated service."""

import dataclasses
import gzip
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from batch.cold_start.words import words_in
from batch.events.kinds import kinds
from batch.events.quarantine import Quarantine
from batch.events.read import read_events
from batch.interactions.build import Interactions, build_interactions
from batch.records.catalogue import Item, read_catalogues
from batch.records.profiles import Profile, read_profiles
from batch.settings import BatchSettings
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world.world import make_world

Rows = npt.NDArray[np.int64]

_API: Final = "api/movies-2025.jsonl.gz"
_FILES: Final = {  # events, catalogues, profiles
    "ml-100k": ("ml-100k/u.data", ["ml-100k/u.item"], ["ml-100k/u.user"]),
    "ml-1m": ("ml-1m/pairs.parquet", ["ml-1m/movies.dat"], ["ml-1m/users.dat"]),
    "views-290k": (
        "stream/views-290k-users.tsv.gz",
        [_API, "api/movie-catalogue-2022.csv"],
        ["api/users-2022.csv", "api/users-2019.jsonl"],
    ),
}
QUICK: Final = ("ml-100k",)


class Data(NamedTuple):
    """One service.

    Attributes:
        name: In the table.
        interactions: Of all users.
        items: By item_id.
        profiles: By user_id.
    """

    name: str
    interactions: Interactions
    items: Mapping[str, Item]
    profiles: Mapping[str, Profile]


def real_data(folder: Path, *, is_quick: bool) -> Iterator[Data]:
    """Yield the real services whose files lie in a folder; MovieLens gets overviews, if it may."""
    for name, (events, catalogues, profiles) in _FILES.items():
        if (folder / events).exists() and (not is_quick or name in QUICK):
            data = _read(
                name,
                folder / events,
                [folder / path for path in catalogues],
                [folder / path for path in profiles],
            )
            is_told = any(item.overview for item in data.items.values())
            if (folder / _API).exists() and not is_told:
                data = data._replace(items=_with_overviews(data.items, folder / _API))
            yield data


def simulated_data(n_users: int, n_items: int, views_per_user: float, seed: int) -> Data:
    """Return a simulated service whose users say which genres they like."""
    world = make_world(n_users, n_items, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_history(world, folder, HistoryOptions(views_per_user, is_parquet=True))
        return _read(
            "simulated",
            folder / "events",
            [folder / "catalogue.jsonl"],
            [folder / "profiles.jsonl"],
        )


def of_users(interactions: Interactions, user_rows: Rows) -> Interactions:
    """Return the interactions of some users; item rows stay as they are."""
    return dataclasses.replace(
        interactions,
        user_ids=interactions.user_ids.take(user_rows),
        weights=interactions.weights[user_rows],
    )


def _read(name: str, events: Path, catalogues: list[Path], profiles: list[Path]) -> Data:
    settings = BatchSettings()
    items = read_catalogues(catalogues).items
    runtimes = {item_id: item.runtime for item_id, item in items.items()}
    with (
        tempfile.TemporaryDirectory() as folder,
        Quarantine(Path(folder), "rejected", 1) as quarantine,
    ):
        known = kinds(settings.user_pattern, settings.item_pattern)
        read = read_events([events], known, quarantine, settings.max_rejected_share)
    interactions = build_interactions(read, runtimes, settings.max_rating)
    return Data(name, interactions, items, read_profiles(profiles).users)


def _with_overviews(items: Mapping[str, Item], answers: Path) -> dict[str, Item]:
    """Return the items with overview and language of the film of the same title and year."""
    told = {}
    with gzip.open(answers, "rt") as lines:
        for line in lines:
            doc = json.loads(line)["doc"]
            year = re.match(r"\d{4}", doc.get("release_date") or "")
            if doc.get("title") and doc.get("overview") and year:
                told[_called(doc["title"]), int(year[0])] = doc
    found = {}
    for item_id, item in items.items():
        doc = told.get((_called(item.title or ""), item.year or 0))
        more = {"overview": doc["overview"], "language": doc["original_language"]} if doc else {}
        found[item_id] = dataclasses.replace(item, **more)
    return found


def _called(title: str) -> str:
    late = re.fullmatch(r"(.*), (The|An?)", re.sub(r" *\(.*", "", title))
    return " ".join(word.text for word in words_in(f"{late[2]} {late[1]}" if late else title)[:-1])
