"""The protocol of a recommender, before and after training."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import scipy.sparse as sp

from batch.arrays import AnyArray, Floats, Rows, Times
from batch.models.sweep import OnStep
from batch.progress import noop
from batch.topk import TopK


class Ranker(Protocol):
    """Something that ranks items for users: a fitted model, or a second stage on top of one."""

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Return each user's k best unseen items, best first.

        Equal scores keep the lower item row first; the lists are the same on
        any number of threads. Items that the model has no score for are left out.

        Args:
            k: Items to keep for each user, at least 1.
            user_rows: Rows of the users to rank for, in this order; None means all.
            hidden: Item rows that are in no list.
            n_threads: Number of threads; 0 means one for each usable processor.
            on_users: Callback with the number of users done, from several threads.
        """


class Fitted(Ranker, Protocol):
    """A fitted model, which ranks items for the users of its training data."""

    @property
    def arrays(self) -> Mapping[str, AnyArray]:
        """Arrays that ranking needs, by name: the model's size in memory and on disk."""

    @property
    def about(self) -> Mapping[str, float]:
        """Figures found in training, for the manifest: sweeps done, weights chosen."""

    def scores(self, user_rows: Rows) -> Floats:
        """Return (len(user_rows), n_items) the scores of all items, for a block of users.

        A blend adds them. An item that the model has no score for has 0, the neutral score.
        The caller chooses blocks of a fixed size and limits BLAS to one thread, so that the
        last bit of a score does not depend on the number of threads.

        Args:
            user_rows: Rows of the users.
        """

    def fold_in(self, weights: sp.csr_matrix) -> "Fitted":
        """Return the same model for other users, without training it on them.

        Args:
            weights: (n_other_users, n_items) weights of those users' interactions.

        Raises:
            BatchError: This model cannot fold in other users.
        """


class Recommender(Protocol):
    """A recommender with its parameters set, before training."""

    @property
    def name(self) -> str:
        """Name of the model in `[batch] model` and in tables."""

    def fit(
        self,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
        on_step: OnStep = noop,
    ) -> Fitted:
        """Train on the weights of interactions, which are not modified.

        Args:
            weights: (n_users, n_items), above 0 where the user has the item.
            at: (n_interactions,) times in seconds since 1970 beside
                `weights.data`; None if unknown. Only models with a holdout use it.
            n_threads: Number of threads; 0 means one for each usable processor.
            on_step: Callback after each step; with the sweep where the model has sweeps.

        Raises:
            BatchError: The weights or the trained parameters are not finite.
        """

    def refit(
        self,
        trial: Fitted,
        user_rows: Rows,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
    ) -> Fitted:
        """Train on all weights, beginning with a model of a sample of them.

        Args:
            trial: Model that this recommender fitted to the sample.
            user_rows: (n_sampled,) rows of the sampled users among all users, ascending.
            weights: (n_users, n_items) weights of all users.
            at: (n_interactions,) times beside `weights.data`; None if unknown.
            n_threads: Number of threads; 0 means one for each usable processor.

        Raises:
            BatchError: The weights or the trained parameters are not finite.
        """


class TrainedAnew:
    """Base of the recommenders whose training has no state to begin with."""

    __slots__ = ()

    def refit(
        self: Recommender,
        trial: Fitted,
        user_rows: Rows,
        weights: sp.csr_matrix,
        *,
        at: Times | None = None,
        n_threads: int = 0,
    ) -> Fitted:
        """Train anew on everything; see `Recommender.refit`."""
        return self.fit(weights, at=at, n_threads=n_threads)
