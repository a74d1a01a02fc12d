"""Snapshots with valid checksums and broken pages, which crash the workers that read them."""

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from store.layout import CHECKSUMS, DATA_FILES, MANIFEST, RECS, snapshot_folder
from store.manifest import sha256
from store.publish import publish, writing
from tests.snapshots import make_snapshot

PAGE_BYTES = 4096
N_FACTORS = 4
LISTS = {f"user{number:04d}": ["alien", "brazil"] for number in range(400)}
LONG_LIST = [letter * 200 for letter in "abcdefghijklmno"]  # more than a page: an overflow value
VECTORS = {f"film{row}": [row % 7, row % 5, 1, 2] for row in range(40)}
POPULAR = ["casablanca", "diva"]

Damage = Callable[[bytearray], None]


def sound_snapshot(store: Path, name: str, *, flip: bool = True) -> int:
    """Make a sound snapshot; zoe is its last user, on another page than the rest."""
    lists = {**LISTS, "zoe": [name, *LONG_LIST]}
    return make_snapshot(store, lists, POPULAR, vectors=VECTORS, flip=flip)


def size_of_a_value(recs: bytearray) -> None:
    """Set the length of zoe's list to 64 MiB: reading it leaves the file."""
    at = _node(recs, b"zoe", is_long=True)
    struct.pack_into("<HH", recs, at - 4, 0, (64 << 20) >> 16)


def page_of_a_table(recs: bytearray) -> None:
    """Overwrite the leaf of zoe with zeros: LMDB detects it and fails the transaction."""
    begin = _node(recs, b"zoe", is_long=True) // PAGE_BYTES * PAGE_BYTES
    recs[begin : begin + PAGE_BYTES] = bytes(PAGE_BYTES)


def branches_of_the_index(index: bytearray) -> None:
    """Point every branch of every tree far behind the end of the file."""
    for at in range(0, len(index), 12 + 4 * N_FACTORS):
        if struct.unpack_from("<i", index, at)[0] > 1:
            struct.pack_into("<ii", index, at + 4, 1 << 28, 1 << 28)


DAMAGE = pytest.mark.parametrize(
    ("file", "damage", "target"),
    [
        (RECS, size_of_a_value, "/recommend/zoe"),
        (RECS, page_of_a_table, "/recommend/zoe"),
    ],
    ids=lambda part: getattr(part, "__name__", ""),
)


def publish_damaged(store: Path, name: str, file: str, damage: Damage) -> int:
    """Publish a snapshot with a damaged file whose checksum is right."""
    generation = sound_snapshot(store, name, flip=False)
    folder = snapshot_folder(store, generation)
    content = bytearray((folder / file).read_bytes())
    damage(content)
    (folder / file).write_bytes(content)
    names = sorted((*DATA_FILES, MANIFEST))
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names]
    (folder / CHECKSUMS).write_text("".join(lines))
    with writing(store):
        publish(store, generation, "a test")
    return generation


def _node(recs: bytearray, key: bytes, *, is_long: bool) -> int:
    """Return the offset of the flags and the length of `key` in a leaf."""
    return recs.index(struct.pack("<HH", int(is_long), len(key)) + key)
