"""A store of realistic size, built once by the product's writer and kept.

    var/benchmarks/serving/users-1000000-items-27000-…/
        store/      one published snapshot, all tables filled
        shards-4/   the same snapshot with its users in four files
        dump.rdb    the same lists as saved by Redis, for the peers that use it

Users 0 to n - 1 have a list; the next tenth has only a profile; the last tenth
before 2 n, but at most 20,000, has only recent views; users from 2 n on are unknown.
The factors are random, and cost the index as much as real ones.
"""

import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import numpy as np

from batch.arrays import Floats
from batch.tables.neighbours import build_index, save_index, similar_items
from benchmarks.harness.snapshots import Extras, Records, Tables, write_snapshot
from benchmarks.store.redis_server import Redis
from store.layout import (
    FACTORS,
    FORMAT_VERSION,
    INDEX,
    LIST_LENGTH,
    POPULAR,
    RECS,
    RESERVE,
    snapshot_folder,
)
from store.pointer import current
from store.recent import RecentWriter
from store.snapshot import open_snapshot

SEED: Final = 7
_VERSION: Final = 2  # of the generated data; a new one builds it again
_N_SPARES, _N_RESERVE, _N_FACTORS, _N_TREES = 10, 180, 64, 50
_MAX_RECENT, _N_VIEWS = 20_000, 3
_MAX_STRIDE: Final = 9
_ADULT_EVERY: Final = 100
_AGES: Final = ("0-17", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")
_ADJECTIVES: Final = "broken golden distant silent crimson hidden last midnight burning forgotten"
_NOUNS: Final = "garden promise river mountain stranger winter kingdom letter shadow harbour"
_ENDINGS: Final = ("", "", "+returns", "+of+the+{}")


@dataclass(frozen=True, slots=True)
class Data:
    """A store and its size.

    Attributes:
        folder: Folder of the store and the dump.
        n_users: Number of users with a list: 0 to n_users - 1.
        n_items: Number of items in the catalogue.
    """

    folder: Path
    n_users: int
    n_items: int

    @property
    def store(self) -> Path:
        """Directory of the store."""
        return self.folder / "store"

    @property
    def recs(self) -> Path:
        """File of the lists."""
        return snapshot_folder(self.store, current(self.store)) / RECS

    @property
    def profiled_users(self) -> range:
        """Users with a profile and no list."""
        return range(self.n_users, self.n_users + max(self.n_users // 10, 1))

    @property
    def recent_users(self) -> range:
        """Users with recent views, and neither list nor profile."""
        return range(
            2 * self.n_users - min(max(self.n_users // 10, 1), _MAX_RECENT), 2 * self.n_users
        )

    @property
    def unknown_users(self) -> range:
        """Users without any data."""
        return range(2 * self.n_users, 3 * self.n_users)

    def item_ids(self) -> list[str]:
        """Return the items of the lists, in order of their rows."""
        names = _names(self.n_items)
        return [name for row, name in enumerate(names) if not _is_adult(row)]

    def lists(self, users: list[int]) -> dict[int, bytes]:
        """Return the lists of some users, read from the snapshot."""
        with open_snapshot(self.store, current(self.store), verified=True) as snapshot:
            found = {user: snapshot.users.get(b"%d" % user) for user in users}
        return {user: body for user, body in found.items() if body is not None}

    def mean_list_bytes(self) -> int:
        """Return the mean length of a thousand lists, bytes."""
        bodies = self.lists(random.Random(SEED).choices(range(self.n_users), k=1_000)).values()
        return round(sum(map(len, bodies)) / len(bodies))


def prepare(folder: Path, n_users: int, n_items: int) -> Data:
    """Return the store of a size; build it if it does not exist."""
    name = f"users-{n_users}-items-{n_items}-seed-{SEED}-format-{FORMAT_VERSION}.{_VERSION}"
    data = Data(folder.absolute() / name, n_users, n_items)
    if not data.folder.is_dir():
        print(f"building {data.folder}", file=sys.stderr)
        building = Data(data.folder.with_suffix(".building"), n_users, n_items)
        shutil.rmtree(building.folder, ignore_errors=True)
        _write(building)
        building.folder.rename(data.folder)
    return data


def prepare_shards(data: Data, n_shards: int) -> Path:
    """Return a store of the same records with the users in shards; make it if it does not exist."""
    store = data.folder / f"shards-{n_shards}"
    if not store.exists():
        print(f"building {store}", file=sys.stderr)
        building = store.with_suffix(".building")
        shutil.rmtree(building, ignore_errors=True)
        with open_snapshot(data.store, current(data.store), verified=True) as snapshot:
            names = ("users", "spares", "similar", "fallback", "profiles", "items", "rows")
            tables = {RECS: {name: getattr(snapshot, name) for name in names}}
            index = snapshot.folder / INDEX
            extras = Extras(
                write_index=lambda path: shutil.copyfile(index, path),
                parameters=snapshot.manifest.parameters,
                n_shards=n_shards,
            )
            write_snapshot(building, lambda _: tables, extras)
        building.rename(store)
    return store


def prepare_redis(data: Data, environment: Mapping[str, str]) -> Path:
    """Return a Redis dump of the same lists; make it if it does not exist.

    Args:
        data: Store with the lists.
        environment: Environment with `redis-server` in its PATH.
    """
    dump = data.folder / "dump.rdb"
    if not dump.exists():
        print(f"building {dump}", file=sys.stderr)
        with open_snapshot(data.store, current(data.store), verified=True) as snapshot:
            lists = list(snapshot.users)
        with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
            with mock.patch.dict(os.environ, environment):
                Redis(one_core=False).write(Path(folder), lists)
            shutil.copy(Path(folder) / "dump.rdb", dump.with_suffix(".building"))
        dump.with_suffix(".building").rename(dump)
    return dump


def _write(data: Data) -> None:
    factors = np.random.default_rng(SEED).standard_normal(
        (data.n_items, _N_FACTORS), dtype=np.float32
    )
    index = build_index(factors, n_trees=_N_TREES, seed=SEED)
    similar = similar_items(index, LIST_LENGTH)
    parameters = {"n_factors": _N_FACTORS, "n_trees": _N_TREES, "seed": SEED}
    extras = Extras(write_index=lambda path: save_index(index, path), parameters=parameters)
    write_snapshot(data.store, lambda _: _tables(data, factors, similar), extras)
    rng = random.Random(SEED)
    watched = data.item_ids()
    with RecentWriter(data.store) as recent:
        recent.add(
            (str(user), name)
            for user in data.recent_users
            for name in rng.sample(watched, _N_VIEWS)
        )


def _tables(data: Data, factors: Floats, similar: Sequence[Sequence[int]]) -> Tables:
    item_ids = [name.encode() for name in _names(data.n_items)]
    listed = [name for row, name in enumerate(item_ids) if not _is_adult(row)]
    items = sorted(zip(item_ids, range(data.n_items), strict=True))
    recs: dict[str, Records] = {
        "users": _lists(listed, data.n_users, slice(LIST_LENGTH)),
        "spares": _lists(listed, data.n_users, slice(LIST_LENGTH, None)),
        "similar": ((name, b",".join(item_ids[n] for n in similar[row])) for name, row in items),
        "fallback": _fallback(listed),
        "profiles": _profiles(data.profiled_users.stop),
        "items": ((name, _describe(name, row)) for name, row in items),
        "rows": sorted((b"%d" % row, name) for name, row in items),
    }
    return {RECS: recs, FACTORS: {"items": ((name, factors[row].tobytes()) for name, row in items)}}


def _names(n_items: int) -> list[str]:
    """Return ids like the real service's: `broken+garden+of+the+river+4+1997`."""
    rng = random.Random(SEED)
    names: dict[str, None] = {}
    while len(names) < n_items:
        noun, other = rng.choice(_NOUNS.split()), rng.choice(_NOUNS.split())
        title = f"{rng.choice(_ADJECTIVES.split())}+{noun}{rng.choice(_ENDINGS)}".format(other)
        number = rng.choice(("", "", f"+{rng.randint(2, 9)}"))
        names[f"{title}{number}+{rng.randint(1920, 2025)}"] = None
    return list(names)


def _is_adult(row: int) -> bool:
    return row % _ADULT_EVERY == _ADULT_EVERY - 1


def _lists(listed: list[bytes], n_users: int, part: slice) -> Records:
    n_drawn = LIST_LENGTH + _N_SPARES
    rng = random.Random(SEED)  # the same for both parts of a list
    max_stride = max(1, min(_MAX_STRIDE, len(listed) // n_drawn - 1))
    for user in sorted(b"%d" % number for number in range(n_users)):
        stride = rng.randint(1, max_stride)
        first = rng.randrange(len(listed) - n_drawn * stride)
        yield user, b",".join(listed[first : first + n_drawn * stride : stride][part])


def _fallback(listed: list[bytes]) -> Records:
    segments = [*_AGES, *(f"{age}/{gender}" for age in _AGES for gender in "FM"), "F", "M"]
    lists = {
        POPULAR: listed[:LIST_LENGTH],
        RESERVE: listed[LIST_LENGTH : LIST_LENGTH + _N_RESERVE],
        **{
            segment.encode(): listed[number * LIST_LENGTH % (len(listed) - LIST_LENGTH) :][
                :LIST_LENGTH
            ]
            for number, segment in enumerate(segments, 1)
        },
    }
    return ((key, b",".join(names)) for key, names in sorted(lists.items()))


def _profiles(n_users: int) -> Records:
    segments = [f"{age}/{gender}".encode() for age in _AGES for gender in "FM"]
    for number, user in enumerate(sorted(b"%d" % number for number in range(n_users))):
        segment = segments[number % len(segments)]
        yield user, segment + (b" minor" if segment.startswith(b"0-17") else b"")


def _describe(name: bytes, row: int) -> bytes:
    title, _, year = name.decode().replace("+", " ").title().rpartition(" ")
    entry = {"title": title, "year": int(year), "genres": ["Drama"], "runtime": 100}
    entry |= {"adult": _is_adult(row), "item_row": row}
    return json.dumps(entry, sort_keys=True).encode()
