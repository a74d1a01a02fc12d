"""Snapshots that a client can check: a list follows from its user and its generation.

A client needs no lookup to check each byte of an answer against the user and the
generation in the header.
"""

import json
import random
from functools import lru_cache
from pathlib import Path
from typing import Final

from benchmarks.harness import snapshots
from store.layout import LIST_LENGTH, POPULAR, RECS, RESERVE

_N_BODIES: Final = 997  # shared by users; a prime, so that neighbouring users differ
_N_ITEMS: Final = 2_000
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
            "items": ((item, _describe(item)) for item in sorted(items)),
        }
        return {RECS: recs}

    return snapshots.write_snapshot(store, tables, snapshots.Extras(is_published=flip))


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


def _describe(item: bytes) -> bytes:
    return json.dumps({"title": item.decode(), "year": 1997}).encode()
