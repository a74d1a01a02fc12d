"""A history with users of exactly n views, among users with as many views as the world gives.

make_world ─► views of all users ─► those of some users drawn again, n each ─► interactions
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from batch.arrays import Floats, Records, Rows
from batch.interactions.build import Interactions, Ratings
from batch.interactions.weights import Evidence, Weighting, weigh
from batch.records.profiles import Profile
from benchmarks.simulator.clock import DAY_SECONDS, FIRST_DAY
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.choices import Chooser
from benchmarks.simulator.world.fitted import OCCUPATIONS
from benchmarks.simulator.world.items import ALWAYS
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.views import VIEW, ViewSource, default_random_share, watched
from benchmarks.simulator.world.world import World, make_world

N_DAYS: Final = 7
_MAX_SHARE: Final = 0.5  # of all users that are evaluated
_BEST_STARS: Final = 5.0


@dataclass(frozen=True, slots=True)
class EvaluatedUsers:
    """Users of the same number of views.

    Attributes:
        user_rows: (n,) rows of the users in the world.
        items: (n, n_views) rows of the items that each watched, in order of time; -1 for a
            view that was not found in 8 draws, of users who have watched nearly all of a taste.
        days: (n, n_views) day of each view.
    """

    user_rows: Rows
    items: Rows
    days: Rows


@dataclass(frozen=True, slots=True)
class History:
    """A world and the views of its users.

    Attributes:
        world: The world.
        interactions: Interactions of all users; rows are the world's, and items without a
            user have rows, too.
        profiles: Profiles by user_id.
        evaluated: Users of exactly n views, by n.
    """

    world: World
    interactions: Interactions
    profiles: dict[str, Profile]
    evaluated: dict[int, EvaluatedUsers]


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """Size of a history.

    Attributes:
        n_users, n_items: Size of the world.
        views_per_user: Mean number of views of a user.
        n_views: Exact numbers of views of evaluated users, each once.
        n_evaluated: Maximum evaluated users of each number of views; of all numbers together at
            most half of all users.
        seed: Random seed of the world.
    """

    n_users: int
    n_items: int
    views_per_user: float
    n_views: Sequence[int]
    n_evaluated: int
    seed: int


def make_history(options: HistoryOptions, weighting: Weighting) -> History:
    """Draw a world, the views of its users, and the weights of their interactions."""
    world = make_world(options.n_users, options.n_items, options.seed, N_DAYS)
    random_share = default_random_share(world, options.views_per_user)
    world = replace(world, random_share=random_share)
    truth = Truth(world)
    source = ViewSource(truth, options.views_per_user)
    views = [np.concatenate([source.draw(block) for block in source.blocks()])]
    evaluated = {}
    for n_views, user_rows in _samples(world, options).items():
        rng = generator(options.seed, "evaluated users", n_views)
        evaluated[n_views] = _draw(world, user_rows, n_views, rng)
        views[0] = views[0][~np.isin(views[0]["user_row"], user_rows)]
        views.append(_views(truth, evaluated[n_views], rng))
    return History(
        world,
        _interactions(world, np.concatenate(views), weighting),
        _profiles(world),
        evaluated,
    )


def _samples(world: World, options: HistoryOptions) -> dict[int, Rows]:
    """Return the rows of evaluated users by their number of views; they were there always."""
    rng = generator(options.seed, "evaluated users")
    rows = rng.permutation(np.flatnonzero(world.users.joined == ALWAYS))
    n = min(options.n_evaluated, int(_MAX_SHARE * len(rows) / len(options.n_views)))
    return {
        n_views: np.sort(rows[n * number : n * (number + 1)])
        for number, n_views in enumerate(options.n_views)
    }


def _draw(world: World, user_rows: Rows, n_views: int, rng: np.random.Generator) -> EvaluatedUsers:
    days = np.sort(rng.integers(0, world.n_days, (len(user_rows), n_views)), axis=1)
    owner = np.repeat(np.arange(len(user_rows)), n_views)
    items = Chooser(world).choose(user_rows, owner, days.ravel(), rng)
    return EvaluatedUsers(user_rows, items.reshape(days.shape), days)


def _views(truth: Truth, users: EvaluatedUsers, rng: np.random.Generator) -> Records:
    """Return the views of evaluated users, with minutes and stars."""
    is_found = users.items >= 0
    views = np.empty(int(is_found.sum()), VIEW)
    days = users.days[is_found]
    views["user_row"] = users.user_rows[np.nonzero(is_found)[0]]
    views["item_row"] = users.items[is_found]
    views["began"] = DAY_SECONDS * days + np.nonzero(is_found)[1]
    rows = views["user_row"], views["item_row"]
    views["minutes"], views["stars"] = watched(truth, *rows, days, rng)
    return views


def _interactions(world: World, views: Records, weighting: Weighting) -> Interactions:
    views = np.sort(views, order=("user_row", "item_row"))
    shape = len(world.users), len(world.items)
    evidence = Evidence(
        watched=_watched_share(world, views),
        rating=(views["stars"] / 2).astype(np.float32),
        best=_BEST_STARS,
        last_at=None,
    )
    first = np.searchsorted(views["user_row"], np.arange(shape[0] + 1))
    weights = sp.csr_matrix((weigh(evidence, weighting), views["item_row"], first), shape=shape)
    rated = np.flatnonzero(views["stars"])
    return Interactions(
        user_ids=pa.array(world.users.ids.astype(str).tolist()),
        item_ids=pa.array(world.items.ids),
        weights=weights,
        ratings=Ratings(
            views["user_row"][rated], views["item_row"][rated], evidence.rating[rated], _BEST_STARS
        ),
        dropped=Counter(),
        n_users_without=0,
        began_at=int(FIRST_DAY.astype(np.int64)) + views["began"].astype(np.int64),
    )


def _watched_share(world: World, views: Records) -> Floats:
    share = views["minutes"] / world.items.runtimes[views["item_row"]]
    return np.asarray(np.minimum(share, 1), np.float32)


def _profiles(world: World) -> dict[str, Profile]:
    users, occupations = world.users, list(OCCUPATIONS)
    columns = (users.ids, users.ages, users.is_male, users.occupations)
    return {
        str(name): Profile(age, "M" if is_male else "F", occupations[occupation])
        for name, age, is_male, occupation in zip(*(c.tolist() for c in columns), strict=True)
    }
