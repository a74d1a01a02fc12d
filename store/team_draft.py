"""The team draft of two lists, and the bits that say which team placed each item.

    control    a b c d      coin ─► treatment first      merged   e a b c
    treatment  e b f a                                   teams    T C - C

Both teams pick in turns the best item that is not in the merged list yet; a coin decides
who picks first in each round. An item that both would pick, or that stands at the same
rank in both lists, belongs to no team. So a user's clicks on team items compare the lists.

The bits, one a place in 3 bytes: 0 is an item of no team; 1 begins a round of two places,
and the bit of its second place says who was first, 1 for the treatment.

Source:
    Radlinski, Kurup and Joachims, "How Does Clickthrough Data Reflect Retrieval
    Quality?", CIKM 2008, section 4.2.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from store.items import ItemIds
from store.layout import LIST_LENGTH

NO_TEAM: Final = -1
CONTROL: Final = 0
TREATMENT: Final = 1
_N_BYTES: Final = 3
_BLOCK: Final = 16  # longest salt of BLAKE2b


class Draft(NamedTuple):
    """A merged list.

    Attributes:
        names: Item ids, best first.
        teams: Team of each item: `NO_TEAM`, `CONTROL` or `TREATMENT`.
    """

    names: list[bytes]
    teams: list[int]


def coins_function(salt: str) -> Callable[[bytes], int]:
    """Return the function from a user id to 32 fair coins, independent of the user's arm."""
    key = hashlib.blake2b(salt.encode(), digest_size=_BLOCK).digest()

    def coins_of(user_id: bytes) -> int:
        digest = hashlib.blake2b(user_id, digest_size=4, salt=key, person=b"team draft").digest()
        return int.from_bytes(digest, "big")

    return coins_of


def team_draft(
    control: ItemIds, treatment: ItemIds, coins: int, length: int = LIST_LENGTH
) -> Draft:
    """Return the merged list of two lists, each without an item twice.

    Args:
        control: Item ids, best first.
        treatment: Item ids, best first.
        coins: Bit n is 1 if the treatment picks first in round n.
        length: Most items of the merged list.
    """
    at_one_rank = {a for a, b in zip(control, treatment, strict=False) if a == b}
    placed: dict[bytes, int] = {}
    while len(placed) < length:
        a = next((name for name in control if name not in placed), None)
        b = next((name for name in treatment if name not in placed), None)
        if a is None and b is None:
            break
        alone = next((name for name in (a, b) if name in at_one_rank), None)
        if alone is None and (a == b or a is None or b is None):
            alone = b if a is None else a
        if alone is not None:
            placed[alone] = NO_TEAM
            continue
        assert a is not None
        assert b is not None
        picks = ((b, TREATMENT), (a, CONTROL)) if coins & 1 else ((a, CONTROL), (b, TREATMENT))
        placed.update(picks[: length - len(placed)])
        coins >>= 1
    return Draft([*placed], [*placed.values()])


def pack_teams(teams: Sequence[int]) -> bytes:
    """Return the bits of the teams of a merged list."""
    bits, place = 0, 0
    while place < len(teams):
        if teams[place] == NO_TEAM:
            place += 1
            continue
        bits |= 1 << place | teams[place] << place + 1
        place += 2
    return bits.to_bytes(_N_BYTES, "little")


def unpack_teams(packed: bytes, n_items: int) -> list[int]:
    """Return the team of each item of a merged list.

    Raises:
        ValueError: It is not a value of `teams`.
    """
    if len(packed) != _N_BYTES:
        raise ValueError(f"{len(packed)} bytes of teams instead of {_N_BYTES}")
    bits, teams = int.from_bytes(packed, "little"), list[int]()
    while len(teams) < n_items:
        place = len(teams)
        if not bits >> place & 1:
            teams.append(NO_TEAM)
            continue
        first = bits >> place + 1 & 1
        teams += [first, 1 - first]
    return teams[:n_items]
