"""The assignment of users to the arms of an experiment.

    user_id ─► CRC-32 ─► one of 16,384 buckets ─► arm       a look into 16 KiB
    salt    ─► an order of the buckets ─► the first of them are arm 0, the next arm 1, …

So an arm costs a request one hash and no arithmetic. A CRC alone would be linear: two
salts would give the same division of users, or its opposite. The salt gives each bucket a
place at random, and each arm exactly its share of the buckets. Buckets by a CRC have nothing
to do with what users watch, so the unit of the statistics stays the user.
"""

import hashlib
import json
import math
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple, Self
from zlib import crc32

BUCKET_MASK: Final = (1 << 14) - 1  # of the CRC-32 of a user id
_N_BUCKETS: Final = BUCKET_MASK + 1


class Assignment(NamedTuple):
    """Which generation each user is served.

    Attributes:
        generations: Generation of each arm; a single one without an experiment.
        salt: Salt of the experiment; empty without one.
        shares: Share of each arm; their sum is 1.
    """

    generations: tuple[int, ...]
    salt: str = ""
    shares: tuple[float, ...] = (1.0,)

    def generation_function(self) -> Callable[[bytes], int]:
        """Return the function from a user id to the user's generation."""
        if len(self.generations) == 1:
            return lambda _: self.generations[0]
        arm_of, generations = arm_function(self.salt, self.shares), self.generations
        return lambda user_id: generations[arm_of(user_id)]

    def as_text(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(self)

    @classmethod
    def from_text(cls, text: str | bytes) -> Self:
        """Return the assignment in a line of JSON.

        Raises:
            ValueError: It is not one.
        """
        try:
            generations, salt, shares = json.loads(text)
            return cls(tuple(map(int, generations)), str(salt), tuple(map(float, shares)))
        except TypeError as error:
            raise ValueError(f"not an assignment of users: {error}") from error


def arm_function(salt: str, shares: Sequence[float]) -> Callable[[bytes], int]:
    """Return the function from a user id to the number of the user's arm.

    Args:
        salt: Text; different ones give independent assignments.
        shares: Share of each arm; their sum is 1.
    """
    arms = arm_by_bucket(salt, tuple(shares))
    return lambda user_id: arms[crc32(user_id) & BUCKET_MASK]


@lru_cache(maxsize=4)  # an experiment whose arms move keeps salt and shares
def arm_by_bucket(salt: str, shares: tuple[float, ...]) -> bytes:
    """Return the arm's number for each bucket; a user's is `crc32(user_id) & BUCKET_MASK`."""
    places = array("Q", hashlib.shake_256(salt.encode()).digest(8 * _N_BUCKETS))
    order = sorted(range(_N_BUCKETS), key=places.__getitem__)
    ends = [round(math.fsum(shares[:n]) * _N_BUCKETS) for n in range(len(shares))] + [_N_BUCKETS]
    arms = bytearray(_N_BUCKETS)
    for arm in range(len(shares)):
        for bucket in order[ends[arm] : ends[arm + 1]]:
            arms[bucket] = arm
    return bytes(arms)
