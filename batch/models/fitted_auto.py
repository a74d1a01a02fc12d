"""A fitted choice of `auto`: its parts, and the blend of those that have a share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import scipy.sparse as sp

from batch.arrays import AnyArray, Floats, Rows
from batch.models.blend import FittedBlend, blended
from batch.models.choice import VECTORS_MODEL, Choice
from batch.models.factors import FittedFactors
from batch.models.protocol import Fitted
from batch.progress import noop
from batch.topk import TopK


@dataclass(frozen=True, slots=True)
class FittedAuto:
    """A fitted choice.

    Attributes:
        choice: Models, parameters and shares.
        parts: (n_parts,) fitted models of the choice.
        blend: Blend of the parts that have a share.
    """

    choice: Choice
    parts: Sequence[Fitted]
    blend: FittedFactors | FittedBlend

    @property
    def vectors(self) -> FittedFactors:
        """Part whose factors the index and the tables need."""
        return self.parts[self._vectors_at]  # type: ignore[return-value]

    @property
    def arrays(self) -> Mapping[str, AnyArray]:
        """Arrays of the blend."""
        return self.blend.arrays

    @property
    def about(self) -> Mapping[str, float]:
        """Figures of the parts, the shares, and the NDCG of the validation."""
        shares = {
            f"share_{part.model}": share
            for part, share in zip(self.choice.parts, self.choice.shares, strict=True)
        }
        return {**self.blend.about, **shares, "validation_ndcg": self.choice.ndcg}

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Return the blend's lists; see `Fitted.top_k`."""
        return self.blend.top_k(
            k, user_rows=user_rows, hidden=hidden, n_threads=n_threads, on_users=on_users
        )

    def scores(self, user_rows: Rows) -> Floats:
        """Return the blend's scores; see `Fitted.scores`."""
        return self.blend.scores(user_rows)

    def fold_in(self, weights: sp.csr_matrix) -> "FittedAuto":
        """Fold the users into each part; see `Fitted.fold_in`."""
        return fitted_auto(self.choice, [part.fold_in(weights) for part in self.parts], weights)

    def with_vectors(self, vectors: FittedFactors) -> "FittedAuto":
        """Return the model with other factors in the part that makes the vectors."""
        parts = [*self.parts]
        parts[self._vectors_at] = vectors
        return fitted_auto(self.choice, parts, self.seen)

    @property
    def seen(self) -> sp.csr_matrix:
        """(n_users, n_items) matrix with a stored entry where the user has the item."""
        return self.blend.seen

    @property
    def _vectors_at(self) -> int:
        return [part.model for part in self.choice.parts].index(VECTORS_MODEL)


def fitted_auto(choice: Choice, parts: Sequence[Fitted], seen: sp.csr_matrix) -> FittedAuto:
    """Return the fitted choice with the blend of its parts.

    Args:
        choice: Models, parameters and shares.
        parts: (n_parts,) fitted models of the choice.
        seen: (n_users, n_items) matrix with a stored entry where the user has the item.
    """
    used = [(part, share) for part, share in zip(parts, choice.shares, strict=True) if share]
    blend = blended([part for part, _ in used], [share for _, share in used], seen)
    return FittedAuto(choice, parts, blend)
