"""What is left out of training, so that all interactions can be put together again.

    all interactions  a b C d E f  ─► trusted  a b d f      for the models
                                   └► left out C E, at 2 4  until the lists are made

Only one of the two is in memory at a time: all interactions of a large service take gigabytes.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Flags, Floats, Integers, Rows, Times
from batch.interactions.build import Interactions
from batch.interactions.weights import Evidence

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Interactions that are not learned from.

    Attributes:
        positions: (n,) positions among all interactions, ascending.
        item_rows: (n,) their item rows.
        weights: (n,) their weights.
        began_at: (n,) times of their first events; None if all are unknown.
        indptr: (n_users + 1,) number of all interactions before each user's.
        evidence: Evidence of all interactions; None if it is unknown.
    """

    positions: Rows
    item_rows: Integers
    weights: Floats
    began_at: Times | None
    indptr: Integers
    evidence: Evidence | None

    @property
    def user_rows(self) -> Rows:
        """Rows of the users with interactions that are left out, ascending."""
        rows = np.searchsorted(self.indptr, self.positions, side="right") - 1
        return np.unique(rows).astype(np.int64)


def leave_out(interactions: Interactions, positions: Rows) -> tuple[Interactions, LeftOut]:
    """Return the trusted interactions, with the same users and items, and the others.

    Args:
        interactions: All interactions; not modified.
        positions: Positions of those to leave out, ascending.
    """
    weights, began_at = interactions.weights, interactions.began_at
    left_out = LeftOut(
        positions,
        weights.indices[positions],
        weights.data[positions],
        None if began_at is None else began_at[positions],
        weights.indptr,
        interactions.evidence,
    )
    is_trusted = np.ones(weights.nnz, np.bool_)
    is_trusted[positions] = False
    before = np.searchsorted(positions, weights.indptr).astype(weights.indptr.dtype)
    parts = (weights.data[is_trusted], weights.indices[is_trusted], weights.indptr - before)
    trusted = replace(
        interactions,
        weights=sp.csr_matrix(parts, shape=weights.shape),
        began_at=None if began_at is None else began_at[is_trusted],
        evidence=None,
    )
    return trusted, left_out


def rejoin(trusted: Interactions, left_out: LeftOut) -> Interactions:
    """Return all interactions: the inverse of `leave_out`."""
    is_trusted = np.ones(int(left_out.indptr[-1]), np.bool_)
    is_trusted[left_out.positions] = False
    weights, began_at = trusted.weights, trusted.began_at
    data = _merged(is_trusted, weights.data, left_out.weights)
    indices = _merged(is_trusted, weights.indices, left_out.item_rows)
    return replace(
        trusted,
        weights=sp.csr_matrix((data, indices, left_out.indptr), shape=weights.shape),
        began_at=None
        if began_at is None or left_out.began_at is None
        else _merged(is_trusted, began_at, left_out.began_at),
        evidence=left_out.evidence,
    )


def _merged(is_trusted: Flags, trusted: npt.NDArray[T], others: npt.NDArray[Any]) -> npt.NDArray[T]:
    merged = np.empty(len(is_trusted), trusted.dtype)
    merged[is_trusted], merged[~is_trusted] = trusted, others
    return merged
