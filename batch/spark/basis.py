"""The basis of interactions: what the weights of a user depend on beside the user's events.

all rows ─► items that exist, rating scale, time that ages count from ─► basis
rows of some users, basis ─► the interactions that the local engine makes of these users
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from batch.arrays import Flags, Times
from batch.events.events import Events
from batch.events.parsed import RATINGS, VIEWS
from batch.interactions.aggregate import OUTSIDE_CATALOGUE, TOO_FEW_USERS, aggregate_users
from batch.interactions.build import Interactions, Ratings, weighted, with_items
from batch.interactions.weights import Evidence, Weighting
from batch.spark.read import RATING, VIEW


@dataclass(frozen=True, slots=True)
class InteractionBasis:
    """What interactions depend on beside the events of their user.

    Attributes:
        runtimes: Minutes of each item that exists and has a user; the ids are sorted.
        default_runtime: Minutes of an item of unknown runtime.
        best_rating: Best rating of the scale.
        latest: Time that ages count from; None where weights do not age.
        weighting: Parameters of the weights.
        has_catalogue: Whether the items are those of a catalogue.
    """

    runtimes: dict[str, float]
    default_runtime: float
    best_rating: float
    latest: int | None
    weighting: Weighting
    has_catalogue: bool

    def interactions(self, rows: pa.Table) -> Interactions:
        """Return the interactions of some users, with the rows of all items.

        Args:
            rows: Views and ratings of whole users, with the columns of `read.ROWS`.
        """
        views, ratings = (rows.filter(pc.equal(rows["kind"], kind)) for kind in (VIEW, RATING))
        ratings = ratings.rename_columns({"first_at": "at"})
        events = Events(
            views.select(VIEWS.names).cast(VIEWS),
            ratings.select(RATINGS.names).cast(RATINGS),
            0, 0, (),
        )  # fmt: skip
        is_aged = self.weighting.half_life_days > 0
        aggregated = aggregate_users(
            events, self.runtimes, self.best_rating, with_latest=is_aged, n_threads=1
        )
        dropped = aggregated.dropped
        if not self.has_catalogue and OUTSIDE_CATALOGUE in dropped:
            dropped[TOO_FEW_USERS] = dropped.pop(OUTSIDE_CATALOGUE)
        evidence = replace(aggregated.evidence, default_runtime=self.default_runtime)
        aggregated = replace(aggregated, evidence=evidence, dropped=dropped)
        return with_items(weighted(aggregated, self.weighting, self.latest), self.runtimes)


def select_users(interactions: Interactions, is_selected: Flags) -> Interactions:
    """Return the interactions of some of the users, in their order.

    Args:
        interactions: Interactions; not modified.
        is_selected: (n_users,) flags of the users that stay.
    """
    weights, ratings, evidence = interactions.weights, interactions.ratings, interactions.evidence
    is_pair = np.repeat(is_selected, np.diff(weights.indptr))
    is_rating = is_selected[ratings.user_row]
    new_row = np.cumsum(is_selected) - 1
    if evidence is not None:
        rated_at = evidence.rated_at
        if rated_at is not None:
            rated_at = rated_at[is_pair[evidence.rating > 0]]
        evidence = replace(
            evidence,
            watched=evidence.watched[is_pair],
            rating=evidence.rating[is_pair],
            last_at=None if evidence.last_at is None else evidence.last_at[is_pair],
            rated_at=rated_at,
        )
    began_at = interactions.began_at
    return replace(
        interactions,
        user_ids=interactions.user_ids.filter(pa.array(is_selected)),
        weights=weights[np.flatnonzero(is_selected)],
        ratings=replace(
            ratings,
            user_row=new_row[ratings.user_row[is_rating]],
            item_row=ratings.item_row[is_rating],
            rating=ratings.rating[is_rating],
        ),
        began_at=None if began_at is None else began_at[is_pair],
        evidence=evidence,
    )


def concat_interactions(parts: Sequence[Interactions]) -> Interactions:
    """Return the interactions of the users of all parts, in this order, on the same items.

    Args:
        parts: One part or more.
    """
    before = np.cumsum([0, *(len(part.user_ids) for part in parts)])
    ratings = [part.ratings for part in parts]
    sizes = [part.weights.nnz for part in parts]
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part.dropped)
    return Interactions(
        user_ids=pa.concat_arrays([part.user_ids for part in parts]),
        item_ids=parts[0].item_ids,
        weights=sp.csr_matrix(sp.vstack([part.weights for part in parts], format="csr")),
        ratings=Ratings(
            np.concatenate([one.user_row + n for one, n in zip(ratings, before, strict=False)]),
            np.concatenate([one.item_row for one in ratings]),
            np.concatenate([one.rating for one in ratings]),
            ratings[0].best,
        ),
        dropped=dropped,
        n_users_without=sum(part.n_users_without for part in parts),
        began_at=_joined_times([part.began_at for part in parts], sizes),
        evidence=_joined_evidence([part.evidence for part in parts], sizes),
    )


def _joined_evidence(parts: Sequence[Evidence | None], sizes: Sequence[int]) -> Evidence | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return replace(
        known[0],
        watched=np.concatenate([one.watched for one in known]),
        rating=np.concatenate([one.rating for one in known]),
        last_at=_joined_times([one.last_at for one in known], sizes),
        rated_at=np.concatenate(
            [np.zeros(0, np.int64) if one.rated_at is None else one.rated_at for one in known]
        ),
    )


def _joined_times(parts: Sequence[Times | None], sizes: Sequence[int]) -> Times | None:
    """Return the times of all parts, 0 for a part without any; None if no part has any."""
    if all(part is None for part in parts):
        return None
    return np.concatenate(
        [
            np.zeros(size, np.int64) if part is None else part
            for part, size in zip(parts, sizes, strict=True)
        ]
    )
