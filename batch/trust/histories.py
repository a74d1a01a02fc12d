"""Histories: a model that was trained on trusted interactions, with all items of every user.

    trained on   7  a b           list of 7 from a b C, without a, b and C
    all items    7  a b C   ─►    lists of users of whom nothing was left out: unchanged

A user is folded in again only if an interaction of theirs was left out; as every model makes
its users' factors by folding in, the others already have those of all of their items.
"""

from dataclasses import dataclass, replace

import scipy.sparse as sp

from batch.arrays import Rows, Times
from batch.errors import BatchError
from batch.learn import Learned
from batch.models.factors import FittedFactors
from batch.models.fitted_auto import FittedAuto, fitted_auto
from batch.models.item_item import FittedItemItem
from batch.models.last_items import Decayed
from batch.models.protocol import Fitted, Ranker
from batch.models.view_order import order_views
from batch.second_stage.ranking import SecondStage


@dataclass(frozen=True, slots=True)
class AllHistories:
    """All interactions, for models that were trained on a part of them.

    Attributes:
        weights: (n_users, n_items) weights of all interactions.
        at: (n_interactions,) times beside `weights.data`, 0 where unknown; None if all are.
        user_rows: Rows of the users of whom something was left out, ascending.
        n_threads: Number of threads.
    """

    weights: sp.csr_matrix
    at: Times | None
    user_rows: Rows
    n_threads: int

    def stage(self, ranker: Ranker, learned: Learned) -> Ranker:
        """Return what makes the lists with all histories: the model of them, or a second stage.

        Args:
            ranker: The model of the lists, or a second stage on top of it.
            learned: Trained models, with all histories.
        """
        if not isinstance(ranker, SecondStage):
            return learned.ranker
        return ranker.with_model(learned.ranker, self.weights)

    def learned(self, learned: Learned) -> Learned:
        """Return the trained models of a refresh with all histories."""
        ranker = self.model(learned.ranker)
        if isinstance(ranker, FittedAuto):
            return replace(learned, ranker=ranker, vectors=ranker.vectors)
        if learned.vectors is learned.ranker:
            assert isinstance(ranker, FittedFactors)
            return replace(learned, ranker=ranker, vectors=ranker)
        return replace(learned, ranker=ranker, vectors=self.factors(learned.vectors))

    def model(self, fitted: Fitted) -> Fitted:
        """Return a fitted model with all histories."""
        if isinstance(fitted, FittedAuto):
            parts = [self.model(part) for part in fitted.parts]
            return fitted_auto(fitted.choice, parts, self.weights)
        if isinstance(fitted, FittedItemItem):
            return self._item_item(fitted)
        assert isinstance(fitted, FittedFactors)
        return self.factors(fitted)

    def factors(self, fitted: FittedFactors) -> FittedFactors:
        """Return a model of factors with all histories."""
        users = fitted.user_factors.copy()
        try:
            users[self.user_rows] = fitted.solve(self.weights[self.user_rows])
        except BatchError:  # BPR folds nobody in: the factors are those of the trusted items
            return replace(fitted, seen=self.weights)
        return replace(fitted, user_factors=users, seen=self.weights)

    def _item_item(self, fitted: FittedItemItem) -> FittedItemItem:
        history = fitted.weigh(self.weights)
        if isinstance(fitted.weigh, Decayed):
            views = order_views(self.weights, self.at, seed=0, n_threads=self.n_threads)
            history = fitted.weigh.by_place(self.weights, views.n_later)
        return replace(fitted, history=history, popular=self.factors(fitted.popular))
