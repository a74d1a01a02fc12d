"""Adversarial content of a store's files, for the fuzz in process and on a live server."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from store.layout import CHECKSUMS, DATA_FILES, MANIFEST
from store.manifest import sha256

TEXTS = {
    "CURRENT": [
        *(b"9" * 5_000, b"9" * 100_000, b"0", b"-1", b"1.0", b"1e3", b"+1", b"1_0", b"1\n2"),
        *(b"\xd9\xa4\xd9\xa2", b"\x00", b"1\x00", b" \xa01", b"999999999999999999999"),
    ],
    "PIN": [
        *(b"9" * 5_000 + b"\twhy", b"\t", b"1", b"0\twhy", b"1\t" + b"x" * 2_000_000),
        b"\xff\xfe\t\xff",
    ],
    "JOURNAL": [
        b"2026-01-01T00:00:00+00:00\t" + b"9" * 5_000 + b"\tpublish\twhy\n",
        b"2026-01-01\t1\tpublish\twhy\n",
        b"2026-01-01T00:00:00\t1\tpublish\twhy\n",
        b"0001-01-01T00:00:00+14:00\t1\tpublish\twhy\n",
        b"\t\t\t\n" * 1000,
        b"2026-01-01T00:00:00+00:00\t\xd9\xa4\tvoid\t\n",
    ],
    "TAKEDOWN": [
        b"a\tb\tc",
        b"a\tb\n",
        b"a" * 300 + b"\tb\tc\n",
        b"../x\tb\tc\n",
        b"\xff\tb\tc\n",
        b"\n" * 5_000,
    ],
    "SHA256SUMS": [
        b"0" * 64 + b"  ../../etc/passwd\n",
        b"0" * 64 + b"  recs.mdb\n" + b"0" * 64 + b"  recs.mdb\n",
        b"  \n" * 100,
        b"0" * 64 + b" *recs.mdb\n",
        b"A" * 100_000,
    ],
    "MANIFEST.json": [
        b"[" * 200_000 + b"]" * 200_000,
        b'{"a":' * 200_000,
        b'{"format_version": ' + b"9" * 5_000 + b"}",
        b'{"format_version": 1e999}',
        b'{"format_version": 1, "generation": "\\ud800"}',
        b'"' + b'\\"' * 200_000,
        b"{" + b"[]," * 200_000 + b"}",
        b"x" * (9 << 20),
    ],
}
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 10**12 + 1, 1 << 64, 10**4000, 1.5, float("nan"), float("inf")),
    *("", "text", "\ud800", "2026-03-01T02:30:00", "2026-03-01", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59-14:00", [], [1], [[]], {}, {"a": -1}, {"../x": 1}, {"rules": []}, [{}]),
]


def manifests(sound: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield manifests without end, in which one field has another value or is missing."""
    while True:
        document = json.loads(sound)
        target = document
        while isinstance(target, dict) and target:
            key = rng.choice([*target])
            if rng.random() < 0.6 or not isinstance(target[key], dict) or not target[key]:
                break
            target = target[key]
        if rng.random() < 0.1:
            del target[key]
        else:
            target[key] = rng.choice(VALUES)
        yield json.dumps(document).encode("ascii")


def damaged(sound: bytes, rng: random.Random) -> bytes:
    """Return a file with flipped bytes, cut, extended, doubled, or of random bytes."""
    kind = rng.randrange(5)
    content = bytearray(sound)
    if kind == 0:
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == 1:
        del content[rng.randrange(len(content)) :]
    elif kind == 2:
        at = rng.randrange(len(content))
        content[at:at] = rng.randbytes(rng.randint(1, 50))
    elif kind == 3:
        content *= 2
    else:
        content = bytearray(rng.randbytes(rng.randint(0, 300)))
    return bytes(content)


def versions(name: str, sound: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield damaged versions of one file of a store without end, the worst first."""
    yield from TEXTS.get(name, [])
    typed = manifests(sound, rng) if name == "MANIFEST.json" else None
    while True:
        yield next(typed) if typed and rng.random() < 0.7 else damaged(sound, rng)


def resummed(folder: Path) -> None:
    """Make `SHA256SUMS` right again: the author of a hostile manifest writes it too."""
    names = sorted((*DATA_FILES, MANIFEST))
    (folder / CHECKSUMS).write_text("".join(f"{sha256(folder / n)}  {n}\n" for n in names))


def n_rounds(default: int, *, divisor: int = 1) -> int:
    """Return the number of rounds of a fuzz test; `.ci/campaigns store-fuzz` asks for more.

    Args:
        default: Rounds of an ordinary run.
        divisor: What a campaign's rounds are divided by where one takes seconds.
    """
    asked = os.environ.get("STORE_FUZZ_ROUNDS")
    return int(asked) // divisor if asked else default
