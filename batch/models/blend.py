"""A blend: the scores of several models in one, each standardised within the user.

    score(user, item) = Σ share of a model · its score / standard deviation of the user's scores

Models of factors are joined to one model of longer factors, with the standard deviations
in the user's: it has the exact top-k of norm-pruned blocks. The scores of other models are
added block by block.

Source:
    Standard scores ("z-scores") as the unit in which rankings of different models are added:
    Wu, Crestani and Bi, "Evaluating Score Normalization Methods in Data Fusion", AIRS 2006.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from batch.arrays import AnyArray, Doubles, Floats, Rows
from batch.models.dense_topk import dense_top_k
from batch.models.factors import FittedFactors
from batch.models.protocol import Fitted
from batch.progress import noop
from batch.topk import Execution, TopK

_SCALED_USERS: Final = 1 << 14  # users at a time, which limits copies in double precision
_MIN_RELATIVE_DEVIATION: Final = 1e-6  # below it, scores differ by rounding alone


@dataclass(frozen=True, slots=True)
class FittedBlend:
    """Models whose scores are added.

    Attributes:
        parts: Fitted models of the same users and items, at least one.
        shares: (n_parts,) weight of each model's standardised score.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
        about: Figures found in training, by name.
    """

    parts: Sequence[Fitted]
    shares: Sequence[float]
    seen: sp.csr_matrix
    about: Mapping[str, float] = field(default_factory=dict)

    @property
    def arrays(self) -> Mapping[str, AnyArray]:
        """Arrays of all parts, by their number and name."""
        return {
            f"{number}_{name}": array
            for number, part in enumerate(self.parts)
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
        rows = np.arange(self.seen.shape[0]) if user_rows is None else user_rows
        execution = Execution(n_threads, on_users)
        return dense_top_k(self.scores, self.seen, rows, k, hidden, execution)

    def scores(self, user_rows: Rows) -> Floats:
        """Add the standardised scores of the parts; see `Fitted.scores`."""
        first, *others = (
            standardised(part.scores(user_rows), share)
            for part, share in zip(self.parts, self.shares, strict=True)
        )
        for other in others:
            first += other
        return first

    def fold_in(self, weights: sp.csr_matrix) -> "FittedBlend":
        """Fold the users into each part; see `Fitted.fold_in`."""
        parts = [part.fold_in(weights) for part in self.parts]
        return FittedBlend(parts, self.shares, weights, self.about)


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
    if not others:
        return _joined(factors, seen, about)
    return FittedBlend(
        [part for part, _ in (*factors, *others)],
        [share for _, share in (*factors, *others)],
        seen,
        about,
    )


def standardised(scores: Floats, share: float) -> Floats:
    """Divide each row by its standard deviation, in place, and multiply it by the share.

    The mean is not subtracted: it is the same for all items of a user. A row without
    differences becomes 0.

    Args:
        scores: (n, n_items), overwritten.
        share: Factor of the result.
    """
    n_items = scores.shape[1]
    mean = scores.mean(axis=1).astype(np.float64)
    squares = np.einsum("ui,ui->u", scores, scores).astype(np.float64) / n_items
    scores *= _scale(squares - mean**2, squares, share).astype(np.float32)[:, None]
    return scores


def _joined(
    parts: Sequence[tuple[FittedFactors, float]], seen: sp.csr_matrix, about: Mapping[str, float]
) -> FittedFactors:
    """Return one model of the factors of all parts."""
    scalers = [_scaler(part.item_factors, share) for part, share in parts]

    def joined(sides: Sequence[Floats]) -> Floats:
        scaled = [scale(side) for scale, side in zip(scalers, sides, strict=True)]
        return np.concatenate(scaled, axis=1)

    def solve(weights: sp.csr_matrix) -> Floats:
        return joined([part.solve(weights) for part, _ in parts])

    items = np.concatenate([part.item_factors for part, _ in parts], axis=1)
    users = joined([part.user_factors for part, _ in parts])
    return FittedFactors(users, items, seen, solve, about)


def _scaler(item_factors: Floats, share: float) -> Callable[[Floats], Floats]:
    """Return the function that gives users' factors scores of a standard deviation of `share`."""
    items = item_factors.astype(np.float64)
    with threadpool_limits(1, "blas"):  # the same bits on any number of threads
        second_moment = items.T @ items / max(len(items), 1)
    mean = items.mean(axis=0)

    def scale(user_factors: Floats) -> Floats:
        scaled = np.empty_like(user_factors)
        for first in range(0, len(user_factors), _SCALED_USERS):
            users = user_factors[first : first + _SCALED_USERS].astype(np.float64)
            with threadpool_limits(1, "blas"):
                squares = np.einsum("uf,uf->u", users @ second_moment, users)
                variance = squares - (users @ mean) ** 2
            scale_of = _scale(variance, squares, share)
            scaled[first : first + _SCALED_USERS] = users * scale_of[:, None]
        return scaled

    return scale


def _scale(variance: Doubles, squares: Doubles, share: float) -> Doubles:
    is_constant = variance <= _MIN_RELATIVE_DEVIATION * squares
    deviation = np.sqrt(np.where(is_constant, 1, variance))
    return np.where(is_constant, 0, share / deviation)
