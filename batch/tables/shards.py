"""The shards of many users at once; `store.shards` computes one, and explains the hash."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batch.arrays import Characters, Words
from store.shards import shard_ends

_MULTIPLIER: Final = np.uint32(0x5BD1E995)
_WORD_BYTES: Final = 4


def shards_of(user_ids: Sequence[bytes], n_shards: int) -> Characters:
    """Return (n_users,) the number of each user's shard.

    Args:
        user_ids: Ids, which hold no zero byte.
        n_shards: Number of shards, from 1 to MAX_SHARDS.
    """
    hashes = _murmur_hash2(user_ids)
    ends = np.array(shard_ends(n_shards), dtype=np.uint32)
    return np.searchsorted(ends, hashes, side="right").astype(np.uint8)


def _murmur_hash2(texts: Sequence[bytes]) -> Words:
    """Return (n_texts,) the 32-bit hash of each text."""
    n_bytes = np.fromiter(map(len, texts), dtype=np.uint32, count=len(texts))
    n_columns = int(n_bytes.max(initial=0)) // _WORD_BYTES + 1
    padded = np.array(texts, dtype=f"S{n_columns * _WORD_BYTES}")
    words = padded.view("<u4").reshape(len(texts), n_columns)
    n_words, values = n_bytes // _WORD_BYTES, n_bytes.copy()
    for column in range(n_columns):
        word = words[:, column].astype(np.uint32)
        mixed = _folded(word * _MULTIPLIER, 24) * _MULTIPLIER
        values = np.where(column < n_words, values * _MULTIPLIER ^ mixed, values)
        has_rest = (column == n_words) & (n_bytes % _WORD_BYTES > 0)
        values = np.where(has_rest, (values ^ word) * _MULTIPLIER, values)
    return _folded(_folded(values, 13) * _MULTIPLIER, 15)


def _folded(values: Words, n_bits: int) -> Words:
    return values ^ (values >> np.uint32(n_bits))
