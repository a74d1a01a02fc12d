"""The evidence of each user's items, and how new events change it.

    seen.mdb   heat  alien            events   heat 58 min           heat  alien  brazil
    watched    .30   ?          +              brazil 4 stars  ─►    .97   ?      ?
    rating     0     2                                               0     2      4

A weight is not enough to add an event: the furthest minute counts, the latest rating, and
the time of the first event. So a snapshot keeps these of every pair, as further columns of its
histories, and what is merged has the weight that the batch gives to all events together.
Merging is idempotent: events that were merged before change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Floats, Integers, Rows, Times
from batch.interactions.columns import NEVER
from batch.interactions.evidence import CatalogueEvidence
from batch.interactions.pairs import UserItemPairs
from batch.interactions.weights import Evidence, Weighting, latest_time, weigh
from batch.models.view_order import order_views
from batch.served.document import ModelDocument
from batch.served.history import Histories, read_columns

WEIGHTS: Final = "weights"  # key in the document of a served model
_OF_WEIGHTS: Final = ("watched", "rating", "rated_at")
_WORD: Final = np.dtype("<u4")
_MAX_WORD: Final = np.iinfo(_WORD).max
_TIMES: Final = ("rated_at", "last_at", "began_at")


@dataclass(frozen=True, slots=True)
class WeightBasis:
    """What weights depend on beside a user's own events.

    Attributes:
        weighting: Parameters of the weights.
        best: Best rating of the scale.
        default_runtime: Minutes of an item of unknown runtime.
        latest_at: Time that ages count from, in seconds since 1970.
    """

    weighting: Weighting
    best: float
    default_runtime: float
    latest_at: int

    @classmethod
    def of(cls, evidence: Evidence, weighting: Weighting) -> Self:
        """Return the basis of all weights of a refresh."""
        latest = 0 if evidence.last_at is None else int(latest_time(evidence.last_at))
        return cls(weighting, evidence.best, evidence.default_runtime, latest)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the basis that a document describes.

        Raises:
            ValueError: An entry is missing or not a number.
        """
        try:
            names = ("watched", "rating", "half_life_days")
            weighting = Weighting(*(float(document[name]) for name in names))
            best, runtime = float(document["best"]), float(document["default_runtime"])
            return cls(weighting, best, runtime, int(document["latest_at"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"served model: {WEIGHTS} has no valid {error}") from error

    def as_json(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "watched": self.weighting.watched,
            "rating": self.weighting.rating,
            "half_life_days": self.weighting.half_life_days,
            "best": self.best,
            "default_runtime": self.default_runtime,
            "latest_at": self.latest_at,
        }


@dataclass(frozen=True, slots=True)
class UserEvidence:
    """Evidence of the items of some users, (n_pairs,) each.

    Attributes:
        pairs: Pairs of these users and the items.
        watched: Share of the item that was watched, NaN if unknown.
        rating: Latest rating on the scale, 0 without one.
        rated_at: Time of that rating, in seconds since 1970, 0 if unknown.
        last_at: Time of the latest event, 0 if unknown.
        began_at: Time of the first event, 0 if unknown.
    """

    pairs: UserItemPairs
    watched: Floats
    rating: Floats
    rated_at: Times
    last_at: Times
    began_at: Times

    @classmethod
    def of_events(cls, found: CatalogueEvidence, *, not_after: int) -> Self:
        """Return the evidence of aggregated events.

        Args:
            found: Evidence with the time of the latest event.
            not_after: Time in seconds since 1970; first events after it have an unknown time.
        """
        assert found.last_at is not None
        rated_at = np.zeros(len(found.rating), np.int64)
        rated_at[found.rating > 0] = found.rated_at
        began_at = np.where(found.began_at > not_after, 0, found.began_at)
        times = (_in_words(time) for time in (rated_at, found.last_at, began_at))
        return cls(found.pairs, found.watched, found.rating, *times)

    @classmethod
    def of_values(cls, values: Sequence[bytes | None], columns: Sequence[str]) -> Self:
        """Return the evidence in the values of histories; see `history`.

        Columns that the model does not need are unknown.

        Raises:
            ValueError: A value has another length than its columns take.
        """
        ends, words = read_columns(values, columns)
        rows = words["item_row"].astype(np.int32)
        nothing = np.zeros(len(rows), _WORD)
        unknown = np.full(len(rows), np.nan, np.float32)
        watched = words["watched"].view("<f4") if "watched" in words else unknown
        times = (words.get(name, nothing).astype(np.int64) for name in _TIMES)
        return cls(
            UserItemPairs(ends.astype(np.int32), rows),
            watched,
            words.get("rating", nothing).view("<f4"),
            *times,
        )

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.pairs.indptr) - 1

    def merged(self, other: "UserEvidence", n_items: int) -> "UserEvidence":
        """Return the evidence of both together, which are of the same users."""
        both = (self, other)
        key = np.concatenate([_keys(one.pairs, n_items) for one in both])
        rating, rated_at = (_joined(both, name) for name in ("rating", "rated_at"))
        # the latest rating of a pair is its last row; of several at one time the best
        order = np.lexsort((rating, np.where(rating > 0, rated_at, -1), key))
        key = key[order]
        is_first = np.ones(len(key), np.bool_)
        is_first[1:] = key[1:] != key[:-1]
        first = np.flatnonzero(is_first)
        last = np.append(first, len(key))[1:] - 1
        began_at = _joined(both, "began_at")[order]
        began_at[began_at == 0] = NEVER
        if len(first):  # `reduceat` of nothing is an error
            began_at = np.minimum.reduceat(began_at, first)
        began_at[began_at == NEVER] = 0
        watched, last_at = (_joined(both, name)[order] for name in ("watched", "last_at"))
        users, items = np.divmod(key[first], n_items)
        indptr = np.searchsorted(users, np.arange(self.n_users + 1)).astype(np.int32)
        return UserEvidence(
            UserItemPairs(indptr, items.astype(np.int32)),
            np.fmax.reduceat(watched, first) if len(first) else watched,
            rating[order][last],
            rated_at[order][last],
            np.maximum.reduceat(last_at, first) if len(first) else last_at,
            began_at,
        )

    def histories(self, columns: Sequence[str], basis: WeightBasis, n_items: int) -> Histories:
        """Return the histories, weighed as the batch weighs them.

        Args:
            columns: Columns that the model needs.
            basis: What the weights depend on beside these events.
            n_items: Number of items.
        """
        weights = np.ones(self.pairs.n_pairs, np.float32)
        if "weight" in columns:
            last_at = self.last_at if "last_at" in columns else None
            evidence = Evidence(self.watched, self.rating, basis.best, last_at)
            weights = weigh(evidence, basis.weighting, basis.latest_at)
        matrix: sp.csr_matrix = self.pairs.matrix(weights, n_items)
        n_later = None
        if "n_later" in columns:
            n_later = order_views(matrix, self.began_at, seed=0, n_threads=1).n_later
        return Histories(matrix, n_later, self.words(columns))

    def words(self, columns: Sequence[str]) -> dict[str, Integers]:
        """Return the columns of evidence as words of 32 bits."""
        words = {
            "watched": self.watched.astype("<f4", copy=False).view(_WORD),
            "rating": self.rating.astype("<f4", copy=False).view(_WORD),
            **{name: getattr(self, name).astype(_WORD) for name in _TIMES},
        }
        return {name: words[name] for name in words if name in columns}


def evidence_columns(columns: Sequence[str], evidence: Evidence) -> list[str]:
    """Return the further columns that new events need, for a model with these columns."""
    found = [*_OF_WEIGHTS] if "weight" in columns else []
    if "weight" in columns and evidence.last_at is not None:
        found.append("last_at")
    return [*found, "began_at"] if "n_later" in columns else found


def with_evidence(
    model: ModelDocument, columns: Sequence[str], basis: WeightBasis
) -> ModelDocument:
    """Return the description of a model whose histories have these further columns."""
    further = {"history": [*model.document["history"], *columns], WEIGHTS: basis.as_json()}
    return replace(model, document=model.document | further)


def can_merge(columns: Sequence[str]) -> bool:
    """Return whether new events can be merged into histories of these columns."""
    has_evidence = "weight" not in columns or "watched" in columns
    return has_evidence and ("n_later" not in columns or "began_at" in columns)


def snapshot_evidence(pairs: sp.csr_matrix, evidence: Evidence, at: Times | None) -> UserEvidence:
    """Return the evidence of all users of a refresh.

    Args:
        pairs: Matrix with an entry for each interaction.
        evidence: Evidence of each interaction.
        at: Time of each interaction's first event, 0 where unknown; None if all are unknown.
    """
    unknown = np.zeros(pairs.nnz, np.int64)
    rated_at = unknown.copy()
    if evidence.rated_at is not None:
        rated_at[evidence.rating > 0] = evidence.rated_at
    times = (unknown if time is None else time for time in (rated_at, evidence.last_at, at))
    return UserEvidence(
        UserItemPairs(pairs.indptr, pairs.indices),
        evidence.watched,
        evidence.rating,
        *map(_in_words, times),
    )


def _in_words(times: Times) -> Times:
    """Return times as they are stored: those that 32 bits do not hold are the nearest ones."""
    return np.clip(times, 0, _MAX_WORD)


def _keys(pairs: UserItemPairs, n_items: int) -> Rows:
    """Return (n_pairs,) one number a pair, ascending."""
    user = np.repeat(np.arange(len(pairs.indptr) - 1), np.diff(pairs.indptr))
    return user * n_items + pairs.indices


def _joined(both: Sequence[UserEvidence], name: str) -> npt.NDArray[Any]:
    return np.concatenate([getattr(one, name) for one in both])
