"""ALS and popularity, mixed as this data wants it: the mixture is chosen on a holdout.

    hold out one item each of some users ─► ALS ─► NDCG@20 at each popularity weight
        ─► the best weight ─► ALS with everything

Where users show taste, ALS is left alone or helped a little. Where views are so few
that nothing but popularity can be learned, lists come close to the popular one,
which no model beats there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.models.als import Als
from batch.models.blend import mean_top_score, with_popularity
from batch.models.factors import FittedFactors
from batch.models.holdout import Holdout, hold_out
from batch.models.popularity import users_of_items
from batch.models.protocol import Fitted, nothing

_K: Final = 20
_POPULARITY_WEIGHTS: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4)
_WEIGHT: Final = "popularity_weight"


@dataclass(frozen=True, slots=True)
class Auto:
    """ALS with as much popularity as the holdout asks for.

    Attributes:
        als: The taste model; of the users that it holds out the mixture is learned too.
    """

    als: Als = field(default_factory=lambda: Als(n_held_out=20_000))

    name = "auto"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> FittedFactors:
        """Choose on a holdout, then learn from everything; see `Recommender.fit`."""
        als = self.als
        held = hold_out(weights, at, als.n_held_out, als.seed)
        trial = als.sweep(held, n_threads=n_threads, on_step=on_step)
        about = {**trial.about, _WEIGHT: 0.0}
        if len(held.user_rows):
            weight, ndcg = choose_weight(trial, held, n_threads)
            about |= {_WEIGHT: weight, "holdout_ndcg": ndcg}
        trial = replace(trial, about=about)
        return _mixed(als.finish(trial, held, weights, n_threads=n_threads), weights, n_threads)

    def refit(
        self, trial: Fitted, user_rows: Rows, weights: sp.csr_matrix, *, n_threads: int = 0
    ) -> FittedFactors:
        """Learn taste from everything, mixed as the trial was; see `Recommender.refit`."""
        taste = self.als.refit(trial, user_rows, weights, n_threads=n_threads)
        return _mixed(taste, weights, n_threads)


def _mixed(taste: FittedFactors, weights: sp.csr_matrix, n_threads: int) -> FittedFactors:
    """Return taste with the popularity that it says it wants."""
    gain = taste.about.get(_WEIGHT, 0.0) * mean_top_score(taste, n_threads)
    return with_popularity(taste, users_of_items(weights), gain)


def choose_weight(trial: FittedFactors, held: Holdout, n_threads: int = 0) -> tuple[float, float]:
    """Return the popularity weight with the best NDCG@20 on the holdout, and that NDCG.

    A weight is what the most popular item gains, in best taste scores. Of equally good
    ones it is the least: lists stay as personal as they can be. (The least within one
    standard error of the best was tried: it lost 0.6 % where popularity is all there is.)

    Args:
        trial: Trained on `held.weights`.
        held: What to judge on; at least one user.
        n_threads: 0 means all processors.
    """
    scale, n_users = mean_top_score(trial, n_threads), users_of_items(held.weights)
    judged = replace(
        trial,
        user_factors=trial.user_factors[held.user_rows],
        seen=held.weights[held.user_rows],
    )
    ndcg = {}
    for weight in _POPULARITY_WEIGHTS:
        lists = with_popularity(judged, n_users, weight * scale).top_k(_K, n_threads=n_threads)
        ndcg[weight] = float(held.ndcg(lists).mean())
    best = max(ndcg, key=ndcg.__getitem__)  # of equal ones the first
    return best, ndcg[best]
