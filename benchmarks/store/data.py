"""Lists like the batch's: 20 movie ids of 12 to 41 characters, by decimal user id."""

import random
from typing import Final

from benchmarks.store.subjects import Records
from store.layout import LIST_LENGTH

_LETTERS: Final = b"abcdefghijklmnopqrstuvwxyz0123456789+"
_N_ITEMS: Final = 20_000
_MAX_STRIDE: Final = 9


def make_records(n_users: int, seed: int) -> Records:
    """Return `n_users` lists of about 550 bytes, in rising order of keys."""
    rng = random.Random(seed)
    items = [
        bytes(rng.choices(_LETTERS, k=rng.randint(12, 41)))  # mean length with the comma: 27.5
        for _ in range(_N_ITEMS)
    ]
    records = []
    for key in sorted(b"%d" % user for user in range(n_users)):
        stride = rng.randint(1, _MAX_STRIDE)
        first = rng.randrange(_N_ITEMS - LIST_LENGTH * _MAX_STRIDE)
        records.append((key, b",".join(items[first : first + LIST_LENGTH * stride : stride])))
    return records


def choose_keys(records: Records, n_keys: int, seed: int) -> list[bytes]:
    """Return random keys, each a copy of its own, as in a request."""
    chosen = random.Random(seed).choices(records, k=n_keys)
    return [bytes(bytearray(key)) for key, _ in chosen]
