"""Estimates from logs against the truth: how often the interval holds it.

    list    1 fixed item │ 3 drawn from 20 candidates, by the weights of one generation
    old     weights by poor scores    ─► shown, clicked by the simulator's users ─► estimate
    new     weights by better scores  ─► true click-through, from the users' preferences

The list is short, so that the drawn places have a share of the clicks that matters.

Every user has one list of a generation, as in the store, and clicks on at most one item of a
list. The naive replay counts the logged clicks on items that are in the new lists; without
weights, the estimate is the old generation's click-through.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from batch.arrays import Doubles, Flags, Rows
from benchmarks.experiments.ab import Share, share_of
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.audience.viewers import attraction, expected_clicks, taken_ranks
from benchmarks.simulator.world.world import make_world
from stream.experiments.statistics.log_estimates import LogEntries, cascade_weights, estimate
from stream.experiments.statistics.plackett_luce import (
    conditional_propensities,
    draw,
    rank_propensities,
)
from stream.experiments.statistics.rates import user_sums

CASCADE: Final = "cascade weights"
RANK_WISE: Final = "rank-wise weights"
REPLAY: Final = "naive replay"
UNWEIGHTED: Final = "no weights"
ESTIMATORS: Final = (CASCADE, RANK_WISE, REPLAY, UNWEIGHTED)
_N_FIXED: Final = 1
_N_DRAWN: Final = 3
_N_CANDIDATES: Final = 20
_ERROR: Final = 1.0  # deviation of the scores that propose the candidates
_OLD_ERROR: Final = 0.7  # of the old generation's weights
_NEW_ERROR: Final = 0.1
_OLD_TEMPERATURE: Final = 3.0
_NEW_TEMPERATURE: Final = 1.0
_N_REQUESTS: Final = 5  # of each user
_N_TRUTHS: Final = 100  # draws of every user's list for the truth
_Z: Final = 1.959964


class Logged(NamedTuple):
    """Two generations of one service.

    Attributes:
        fixed: (n_users, 1) attraction of the items that both generations fix.
        candidates: (n_users, 20) attraction of the candidates for the drawn places.
        old: (n_users, 20) logarithms of the old generation's weights.
        new: (n_users, 20) those of the new one.
    """

    fixed: Doubles
    candidates: Doubles
    old: Doubles
    new: Doubles


class Outcome(NamedTuple):
    """Intervals of repeated estimates.

    Attributes:
        truth: True click-through of the new generation.
        old_truth: True click-through of the old one.
        coverage: Share of the intervals that hold the truth, by estimator.
        means: Mean estimate, by estimator.
        effective_share: Effective users ÷ users of the cascade weights, mean.
    """

    truth: float
    old_truth: float
    coverage: Mapping[str, Share]
    means: Mapping[str, float]
    effective_share: float


def make_logged(n_users: int, n_items: int, seed: int) -> Logged:
    """Return two generations whose scores have errors of their own."""
    random = np.random.default_rng(seed)
    chances = Preferences(make_world(n_users, n_items, seed)).all_chances(np.arange(n_users))
    scores = np.log(chances) + _ERROR * random.standard_normal(chances.shape, np.float32)
    order = np.argsort(-scores, axis=1)[:, : _N_FIXED + _N_CANDIDATES]
    found = np.take_along_axis(chances, order, axis=1).astype(np.float64)
    taken = attraction(found, np.zeros(found.shape, np.bool_))
    pool = np.log(found[:, _N_FIXED:])
    old, new = (
        (pool + error * random.standard_normal(pool.shape)) / temperature
        for error, temperature in ((_OLD_ERROR, _OLD_TEMPERATURE), (_NEW_ERROR, _NEW_TEMPERATURE))
    )
    return Logged(taken[:, :_N_FIXED], taken[:, _N_FIXED:], old, new)


def coverage(logged: Logged, n_runs: int, seed: int) -> Outcome:
    """Estimate the new generation's click-through from the old one's logs, again and again."""
    random = np.random.default_rng(seed)
    truth, old_truth = (_truth(logged, weights, random) for weights in (logged.new, logged.old))
    tables = [rank_propensities(weights, _N_DRAWN) for weights in (logged.old, logged.new)]
    n_covered = dict.fromkeys(ESTIMATORS, 0)
    sums = dict.fromkeys((*ESTIMATORS, "effective"), 0.0)
    is_supported = np.ones(len(logged.old), np.bool_)
    for _ in range(n_runs):
        drawn = draw(logged.old, _N_DRAWN, random)
        entries = _clicked(logged, drawn, random)
        found = {}
        for name, weights in _weights(logged, tables, drawn).items():
            result = estimate(entries, weights, is_supported)
            found[name] = (result.value, result.low, result.high)
            sums["effective"] += result.effective_users if name == CASCADE else 0
        listed = draw(logged.new, _N_DRAWN, random)
        is_hit = (drawn[:, :, None] == listed[:, None, :]).any(axis=2)
        found[REPLAY] = _counted(entries, is_hit)
        found[UNWEIGHTED] = _counted(entries, np.ones_like(is_hit))
        for name, (value, low, high) in found.items():
            n_covered[name] += low < truth < high
            sums[name] += value
    means = {name: sums[name] / n_runs for name in ESTIMATORS}
    shares = {name: share_of(n, n_runs) for name, n in n_covered.items()}
    effective = sums["effective"] / n_runs / len(is_supported)
    return Outcome(truth, old_truth, shares, means, effective)


def _truth(logged: Logged, weights: Doubles, random: np.random.Generator) -> float:
    values = [
        expected_clicks(_lists(logged, draw(weights, _N_DRAWN, random))).mean()
        for _ in range(_N_TRUTHS)
    ]
    return float(np.mean(values))


def _lists(logged: Logged, drawn: Rows) -> Doubles:
    return np.hstack((logged.fixed, np.take_along_axis(logged.candidates, drawn, axis=1)))


def _clicked(logged: Logged, drawn: Rows, random: np.random.Generator) -> LogEntries:
    n_users, length = len(logged.fixed), _N_FIXED + _N_DRAWN
    user = np.repeat(np.arange(n_users), _N_REQUESTS)
    rank = taken_ranks(_lists(logged, drawn)[user], random)
    clicks = np.bincount(user * (length + 1) + rank, minlength=n_users * (length + 1))
    by_rank = clicks.reshape(n_users, -1)[:, 1:].astype(np.float64)
    requests = np.full(n_users, float(_N_REQUESTS))
    return LogEntries(requests, by_rank[:, :_N_FIXED].sum(axis=1), by_rank[:, _N_FIXED:])


def _weights(logged: Logged, tables: list[Doubles], drawn: Rows) -> dict[str, Doubles]:
    new, old = (conditional_propensities(w, drawn) for w in (logged.new, logged.old))
    place = np.arange(len(drawn))[:, None], drawn, np.arange(_N_DRAWN)
    return {CASCADE: cascade_weights(new, old), RANK_WISE: tables[1][place] / tables[0][place]}


def _counted(entries: LogEntries, is_hit: Flags) -> tuple[float, float, float]:
    """Return the click-through of some of the drawn places, and its interval."""
    clicks = entries.fixed_clicks + (entries.drawn_clicks * is_hit).sum(axis=1)
    rate = user_sums(clicks, entries.requests).rate()
    width = _Z * float(np.sqrt(rate.squared_error))
    return rate.rate, rate.rate - width, rate.rate + width
