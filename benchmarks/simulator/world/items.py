"""Items: their catalogue data, and the latent popularity and tastes that no catalogue has."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from batch.arrays import Doubles, Flags, Floats
from benchmarks.simulator.seeds import generator, shares
from benchmarks.simulator.world.fitted import (
    ADULT_SHARE,
    COST_MEDIAN_USD,
    COST_SIGMA,
    DECADES,
    GENRE_SPREAD,
    GENRES,
    HEAD_EXPONENT,
    HEAD_OFFSET,
    LANGUAGES,
    N_GENRES,
    N_TASTES,
    NEW_ITEMS_PER_DAY,
    RUNTIME_BY_RANK,
    RUNTIME_SIGMA,
    SECOND_TASTE,
    TAIL_DECAY,
    TAIL_SHARE,
)
from benchmarks.simulator.world.titles import make_titles

ALWAYS: Final = -1  # there before the history begins
_MIN_RUNTIME_MINUTES, _MAX_RUNTIME_MINUTES = 5, 360


@dataclass(frozen=True, slots=True)
class Items:
    """All items of a world.

    Attributes:
        ids: Unique item ids, such as `the+silent+harbor+1987`.
        titles: Titles in ordinary spelling.
        genres: Rows in GENRES of each item, the strongest first; 0 to 5 of them.
        runtimes: (n_items,) minutes.
        dates: (n_items,) release dates.
        languages: (n_items,) two-letter codes.
        adult: (n_items,) True where the item is not for minors.
        costs: (n_items,) USD a play.
        popularity: (n_items,) probability to be the next view of any user; sums to 1.
        tastes: (n_items, N_TASTES) share of each taste in an item; rows sum to 1.
        first_days: (n_items,) day of the history on which it enters the catalogue, mostly ALWAYS.
    """

    ids: list[str]
    titles: list[str]
    genres: list[list[int]]
    runtimes: npt.NDArray[np.int32]
    dates: npt.NDArray[np.datetime64]
    languages: npt.NDArray[np.str_]
    adult: Flags
    costs: Doubles
    popularity: Doubles
    tastes: Floats
    first_days: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)


def make_items(n_items: int, n_days: int, seed: int) -> Items:
    """Draw items; a few of them are new on each day."""
    rng = generator(seed, "items")
    rank = 1 + rng.permutation(n_items)
    decades = rng.choice(list(DECADES), n_items, p=shares(DECADES.values()))
    dates = np.datetime64("1970-01-01") + (
        365.2425 * (decades - 1970 + 10 * rng.random(n_items))
    ).astype("timedelta64[D]")
    years = dates.astype("datetime64[Y]").astype(int) + 1970
    titles, ids = make_titles(years.tolist(), rng)
    tastes = _tastes(n_items, rng)
    popularity = popularity_by_rank(n_items)[rank - 1]
    ranks, means = zip(*RUNTIME_BY_RANK, strict=True)
    mean_runtimes = np.interp(np.log(rank), np.log(ranks), means)
    runtimes = mean_runtimes * rng.lognormal(-(RUNTIME_SIGMA**2) / 2, RUNTIME_SIGMA, n_items)
    costs = COST_MEDIAN_USD * rng.lognormal(0, COST_SIGMA, n_items) * (n_items / rank) ** 0.1
    return Items(
        ids=ids,
        titles=titles,
        genres=_genres(tastes, seed),
        runtimes=np.clip(runtimes, _MIN_RUNTIME_MINUTES, _MAX_RUNTIME_MINUTES).astype(np.int32),
        dates=dates,
        languages=rng.choice(list(LANGUAGES), n_items, p=shares(LANGUAGES.values())),
        adult=rng.random(n_items) < ADULT_SHARE,
        costs=costs.round(4),
        popularity=popularity,
        tastes=tastes,
        first_days=first_days(n_items, n_days, NEW_ITEMS_PER_DAY, rng),
    )


def popularity_by_rank(n_items: int) -> Doubles:
    """Return the share of all views of each rank, best first; fitted to the real catalogue."""
    rank = np.arange(1, n_items + 1)
    head = (rank + HEAD_OFFSET) ** -HEAD_EXPONENT
    tail = np.exp(-TAIL_DECAY * rank / n_items)
    return np.asarray((1 - TAIL_SHARE) * head / head.sum() + TAIL_SHARE * tail / tail.sum())


def first_days(
    n: int, n_days: int, new_per_day: float, rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Draw the day on which each of `n` first exists: some new ones a day, at most half of all."""
    n_new = min(n // 2, n_days * max(1, round(n * new_per_day)))
    days = np.full(n, ALWAYS, np.int32)
    days[rng.permutation(n)[:n_new]] = np.arange(n_new) % n_days
    return days


def genre_profiles(seed: int) -> Doubles:
    """Return (N_TASTES, n_genres), the share of each genre in the items of a taste."""
    weights = np.array([share for _, share in GENRES.values()])
    spread = generator(seed, "genres of tastes").normal(0, GENRE_SPREAD, (N_TASTES, len(weights)))
    profiles = weights * np.exp(spread)
    return np.asarray(profiles / profiles.sum(axis=1, keepdims=True))


def _genres(tastes: Floats, seed: int) -> list[list[int]]:
    """Draw genres without replacement: the best of log share + Gumbel noise."""
    rng = generator(seed, "genres")
    logarithm = np.log(tastes @ genre_profiles(seed))
    order = np.argsort(-(logarithm + rng.gumbel(size=logarithm.shape)), axis=1)
    n_genres = rng.choice(len(N_GENRES), len(tastes), p=shares(N_GENRES))
    return [row[:n].tolist() for row, n in zip(order, n_genres, strict=True)]


def _tastes(n_items: int, rng: np.random.Generator) -> Floats:
    tastes = np.zeros((n_items, N_TASTES), np.float32)
    row = np.arange(n_items)
    tastes[row, rng.integers(0, N_TASTES, n_items)] += 1 - SECOND_TASTE
    tastes[row, rng.integers(0, N_TASTES, n_items)] += SECOND_TASTE
    return tastes
