"""Snapshots that a client can check: a list follows from its user and its generation.

A client needs no lookup to check each byte of an answer against the user and the
generation in the header.
"""

import json
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import annoy

from benchmarks.harness import snapshots
from store.layout import LIST_LENGTH, POPULAR, RECS, RESERVE

_N_BODIES: Final = 997  # shared by users; a prime, so that neighbouring users differ
_N_ITEMS: Final = 2_000
_N_FACTORS: Final = 64
_N_TREES: Final = 20
_TITLE: Final = "the+broken+garden+of"  # of a mean length: lists are as long as real ones


def own_list(user: int, generation: int) -> bytes:
    """Return the right body for a user in a generation."""
    return _bodies(generation)[user % _N_BODIES]


def popular_list(generation: int) -> bytes:
    """Return the body for users without a list."""
    return b",".join(_items(generation)[:LIST_LENGTH])


def write_snapshot(store: Path, n_users: int, *, flip: bool = True) -> int:
    """Write a snapshot with lists of users 0 to n_users - 1; return its generation.

    Args:
        store: Store to write to.
        n_users: Number of users with a list.
        flip: Whether to publish it.
    """

    def tables(generation: int) -> snapshots.Tables:
        bodies, items = _bodies(generation), _items(generation)
        reserve = b",".join(items[LIST_LENGTH : 2 * LIST_LENGTH])
        recs: dict[str, snapshots.Records] = {
            "users": ((key, bodies[user % _N_BODIES]) for key, user in _users(n_users)),
            "fallback": [(POPULAR, popular_list(generation)), (RESERVE, reserve)],
            "items": sorted((item, _describe(item, row)) for row, item in enumerate(items)),
            "rows": sorted((b"%d" % row, item) for row, item in enumerate(items)),
            "similar": sorted(
                (item, b",".join(items[max(row - LIST_LENGTH, 0) : row] or items[:LIST_LENGTH]))
                for row, item in enumerate(items)
            ),
        }
        return {RECS: recs}

    extras = snapshots.Extras(
        _write_index, {"n_factors": _N_FACTORS, "n_indexed": _N_ITEMS}, is_published=flip
    )
    return snapshots.write_snapshot(store, tables, extras)


def item_ids(generation: int) -> Sequence[str]:
    """Return the ids of all items of a generation."""
    return [item.decode() for item in _items(generation)]


@lru_cache(maxsize=64)
def _bodies(generation: int) -> tuple[bytes, ...]:
    rng = random.Random(generation)
    items = _items(generation)
    return tuple(b",".join(rng.sample(items, LIST_LENGTH)) for _ in range(_N_BODIES))


@lru_cache(maxsize=64)
def _items(generation: int) -> tuple[bytes, ...]:
    return tuple(b"%d+%s+%d+1997" % (generation, _TITLE.encode(), n) for n in range(_N_ITEMS))


@lru_cache(maxsize=1)
def _users(n_users: int) -> list[tuple[bytes, int]]:
    return sorted((b"%d" % user, user) for user in range(n_users))


def _describe(item: bytes, row: int) -> bytes:
    return json.dumps({"title": item.decode(), "year": 1997, "item_row": row}).encode()


def _write_index(path: Path) -> None:
    """Write the index of random vectors, which is the same for every generation."""
    rng, index = random.Random(_N_ITEMS), annoy.AnnoyIndex(_N_FACTORS, "angular")
    index.set_seed(_N_TREES)
    for row in range(_N_ITEMS):
        index.add_item(row, [rng.gauss(0, 1) for _ in range(_N_FACTORS)])
    index.build(_N_TREES, n_jobs=1)
    index.save(str(path))
