"""What views say about a user's taste, by the world's own model: a Gibbs sampler.

A user draws a taste by the shares θ, then an item of it; some draws follow no taste. A
draw of an item that the user has watched, or that is not in the catalogue, is repeated. So

    θ ~ Dirichlet(shapes of the user's group)
    taste of each draw ~ (1 - random share) · θ, or none ~ random share
    item of each draw ~ appeal of the taste, or popularity

and given the tastes of all draws, the repeated ones included, θ is Dirichlet again. Each
sweep draws the taste of each view with θ integrated out, then θ, then the repeated draws
and their tastes. The mean of E[θ | draws] over the sweeps is the posterior mean.

The slow drift of a taste is treated as further views without a taste: where a user drifts
is not known, and on average it is popularity.

Source:
    Griffiths and Steyvers, "Finding scientific topics", PNAS 2004 (collapsed Gibbs
    sampling of the topics of a document); Liu, "The collapsed Gibbs sampler in Bayesian
    computations with applications to a gene regulation problem", JASA 1994.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from batch.arrays import Doubles, Flags, Rows
from benchmarks.ceiling.history import EvaluatedUsers
from benchmarks.simulator.world.truth import turned_share
from benchmarks.simulator.world.world import World

N_SWEEPS: Final = 300
_BURN_IN_SHARE: Final = 0.2  # of the sweeps, which do not count
_MAX_FAILED_CHANCE: Final = 0.999  # of a draw to be repeated, against endless repetition


def expected_relevance(world: World, taste_shares: Doubles, day: float) -> Doubles:
    """Return (n, n_items) the chance of each item to be the next, by expected shares of tastes.

    The chance is linear in the shares; so its expected value is that of expected shares.

    Args:
        world: The world, whose items are all in the catalogue on that day.
        taste_shares: (n, N_TASTES) expected tastes of users, as `posterior_tastes` returns.
        day: Day of the history.
    """
    random_share = _random_shares(world, np.array(day))
    personal = taste_shares @ world.appeal.T.astype(np.float64)
    return np.asarray((1 - random_share) * personal + random_share * world.items.popularity)


def posterior_tastes(
    world: World,
    users: EvaluatedUsers,
    shapes: Doubles,
    rng: np.random.Generator,
    n_sweeps: int = N_SWEEPS,
) -> Doubles:
    """Return (n, N_TASTES) each user's expected taste, given their views.

    Args:
        world: The world; the tastes of its users are not used.
        users: Users and their views.
        shapes: (n, N_TASTES) Dirichlet shapes of the users' tastes before any view.
        rng: Random generator of the sampler.
        n_sweeps: Number of sweeps.
    """
    draws = _Draws.of(world, users)
    n_users, n_views = users.items.shape
    n_causes = shapes.shape[1] + 1  # the tastes, and none
    causes = np.full((n_users, n_views), n_causes - 1)
    counts = np.zeros((n_users, n_causes))  # views and repeated draws of each cause
    counts[:, -1] = (users.items >= 0).sum(axis=1)
    repeated = np.zeros((n_users, n_causes))
    total = np.zeros(shapes.shape)
    n_burn_in = int(_BURN_IN_SHARE * n_sweeps)
    for sweep in range(n_sweeps):
        for view in range(n_views):
            _draw_cause(draws, view, causes, counts, shapes, rng)
        tastes = rng.standard_gamma(shapes + counts[:, :-1]) + 1e-300
        tastes /= tastes.sum(axis=1, keepdims=True)
        counts -= repeated
        repeated = _draw_repeated(draws, tastes, rng)
        counts += repeated
        if sweep >= n_burn_in:
            known = shapes + counts[:, :-1]
            total += known / known.sum(axis=1, keepdims=True)
    return np.asarray(total / (n_sweeps - n_burn_in))


@dataclass(frozen=True, slots=True)
class _Draws:
    """Chances of what was drawn, by cause: each taste, and none in the last column.

    Attributes:
        is_view: (n, n_views) False where there is no view.
        viewed: (n, n_views, n_causes) chance of the item watched, times the share of the
            views that follow a taste or no taste.
        excluded: (n, n_views, n_causes) chance of the items that could not be watched, times
            the same share.
    """

    is_view: Flags
    viewed: Doubles
    excluded: Doubles

    @classmethod
    def of(cls, world: World, users: EvaluatedUsers) -> "_Draws":
        items, first_days = world.items, world.items.first_days
        chances = np.column_stack((world.appeal, items.popularity))
        is_view = users.items >= 0
        random_share = _random_shares(world, users.days)[:, :, None]
        shares = np.repeat(1 - random_share, chances.shape[1], axis=2)
        shares[:, :, -1:] = random_share
        viewed = np.where(is_view[:, :, None], chances[users.items], 0)
        absent = np.stack([chances[first_days > day].sum(axis=0) for day in range(world.n_days)])
        excluded = np.cumsum(viewed, axis=1) - viewed + absent[users.days]
        return cls(is_view, shares * viewed, shares * excluded)


def _random_shares(world: World, days: Rows) -> Doubles:
    """Return the share of the views of each day that follow no taste, or a drifted one."""
    return np.asarray(1 - (1 - world.random_share) * (1 - turned_share(days)))


def _draw_cause(
    draws: _Draws, view: int, causes: Rows, counts: Doubles, shapes: Doubles,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Draw the cause of one view of each user, given those of all other draws."""
    row = np.arange(len(causes))
    is_view = draws.is_view[:, view]
    counts[row, causes[:, view]] -= is_view
    known = shapes + counts[:, :-1]
    chances = np.empty(counts.shape)
    chances[:, :-1] = known / known.sum(axis=1, keepdims=True)
    chances[:, -1] = 1
    cumulated = np.cumsum(chances * draws.viewed[:, view], axis=1)
    below = rng.random(len(row))[:, None] * cumulated[:, -1:]
    causes[:, view] = np.minimum((cumulated <= below).sum(axis=1), counts.shape[1] - 1)
    counts[row, causes[:, view]] += is_view


def _draw_repeated(draws: _Draws, tastes: Doubles, rng: np.random.Generator) -> Doubles:
    """Return (n, n_causes) the causes of the draws of each user that were repeated."""
    repeated = np.zeros((len(tastes), tastes.shape[1] + 1))
    with_none = np.column_stack((tastes, np.ones(len(tastes))))
    for view in range(draws.is_view.shape[1]):
        chances = with_none * draws.excluded[:, view]
        total = chances.sum(axis=1)
        failed = np.minimum(total, _MAX_FAILED_CHANCE)
        n_repeated = (rng.geometric(1 - failed) - 1) * draws.is_view[:, view]
        some = np.flatnonzero(n_repeated)
        repeated[some] += rng.multinomial(n_repeated[some], chances[some] / total[some, None])
    return repeated
