"""A blend: the scores of several models in one, each standardised within the user.

    score(user, item) = Σ share of a model · its score / standard deviation of the user's scores

Models of factors are joined to one model of longer factors, with the standard deviations
in the user's: it has the exact top-k of norm-pruned blocks. The scores of other models are
added block by block. No score depends on the users beside its own, not even in the last bit.

Source:
    Standard scores ("z-scores") as the unit in which rankings of different models are added:
    Wu, Crestani and Bi, "Evaluating Score Normalization Methods in Data Fusion", AIRS 2006.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import AnyArray, AnyFloats, Doubles, Floats, Rows
from batch.models.dense_topk import best_of, dense_top_k, for_each_block, hide
from batch.models.factors import FittedFactors
from batch.models.few_users import MAX_FEW_USERS, best_of_few
from batch.models.fold_in import Joined, Solver, Standardised, scale_of
from batch.models.protocol import Fitted
from batch.models.rescore import N_SPARE, Scoring, rescored
from batch.progress import noop
from batch.threads import one_blas_thread
from batch.topk import NO_ITEM, Execution, TopK


@dataclass(frozen=True, slots=True)
class FittedBlend:
    """Models whose scores are added, at least one of which is not of factors.

    Attributes:
        factors: The models of factors, joined to one; None: none.
        parts: Fitted models of the same users and items, at least one.
        shares: (n_parts,) weight of each model's standardised score.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        about: Figures found in training, by name.
    """

    factors: FittedFactors | None
    parts: Sequence[Fitted]
    shares: Sequence[float]
    seen: sp.csr_matrix
    about: Mapping[str, float] = field(default_factory=dict)

    @property
    def arrays(self) -> Mapping[str, AnyArray]:
        """Arrays of all parts, by their number and name."""
        return {
            f"{number}_{name}": array
            for number, part in enumerate(filter(None, (self.factors, *self.parts)))
            for name, array in part.arrays.items()
        }

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Add the scores of blocks of users; see `Fitted.top_k`."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        rows = np.arange(self.seen.shape[0]) if user_rows is None else user_rows
        execution = Execution(n_threads, on_users)
        if self.factors is None:
            return dense_top_k(self._added, self.seen, rows, k, hidden, execution)
        hidden_rows = np.array(sorted(hidden), np.int64)
        if len(rows) <= MAX_FEW_USERS:
            on_users(len(rows))
            return best_of_few(self._scoring(self.factors, rows, hidden_rows), k)
        return self._rescored(self.factors, rows, k, hidden_rows, execution)

    def scores(self, user_rows: Rows) -> Floats:
        """Add the standardised scores of the parts; see `Fitted.scores`."""
        added = self._added(user_rows)
        return added if self.factors is None else added + self.factors.scores(user_rows)

    def fold_in(self, weights: sp.csr_matrix) -> "FittedBlend":
        """Fold the users into each part; see `Fitted.fold_in`."""
        factors = self.factors and self.factors.fold_in(weights)
        parts = [part.fold_in(weights) for part in self.parts]
        return FittedBlend(factors, parts, self.shares, weights, self.about)

    def _rescored(
        self, factors: FittedFactors, rows: Rows, k: int, hidden_rows: Rows, execution: Execution
    ) -> TopK:
        """Return the lists with the products of factors computed exactly; see `rescore`."""
        lists = TopK(
            np.full((len(rows), k), NO_ITEM, np.int32), np.full((len(rows), k), -np.inf, np.float32)
        )

        def fill(some: Rows, block: slice) -> None:
            scoring = self._scoring(factors, some, hidden_rows)
            assert scoring.added is not None
            found = scoring.added + factors.scores(some)
            scoring.hide(found, np.arange(len(some)))
            lists.item_rows[block], lists.scores[block] = rescored(
                best_of(found, k + N_SPARE), k, scoring
            )

        for_each_block(fill, rows, self.seen.shape[1], execution)
        return lists

    def _scoring(self, factors: FittedFactors, some: Rows, hidden_rows: Rows) -> Scoring:
        """Return the exact scores of some users."""

        def hide_items(scores: AnyFloats, users: Rows) -> None:
            hide(scores, self.seen, some[users])
            scores[:, hidden_rows] = -np.inf

        users = factors.user_factors[some]
        return Scoring(users, factors.item_factors, hide_items, self._added(some))

    def _added(self, user_rows: Rows) -> Floats:
        """Return the sum of the standardised scores of the parts that are not of factors."""
        first, *others = (
            standardised(part.scores(user_rows), share)
            for part, share in zip(self.parts, self.shares, strict=True)
        )
        for other in others:
            first += other
        return first


def blended(
    parts: Sequence[Fitted], shares: Sequence[float], seen: sp.csr_matrix
) -> FittedFactors | FittedBlend:
    """Return the blend of fitted models: factors if all of them are factors.

    Args:
        parts: Fitted models of the same users and items, at least one.
        shares: (n_parts,) weight of each model's standardised score, above 0.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
    """
    pairs = [*zip(parts, shares, strict=True)]
    factors = [(part, share) for part, share in pairs if isinstance(part, FittedFactors)]
    others = [(part, share) for part, share in pairs if not isinstance(part, FittedFactors)]
    about = {name: value for part in parts for name, value in part.about.items()}
    joined = _joined(factors, seen, about) if factors else None
    if joined and not others:
        return joined
    return FittedBlend(
        joined, [part for part, _ in others], [share for _, share in others], seen, about
    )


def standardised(scores: Floats, share: float) -> Floats:
    """Divide each row by its standard deviation, in place, and multiply it by the share.

    The mean is not subtracted: it is the same for all items of a user. A row without
    differences becomes 0.

    Args:
        scores: (n, n_items), overwritten.
        share: Factor of the result.
    """
    scores *= scales(scores, share).astype(np.float32)[:, None]
    return scores


def scales(scores: Floats, share: float) -> Doubles:
    """Return (n,) the factors that give each row of scores a standard deviation of `share`."""
    mean = scores.mean(axis=1).astype(np.float64)
    with one_blas_thread():
        squares = np.vecdot(scores, scores).astype(np.float64) / scores.shape[1]
    return scale_of(squares - mean**2, squares, share)


def _joined(
    parts: Sequence[tuple[FittedFactors, float]], seen: sp.csr_matrix, about: Mapping[str, float]
) -> FittedFactors:
    """Return one model of the factors of all parts."""
    items_of = [_balanced(part.item_factors, share) for part, share in parts]
    solvers = [
        _standardised(part.solve, items, share)
        for items, (part, share) in zip(items_of, parts, strict=True)
    ]
    users = np.concatenate(
        [one.scaled(part.user_factors) for one, (part, _) in zip(solvers, parts, strict=True)],
        axis=1,
    )
    return FittedFactors(users, np.concatenate(items_of, axis=1), seen, Joined(solvers), about)


def _balanced(item_factors: Floats, share: float) -> Floats:
    """Return item factors with a mean norm near the root of the share, times a power of 2.

    Users' factors then have about that norm, too. So no part dominates the product of norms,
    which bounds a score: counts of views beside factors of about 1 would.
    """
    norm = np.sqrt(np.vecdot(item_factors, item_factors).mean(dtype=np.float64))
    if not 0 < norm < np.inf:
        return item_factors
    return np.asarray(item_factors * np.float32(2.0 ** np.round(np.log2(np.sqrt(share) / norm))))


def _standardised(solve: Solver, item_factors: Floats, share: float) -> Standardised:
    """Return the solver whose users have scores of a standard deviation of `share`."""
    items = item_factors.astype(np.float64)
    with threadpool_limits(1, "blas"):  # the same bits on any number of threads
        second_moment = items.T @ items / max(len(items), 1)
    return Standardised(solve, second_moment, items.mean(axis=0), share)
