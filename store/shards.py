"""Shards: which of N parts of the users a user is in.

    user_id ─► MurmurHash2, 32 bits, seed 0 ─► first shard whose end is above the hash

    split_clients $user_id $shard { 25% 0; 25% 1; 25% 2; * 3; }    the same shard, in nginx

nginx takes shares in hundredths of a percent, and cumulates their parts of 2³² - 1, each
rounded down. So a reverse proxy can send a request to the machine that has the user's shard.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import accumulate, pairwise
from struct import Struct
from typing import Any, Final, Self, TypeVar

from store.parse import excerpt, is_count

T = TypeVar("T")

HASH: Final = "murmurhash2-split-clients-1"  # name in the manifest; another hash has another name
MAX_SHARDS: Final = 100

_NUMBERS: Final = re.compile(r"[0-9]{1,2}(?:,[0-9]{1,2})*", re.ASCII)
_MASK: Final = 0xFFFFFFFF
_WHOLE: Final = 10_000  # hundredths of a percent
_MIN_UNPACKED: Final = 16  # bytes; the shifts of a longer number cost more than its words


def _words(n_words: int) -> Callable[[bytes], tuple[int, ...]]:
    """Return the function from a text to its first words."""
    return Struct(f"<{n_words}I").unpack_from


_UNPACK: Final = [_words(n_words) for n_words in range(17)]
_MAX_UNPACKED: Final = 4 * len(_UNPACK)  # bytes; no valid user id has as many


@dataclass(frozen=True, slots=True)
class Shards:
    """The division of a snapshot's users.

    Attributes:
        n_shards: Number of shards.
        hash: Name of the hash that divides them.
    """

    n_shards: int
    hash: str = HASH

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the division that a manifest names.

        Raises:
            ValueError: It is not one, or of another hash.
        """
        try:
            shards = cls(**value)
        except TypeError as error:
            raise ValueError(f"shards: {error}") from error
        if shards.hash != HASH or not is_count(shards.n_shards, 2, MAX_SHARDS):
            raise ValueError(f"shards: {excerpt(value)} is not a division by this code's hash")
        return shards


def parse_shards(text: str) -> frozenset[int] | None:
    """Return the numbers in a text such as `0,1`; None for `all`.

    Raises:
        ValueError: It is neither.
    """
    if text == "all":
        return None
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f'shards must be "all" or numbers such as "0,1", not {excerpt(text)}')
    return frozenset(map(int, text.split(",")))


def shards_in_words(shards: Collection[int]) -> str:
    """Return numbers of shards as a text that `parse_shards` reads."""
    return ",".join(map(str, sorted(shards)))


def shard_of(user_id: bytes, n_shards: int) -> int:
    """Return the number of a user's shard, from 0.

    Args:
        user_id: Id of the user.
        n_shards: Number of shards, from 1 to MAX_SHARDS.
    """
    return shard_function(n_shards)(user_id)


@lru_cache
def shard_function(n_shards: int) -> Callable[[bytes], int]:
    """Return the function from a user id to the number of the user's shard."""
    return by_shard([partial(_first, shard) for shard in range(n_shards)])


def by_shard(functions: Sequence[Callable[[bytes], T]]) -> Callable[[bytes], T]:
    """Return the function of a user id that calls the one of the user's shard.

    A closure with all of the hash in it, since each request computes it once. Short ids are
    read as one number, which costs less than their words.

    Args:
        functions: Function of each shard.

    Source:
        Appleby, MurmurHash2, 32 bits, seed 0; words are little-endian.
    """
    ends, from_bytes = shard_ends(len(functions)), int.from_bytes

    def function(user_id: bytes) -> T:
        value = n_rest = len(user_id)
        if n_rest < _MIN_UNPACKED:
            rest = from_bytes(user_id, "little")
            while n_rest > 3:
                mixed = rest * 0x5BD1E995 & 0xFFFFFFFF
                value = (value * 0x5BD1E995 ^ (mixed ^ mixed >> 24) * 0x5BD1E995) & 0xFFFFFFFF
                rest >>= 32
                n_rest -= 4
        else:
            n_words = n_rest >> 2
            unpack = _UNPACK[n_words] if n_rest < _MAX_UNPACKED else _words(n_words)
            for word in unpack(user_id):
                mixed = word * 0x5BD1E995 & 0xFFFFFFFF
                value = (value * 0x5BD1E995 ^ (mixed ^ mixed >> 24) * 0x5BD1E995) & 0xFFFFFFFF
            if n_rest := n_rest & 3:
                rest = from_bytes(user_id[-n_rest:], "little")
        if n_rest:
            value = (value ^ rest) * 0x5BD1E995 & 0xFFFFFFFF
        value = (value ^ value >> 13) * 0x5BD1E995 & 0xFFFFFFFF
        return functions[bisect_right(ends, value ^ value >> 15)](user_id)

    return function


def shards_of(user_ids: Sequence[bytes], n_shards: int) -> list[int]:
    """Return the number of each user's shard; `batch.tables.shards` does it faster."""
    return [*map(shard_function(n_shards), user_ids)]


@lru_cache
def shard_ends(n_shards: int) -> tuple[int, ...]:
    """Return the first hash beyond each shard; the last one takes the rest.

    Source:
        nginx, `ngx_http_split_clients_module.c`: the ends of the parts.
    """
    return tuple(accumulate(share * _MASK // _WHOLE for share in _shares(n_shards)))


def nginx_shares(n_shards: int) -> list[str]:
    """Return the share of each shard for nginx's `split_clients`, `*` for the last."""
    return [f"{share // 100}.{share % 100:02}%" for share in _shares(n_shards)] + ["*"]


def _shares(n_shards: int) -> list[int]:
    """Return the shares of all shards but the last, in hundredths of a percent."""
    ends = [shard * _WHOLE // n_shards for shard in range(n_shards)]
    return [end - begin for begin, end in pairwise(ends)]


def _first(value: int, _: bytes) -> int:
    return value
