"""Snapshots that can be judged from outside: a list follows from its user and its generation.

So whoever gets an answer knows, without looking anything up, whether each byte
is the right one for that user out of the very generation in the header.
"""

import json
import random
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from store.gate_result import GateResult
from store.layout import FACTORS, INDEX, LIST_LENGTH, POPULAR, RECS, RESERVE
from store.publish import publish, writing
from store.writer import SnapshotWriter

Records = Iterator[tuple[bytes, bytes]]

_N_BODIES: Final = 997  # users share them; prime, so that no two users nearby do
_N_ITEMS: Final = 2_000
_MEAN_TITLE: Final = "the+broken+garden+of"  # makes lists as long as real ones
_TIME: Final = "2026-03-01T02:30:00+00:00"


def own_list(user: int, generation: int) -> bytes:
    """Return the body that this user must get out of that generation."""
    return _bodies(generation)[user % _N_BODIES]


def popular_list(generation: int) -> bytes:
    """Return the body for those without a list."""
    return b",".join(_items(generation)[:LIST_LENGTH])


def write_snapshot(store: Path, n_users: int, *, flip: bool = True) -> int:
    """Write a snapshot in which users 0 to n_users - 1 have a list; return its generation."""
    with writing(store), SnapshotWriter(store) as writer:
        generation = writer.generation
        bodies, items = _bodies(generation), _items(generation)
        lists = ((key, bodies[user % _N_BODIES]) for key, user in _users(n_users))
        writer.table(RECS, "users", lists)
        reserve = b",".join(items[LIST_LENGTH : 2 * LIST_LENGTH])
        popular = popular_list(generation)
        writer.table(RECS, "fallback", [(POPULAR, popular), (RESERVE, reserve)])
        writer.table(RECS, "items", ((item, _about(item)) for item in sorted(items)))
        for name in ("spares", "similar", "profiles", "rows"):
            writer.table(RECS, name, [])
        for name in ("users", "items", "biases"):
            writer.table(FACTORS, name, [])
        writer.path(INDEX).touch()
        writer.finish(
            began_at=_TIME,
            finished_at=_TIME,
            code_version="benchmark",
            inputs=[],
            parameters={},
            metrics={},
            gate=GateResult(),
        )
        if flip:
            publish(store, generation, why="benchmark")
    return generation


@lru_cache(maxsize=64)
def _bodies(generation: int) -> tuple[bytes, ...]:
    rng = random.Random(generation)
    items = _items(generation)
    return tuple(b",".join(rng.sample(items, LIST_LENGTH)) for _ in range(_N_BODIES))


@lru_cache(maxsize=64)
def _items(generation: int) -> tuple[bytes, ...]:
    return tuple(b"%d+%s+%d+1997" % (generation, _MEAN_TITLE.encode(), n) for n in range(_N_ITEMS))


@lru_cache(maxsize=1)
def _users(n_users: int) -> list[tuple[bytes, int]]:
    return sorted((b"%d" % user, user) for user in range(n_users))


def _about(item: bytes) -> bytes:
    return json.dumps({"title": item.decode(), "year": 1997}).encode()
