"""What every recommender can do, and nothing more."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.topk import TopK


def nothing() -> None:
    """Hear of progress and do nothing."""


class Fitted(Protocol):
    """What was learned: lists for the users of the weights that it was given."""

    @property
    def arrays(self) -> Mapping[str, npt.NDArray[np.generic]]:
        """All that it must keep to answer, by name: its size in memory and on disk."""

    @property
    def about(self) -> Mapping[str, float]:
        """What was found out in training, for the manifest: sweeps done, weights chosen."""

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = lambda _: None,
    ) -> TopK:
        """Return each user's k best items that they have not seen, best first.

        Equal scores keep the lower item row first; the lists are the same on
        any number of threads. What the model has no opinion on is left out.

        Args:
            k: Items to keep for each user, at least 1.
            user_rows: The users to answer for, in this order; None means all.
            hidden: Item rows that nobody is offered.
            n_threads: 0 means one for each processor that this process may use.
            on_users: Called with the number of users done, from several threads.
        """

    def fold_in(self, weights: sp.csr_matrix) -> "Fitted":
        """Return the same model for other users, without training it on them.

        Args:
            weights: (n_other_users, n_items) of what those users have.

        Raises:
            BatchError: This model knows only the users that it was trained with.
        """


class Recommender(Protocol):
    """A recommender with its parameters set, before it has learned anything."""

    @property
    def name(self) -> str:
        """Its name in `[batch] model` and in tables."""

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> Fitted:
        """Learn from the weights of interactions, which stay as they are.

        Args:
            weights: (n_users, n_items), above 0 where a user has had an item.
            at: (n_interactions,) when, in seconds since 1970, beside
                `weights.data`; None if unknown. Only models that hold out part
                of the weights look at it.
            n_threads: 0 means one for each processor that this process may use.
            on_step: Called after each sweep, for progress.

        Raises:
            BatchError: The weights are not finite, or what was learned is not.
        """

    def refit(
        self, trial: Fitted, user_rows: Rows, weights: sp.csr_matrix, *, n_threads: int = 0
    ) -> Fitted:
        """Learn from all weights what was tried on a part of them.

        Args:
            trial: What this recommender learned from the part.
            user_rows: (n_part,) ascending, the rows that the part's users have among all.
            weights: (n_users, n_items), all of them.
            n_threads: 0 means one for each processor that this process may use.

        Raises:
            BatchError: As in `fit`.
        """
