"""Traffic: who asks when, drawn a window at a time; the same seed gives the same requests."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.items import Floats, Rows
from benchmarks.simulator.world.world import World

WINDOW_SECONDS: Final = 0.1
_ROUNDED: Final = 1e-6  # of a request; sums of rates are not exact
NOBODY: Final = -1  # the row of a malformed id

# What is no user id by any reading; all must get a 4xx.
MALFORMED: Final = (
    b"no%20such%20user", b"12%2C34", b"5%7C6", b"7%22", b"8%3D9", b"%23", b"100%25", b"%3F",
    b"%00", b"%0d%0a", b"%ff", b"%C3%A9", b"9" * 65, b"12/34",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mix:
    """What requests there are.

    Attributes:
        rate: Requests a second, in quiet times.
        is_even: Whether they come at equal distances; else at random moments (Poisson).
        malformed: Share that asks for an id that is none.
        newcomers: Share that comes from users whom the history has not seen; one in two of
            them asks for the first time.
    """

    rate: float
    is_even: bool = False
    malformed: float = 0.01
    newcomers: float = 0.02


class Plan(NamedTuple):
    """The requests of one window.

    Attributes:
        number: Of the window.
        seconds: (n,) since the run began, ascending.
        user_rows: (n,) who asks; NOBODY where the id is malformed.
        users: What stands behind `/recommend/`.
        servers: (n,) who is asked.
        joining: (m,) rows of those who have never come before.
    """

    number: int
    seconds: Floats
    user_rows: Rows
    users: list[bytes]
    servers: npt.NDArray[np.int64]
    joining: Rows


class Traffic:
    """Draws the windows of a run, one after the other.

    Args:
        world: Its last users are those who are yet to come.
        n_known: Users of the history.
        mix: What requests there are.
        n_servers: Among which the users are split.
        seed: Of the run.
    """

    def __init__(self, world: World, n_known: int, mix: Mix, n_servers: int, seed: int) -> None:
        self._ids = world.users.ids
        self._activity = np.cumsum(world.users.rates[:n_known], dtype=np.float64)
        self._n_known = self._next_new = n_known
        self._mix = mix
        self._n_servers = n_servers
        self._seed = seed
        self._begun = 0.0  # requests due so far, where they come evenly

    def window(self, number: int, factor: float) -> Plan:
        """Draw a window; each number once, in order.

        Args:
            number: From 0.
            factor: Times the usual rate.
        """
        rng = generator(self._seed, "traffic", number)
        seconds = WINDOW_SECONDS * (number + self._moments(factor, rng))
        rows, joining = self._users(len(seconds), rng)
        is_malformed = rng.random(len(rows)) < self._mix.malformed
        joining = np.intersect1d(joining, rows[~is_malformed])
        which = rng.integers(0, len(MALFORMED), len(rows))
        users = [
            MALFORMED[one] if bad else b"%d" % user
            for user, bad, one in zip(
                self._ids[rows].tolist(), is_malformed.tolist(), which.tolist(), strict=True
            )
        ]
        servers = server_of(self._ids[rows], self._n_servers, self._seed)
        rows = np.where(is_malformed, NOBODY, rows)
        return Plan(number, seconds, rows, users, servers, joining)

    def _moments(self, factor: float, rng: np.random.Generator) -> Floats:
        """Draw when requests are due, as shares of the window, ascending."""
        expected = self._mix.rate * factor * WINDOW_SECONDS
        if not self._mix.is_even:
            return np.asarray(np.sort(rng.random(rng.poisson(expected))))
        begun, self._begun = self._begun, self._begun + expected
        whole = np.arange(np.ceil(begun - _ROUNDED), np.ceil(self._begun - _ROUNDED))
        return np.asarray(np.clip((whole - begun) / max(expected, _ROUNDED), 0.0, 1.0))

    def _users(self, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Draw who asks: known users by how much they watch, and newcomers."""
        place = rng.random(n) * self._activity[-1]
        rows = np.minimum(np.searchsorted(self._activity, place, side="right"), self._n_known - 1)
        is_new = np.flatnonzero(rng.random(n) < self._mix.newcomers)
        is_first = rng.random(len(is_new)) < 0.5
        left = len(self._ids) - self._next_new
        first = is_new[is_first][:left]
        joining = self._next_new + np.arange(len(first))
        again = np.setdiff1d(is_new, first)
        if self._next_new > self._n_known:
            rows[again] = rng.integers(self._n_known, self._next_new, len(again))
        rows[first] = joining
        self._next_new += len(first)
        return rows, joining


def server_of(user_ids: Rows, n_servers: int, seed: int) -> npt.NDArray[np.int64]:
    """Return (n,) which server each user is given: always the same, evenly, by a hash.

    Source:
        Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
        OOPSLA 2014: the finalizer of SplitMix64.
    """
    mixed = user_ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15 * (seed + 1) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(n_servers)).astype(np.int64)
