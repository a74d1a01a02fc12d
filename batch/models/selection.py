"""The selection of a blend: which fitted models, with which shares.

    the best model ─► + the model and share that gain most, while they gain significantly
                   ─► not significantly better than popularity? then popularity

What takes longer every night must gain more. All blends of a round are evaluated in one
pass over blocks of users: each model's scores are made and standardised once.

Source:
    Adding models one by one: Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble Selection
    from Libraries of Models", ICML 2004.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Floats, ItemRows, Rows
from batch.evaluation.bootstrap import Interval, intervals
from batch.models.blend import standardised
from batch.models.choice import MIN_GAIN, Candidate, Tried
from batch.models.dense_topk import best_of, block_users, hide
from batch.models.families import EstimatedCost, nightly_seconds
from batch.models.validation import VALIDATION_K, Validation
from batch.threads import usable

POPULARITY: Final = "popularity"
_SHARES: Final = (0.125, 0.25, 0.5, 1.0, 2.0)
_MAX_PARTS: Final = 4

Shares = Mapping[int, float]  # by the number of the entrant


class Scores(Protocol):
    """What a selection needs of a fitted model."""

    def scores(self, user_rows: Rows) -> Floats:
        """Return the scores of all items; see `Fitted.scores`."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A fitted candidate.

    Attributes:
        candidate: Model and parameters.
        fitted: The model, fitted to the training side of the validation.
        ndcg: (n_users,) NDCG@20 of its lists.
        cost: Estimated cost of the model.
    """

    candidate: Candidate
    fitted: Scores
    ndcg: Doubles
    cost: EstimatedCost = field(default_factory=EstimatedCost)


@dataclass(frozen=True, slots=True)
class Margins:
    """What a blend may cost, and must gain.

    Attributes:
        max_seconds: Maximum estimated time of a blend every night, on one processor.
        min_gain: Share of the NDCG that an addition, or another choice than the incumbent,
            must gain at least.
        gain_per_second: Share of the NDCG that each second of a night must gain.
    """

    max_seconds: float = 300.0
    min_gain: float = MIN_GAIN
    gain_per_second: float = 5e-5


@dataclass(frozen=True, slots=True)
class Selection:
    """The search for shares among entrants.

    Attributes:
        entrants: Fitted candidates of different models.
        validation: Validation set.
        margins: What a blend may cost, and must gain.
        seed: Random seed of the bootstrap.
        n_threads: Number of threads; 0 means one for each usable processor.
    """

    entrants: Sequence[Entrant]
    validation: Validation
    margins: Margins
    seed: int
    n_threads: int

    def select(self) -> tuple[Shares, Doubles, list[Tried]]:
        """Return the shares, the NDCG of each user's list, and what was tried."""
        alone: list[tuple[Shares, Doubles]] = [
            ({number: 1.0}, one.ndcg) for number, one in enumerate(self.entrants)
        ]
        affordable = [one for one in alone if self.is_affordable(one[0])]
        shares, ndcg = max(affordable, key=lambda one: self.worth(*one))
        tried: list[Tried] = []
        while len(shares) < _MAX_PARTS and (found := self._addition(shares)):
            added, new_ndcg = found
            gain = mean_interval(new_ndcg - ndcg, self.seed)
            why = f"against {self.named(shares)}, {self._more_seconds(added, shares)}"
            tried.append(self._tried(added, new_ndcg, gain, why))
            if gain.low <= 0 or not self.is_worthwhile((added, new_ndcg), (shares, ndcg)):
                break
            shares, ndcg = added, new_ndcg
        return self._or_popularity(shares, ndcg, tried)

    def seconds(self, shares: Shares) -> float:
        """Return the estimated time of a blend every night, on one processor."""
        return nightly_seconds([self.entrants[number].cost for number in shares])

    def worth(self, shares: Shares, ndcg: Doubles) -> float:
        """Return the mean NDCG less what each second of a night must gain."""
        share = 1 - self.margins.gain_per_second * self.seconds(shares)
        return float(ndcg.mean()) * share

    def is_worthwhile(self, new: tuple[Shares, Doubles], old: tuple[Shares, Doubles]) -> bool:
        """Return whether a blend gains the margin over another, and what it costs more."""
        margin = self.margins.min_gain * float(old[1].mean())
        return self.worth(*new) >= self.worth(*old) + margin

    def is_affordable(self, shares: Shares) -> bool:
        """Return whether a blend is made within the time of a night."""
        return self.seconds(shares) <= self.margins.max_seconds

    def evaluate(self, blends: Sequence[Shares]) -> Doubles:
        """Return (n_blends, n_users) NDCG@20 of the lists of each blend."""
        rows, n_items = self.validation.user_rows, self.validation.weights.shape[1]
        step = block_users(n_items)
        item_rows = np.empty((len(blends), len(rows), VALIDATION_K), np.int32)

        def fill(first: int) -> None:
            block = slice(first, first + step)
            for number, lists in enumerate(self._lists(blends, rows[block])):
                item_rows[number, block] = lists

        with threadpool_limits(1, "blas"), ThreadPoolExecutor(usable(self.n_threads)) as pool:
            for done in [pool.submit(fill, first) for first in range(0, len(rows), step)]:
                done.result()
        return np.stack([self.validation.ndcg(lists) for lists in item_rows])

    def named(self, shares: Shares) -> str:
        """Return a blend in words."""
        return " + ".join(
            f"{share:g} × {self.entrants[number].candidate.model}"
            for number, share in shares.items()
        )

    def _addition(self, shares: Shares) -> tuple[Shares, Doubles] | None:
        """Return the best blend with one more model, and its NDCG."""
        others = [number for number in range(len(self.entrants)) if number not in shares]
        blends = [{**shares, number: share} for number in others for share in _SHARES]
        blends = [blend for blend in blends if self.is_affordable(blend)]
        if not blends:
            return None
        evaluated = [*zip(blends, self.evaluate(blends), strict=True)]
        return max(evaluated, key=lambda one: self.worth(*one))

    def _more_seconds(self, new: Shares, old: Shares) -> str:
        return f"about {self.seconds(new) - self.seconds(old):,.0f} s a night more"

    def _or_popularity(
        self, shares: Shares, ndcg: Doubles, tried: list[Tried]
    ) -> tuple[Shares, Doubles, list[Tried]]:
        """Return popularity in place of a blend that is not significantly better."""
        models = [entrant.candidate.model for entrant in self.entrants]
        popular = models.index(POPULARITY)
        gain = mean_interval(ndcg - self.entrants[popular].ndcg, self.seed)
        tried.append(self._tried(shares, ndcg, gain, f"against {POPULARITY}"))
        if gain.low > 0:
            return shares, ndcg, tried
        return {popular: 1.0}, self.entrants[popular].ndcg, tried

    def _tried(self, shares: Shares, ndcg: Doubles, gain: Interval, why: str) -> Tried:
        return Tried(self.named(shares), mean_interval(ndcg, self.seed), gain, why=why)

    def _lists(self, blends: Sequence[Shares], user_rows: Rows) -> list[ItemRows]:
        """Return the lists of each blend for a block of users."""
        used = sorted({number for shares in blends for number in shares})
        scores = {
            number: standardised(self.entrants[number].fitted.scores(user_rows), 1.0)
            for number in used
        }
        lists = []
        for shares in blends:
            total = _sum(scores, shares)
            hide(total, self.validation.weights, user_rows)
            lists.append(best_of(total, VALIDATION_K).item_rows)
        return lists


def mean_interval(values: Doubles, seed: int) -> Interval:
    """Return the mean of (n_users,) values with its 95 % bootstrap interval."""
    all_users = np.ones((len(values), 1), dtype=bool)
    return intervals(values[:, None], all_users, seed=seed)[0][0]


def _sum(scores: Mapping[int, Floats], shares: Shares) -> Floats:
    """Return Σ share · scores, a new array."""
    (first, share), *others = shares.items()
    total = scores[first] * np.float32(share)
    for number, share in others:
        total += scores[number] * np.float32(share)
    return total
