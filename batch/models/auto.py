"""`auto`: the blend that is best on a validation set of this data, popularity included.

    interactions ─► choice, of an earlier night or of a search ─► fit each part ─► blend

Where interactions are personal, popularity has no share. Where there are so few of them
that only popularity can be learned, it has all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.models.choice import Candidate, Choice
from batch.models.fitted_auto import FittedAuto, fitted_auto
from batch.models.protocol import Fitted, Recommender
from batch.models.search import ChoiceSearch
from batch.models.sweep import OnStep
from batch.progress import noop


@dataclass(frozen=True, slots=True)
class Auto:
    """The best blend of models.

    Attributes:
        make: Function from a candidate to its recommender.
        search: ChoiceSearch for the choice.
        choice: Choice of an earlier night; None: it is searched for in `fit`.
    """

    make: Callable[[Candidate], Recommender]
    search: ChoiceSearch
    choice: Choice | None = None

    name = "auto"

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: OnStep = noop,
    ) -> FittedAuto:
        """Choose, unless a choice is given, then train on everything; see `Recommender.fit`."""
        choice = self.choice or self.search(weights, at, n_threads=n_threads, on_step=on_step)
        parts = [
            self.make(part).fit(weights, at=at, n_threads=n_threads, on_step=on_step)
            for part in choice.parts
        ]
        return fitted_auto(choice, parts, weights)

    def refit(
        self,
        trial: Fitted,
        user_rows: Rows,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
    ) -> FittedAuto:
        """Refit each part with the trial's choice; see `Recommender.refit`."""
        assert isinstance(trial, FittedAuto)
        parts = [
            self.make(part).refit(fitted, user_rows, weights, at=at, n_threads=n_threads)
            for part, fitted in zip(trial.choice.parts, trial.parts, strict=True)
        ]
        return fitted_auto(trial.choice, parts, weights)
