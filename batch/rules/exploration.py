"""Exploration: the last places are drawn, with probabilities that can be computed again.

    before   1 2 3 … 17 │ 18 19 20 21 … 30      fixed │ pool: last places of the list, and spares
    after    1 2 3 … 17 │  a  b  c │ the rest   a, b, c drawn from the pool, in this order

The draw is Plackett–Luce: the candidate at place i of the pool has the weight exp(-i / T), T
being the temperature in places, and is drawn with its share of the weights that are left.
Gumbel noise on the logarithms of the weights draws all places at once. The noise is a hash of
the snapshot's salt and the user, and weights depend on places alone. So salt, temperature and
the size of the pool give the places that were drawn, and the list and its spares give the pool
in its order: propensities need no further file, whatever model and rules made the list.

Source:
    Plackett, "The Analysis of Permutations", Applied Statistics 1975; Kool, van Hoof and
    Welling, "Stochastic Beams and Where to Find Them", ICML 2019 (Gumbel-top-k).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import shake_128
from typing import Final

import numpy as np

from batch.arrays import Doubles, Rows
from batch.rules.lists import places, reordered
from batch.topk import NO_ITEM, TopK

NOT_DRAWN: Final = -1
SALT: Final = "explore_salt"  # parameter of the rules in the manifest
MOVED: Final = "lists_moved_after_draw"  # metric in the manifest: lists that limits changed then
_BITS: Final = 53  # of a uniform number in (0, 1)


@dataclass(frozen=True, slots=True)
class Draw:
    """The distribution of the last places of each list, and the salt of what was drawn.

    Attributes:
        n: Number of places that are drawn, at the end of a list.
        temperature: Places of the pool over which a candidate's weight falls to 1/e.
        salt: Salt of the hashes.
    """

    n: int
    temperature: float
    salt: str

    def log_weights(self, n_pool: Rows) -> Doubles:
        """Return (n_users, max(n_pool)) logarithms of the weights; -inf behind a pool's end.

        Args:
            n_pool: (n_users,) number of candidates in each user's pool.
        """
        place = np.arange(int(n_pool.max(initial=0)))
        return np.where(place < n_pool[:, None], -place / self.temperature, -np.inf)

    def drawn_places(self, user_ids: Sequence[str], n_pool: Rows) -> Rows:
        """Return (n_users, n) places of the pool in the order drawn; NOT_DRAWN behind the last.

        Args:
            user_ids: (n_users,) ids.
            n_pool: (n_users,) number of candidates in each user's pool.
        """
        keys = self.log_weights(n_pool)
        keys += self._noise(user_ids, keys.shape[1])
        drawn = np.full((len(user_ids), self.n), NOT_DRAWN)
        best = np.argsort(-keys, axis=1, kind="stable")[:, : self.n]
        drawn[:, : best.shape[1]] = best
        drawn[np.arange(self.n) >= n_pool[:, None]] = NOT_DRAWN
        return drawn

    def _noise(self, user_ids: Sequence[str], n: int) -> Doubles:
        """Return (n_users, n) Gumbel variables; those of a place do not depend on n."""
        salted = shake_128(self.salt.encode() + b"\0")
        digests = bytearray()
        for user_id in user_ids:
            of_user = salted.copy()
            of_user.update(user_id.encode())
            digests += of_user.digest(8 * n)
        integers = np.frombuffer(digests, "<u8").reshape(len(user_ids), n)
        uniform = ((integers >> (64 - _BITS)) + 0.5) / 2.0**_BITS
        return np.asarray(-np.log(-np.log(uniform)))


def explored(lists: TopK, draw: Draw, user_ids: Sequence[str], *, n_list: int, n_kept: int) -> TopK:
    """Return the lists with drawn candidates in the last of the first n_list places.

    A user with fewer kept items than fill the list gets as many drawn ones as there are.

    Args:
        lists: (n_users, k) candidates, best first.
        draw: Distribution of the last places.
        user_ids: (n_users,) ids.
        n_list: Number of items of a list, at least `draw.n`.
        n_kept: Number of items kept, spares included.
    """
    n_fixed = n_list - draw.n
    n_pool = np.maximum((lists.item_rows[:, :n_kept] != NO_ITEM).sum(axis=1) - n_fixed, 0)
    drawn = draw.drawn_places(user_ids, n_pool)
    key = places(lists).astype(np.float64)
    for rank in range(draw.n):
        users = np.flatnonzero(drawn[:, rank] != NOT_DRAWN)
        key[users, n_fixed + drawn[users, rank]] = n_fixed - 1 + (rank + 1) / (draw.n + 1)
    return reordered(lists, np.argsort(key, axis=1, kind="stable"))
