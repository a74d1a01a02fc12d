"""Real data sets by name, as files below one folder, and how to read one.

FOLDER/ml-100k/          MovieLens 100k
FOLDER/ml-latest-small/  MovieLens latest, small
FOLDER/ml-1m/            MovieLens 1M
FOLDER/stream/, api/     a real service's views, catalogues and profiles
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batch.events.read import read_events
from batch.interactions.build import Interactions, build_interactions
from batch.records.catalogue import Item, read_catalogues
from batch.records.profiles import Profile, read_profiles
from batch.settings import BatchSettings

MOVIE_ANSWERS: Final = "api/movies-2025.jsonl.gz"  # answers of the service's API for films


@dataclass(frozen=True, slots=True)
class DataSet:
    """The files of one service.

    Attributes:
        name: Name in tables and figures.
        events: Path of the interactions, below a folder.
        catalogues: Paths of the catalogues.
        profiles: Paths of the profiles.
    """

    name: str
    events: str
    catalogues: Sequence[str] = ()
    profiles: Sequence[str] = ()

    def exists(self, folder: Path) -> bool:
        """Return whether the interactions are there."""
        return (folder / self.events).exists()


ML_100K: Final = DataSet("ml-100k", "ml-100k/u.data", ("ml-100k/u.item",), ("ml-100k/u.user",))
ML_LATEST_SMALL: Final = DataSet("ml-latest-small", "ml-latest-small/ratings.csv")
ML_1M: Final = DataSet("ml-1m", "ml-1m/pairs.parquet", ("ml-1m/movies.dat",), ("ml-1m/users.dat",))
VIEWS_290K: Final = DataSet(
    "views-290k",
    "stream/views-290k-users.tsv.gz",
    (MOVIE_ANSWERS, "api/movie-catalogue-2022.csv"),
    ("api/users-2022.csv", "api/users-2019.jsonl"),
)


def simulated(name: str = "simulated") -> DataSet:
    """Return the files that `benchmarks.simulator history --parquet` writes, below its folder."""
    return DataSet(name, "events", ("catalogue.jsonl",), ("profiles.jsonl",))


@dataclass(frozen=True, slots=True)
class Service:
    """One data set, read.

    Attributes:
        name: Name in tables and figures.
        interactions: Interactions of all users.
        items: Items of the catalogue by item_id.
        profiles: Profiles by user_id.
    """

    name: str
    interactions: Interactions
    items: Mapping[str, Item]
    profiles: Mapping[str, Profile]


def read_service(data_set: DataSet, folder: Path) -> Service:
    """Read a data set as a refresh with the default settings does."""
    items = read_catalogues([folder / path for path in data_set.catalogues]).items
    with tempfile.TemporaryDirectory() as quarantine:
        settings = BatchSettings(events=(str(folder / data_set.events),), quarantine=quarantine)
        events = read_events(settings).events
    runtimes = {item_id: item.runtime for item_id, item in items.items()}
    interactions = build_interactions(events, runtimes, settings.max_rating)
    profiles = read_profiles([folder / path for path in data_set.profiles]).users
    return Service(data_set.name, interactions, items, profiles)
