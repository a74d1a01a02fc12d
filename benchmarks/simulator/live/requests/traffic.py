"""Traffic: users and times of requests, drawn a window at a time and fixed by the seed."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Rows
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.world import World

WINDOW_SECONDS: Final = 0.1
_TOLERANCE: Final = 1e-6  # in requests; sums of rates are not exact
NO_USER: Final = -1  # user row of a malformed id

# Ids that are invalid in any implementation; all must get a 4xx status.
MALFORMED: Final = (
    b"no%20such%20user", b"12%2C34", b"5%7C6", b"7%22", b"8%3D9", b"%23", b"100%25", b"%3F",
    b"%00", b"%0d%0a", b"%ff", b"%C3%A9", b"9" * 65, b"12/34",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrafficMix:
    """Rate and kinds of requests.

    Attributes:
        rate: Requests a second, without faults.
        is_constant_rate: Whether requests have equal intervals; else they are Poisson arrivals.
        malformed: Share of requests with a malformed id.
        new_users: Share of requests from users without a history; every second one of these is
            a user's first request.
    """

    rate: float
    is_constant_rate: bool = False
    malformed: float = 0.01
    new_users: float = 0.02


class Plan(NamedTuple):
    """The requests of one window.

    Attributes:
        number: Number of the window.
        seconds: (n,) seconds since the begin of the run, ascending.
        user_rows: (n,) users; NO_USER where the id is malformed.
        users: Escaped user ids, behind `/recommend/` in the path.
        servers: (n,) number of the server of each request.
        joining: (m,) rows of users with their first request.
    """

    number: int
    seconds: Doubles
    user_rows: Rows
    users: list[bytes]
    servers: Rows
    joining: Rows


class Traffic:
    """Draws the windows of a run, one after the other.

    Args:
        world: World whose last users join during the run.
        n_known: Number of users of the history.
        mix: Rate and kinds of requests.
        n_servers: Number of servers between which users are split.
        seed: Random seed of the run.
    """

    def __init__(
        self, world: World, n_known: int, mix: TrafficMix, n_servers: int, seed: int
    ) -> None:
        self._ids = world.users.ids
        self._activity = np.cumsum(world.users.rates[:n_known], dtype=np.float64)
        self._n_known = self._next_new = n_known
        self._mix = mix
        self._n_servers = n_servers
        self._seed = seed
        self._n_due = 0.0  # expected requests so far, at a constant rate

    def window(self, number: int, factor: float) -> Plan:
        """Draw a window; each number once, in order.

        Args:
            number: Number of the window, from 0.
            factor: Factor of the usual rate.
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
        rows = np.where(is_malformed, NO_USER, rows)
        return Plan(number, seconds, rows, users, servers, joining)

    def _moments(self, factor: float, rng: np.random.Generator) -> Doubles:
        """Draw the times of requests, as shares of the window, ascending."""
        expected = self._mix.rate * factor * WINDOW_SECONDS
        if not self._mix.is_constant_rate:
            return np.asarray(np.sort(rng.random(rng.poisson(expected))))
        n_before, self._n_due = self._n_due, self._n_due + expected
        whole = np.arange(np.ceil(n_before - _TOLERANCE), np.ceil(self._n_due - _TOLERANCE))
        return np.asarray(np.clip((whole - n_before) / max(expected, _TOLERANCE), 0.0, 1.0))

    def _users(self, n: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Draw the users: known ones by how much they watch, and new ones."""
        place = rng.random(n) * self._activity[-1]
        rows = np.minimum(np.searchsorted(self._activity, place, side="right"), self._n_known - 1)
        is_new = np.flatnonzero(rng.random(n) < self._mix.new_users)
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


def server_of(user_ids: Rows, n_servers: int, seed: int) -> Rows:
    """Return (n,) the server of each user: constant and evenly split, by a hash.

    Source:
        Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
        OOPSLA 2014: the finalizer of SplitMix64.
    """
    mixed = user_ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15 * (seed + 1) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed % np.uint64(n_servers)).astype(np.int64)
