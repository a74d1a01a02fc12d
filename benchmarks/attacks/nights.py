"""One night: the lists of all users as a refresh makes them, with or without `[trust]`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa

from batch.arrays import ItemRows, Rows
from batch.models.choose import recommender
from batch.rules.search import Search
from batch.rules.under_cap import under_limits
from batch.settings import BatchSettings
from batch.topk import NO_ITEM
from batch.trust.assess import assess
from batch.trust.growth import list_limits
from batch.trust.histories import AllHistories
from batch.trust.left_out import rejoin
from batch.trust.settings import TrustSettings
from benchmarks.attacks.service import Service
from store.layout import LIST_LENGTH

OFF: Final = TrustSettings(bounded=False, detection=False)
ON: Final = TrustSettings()
_SEED: Final = 42
_N_KEPT: Final = 30
_NOT_AFTER: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Night:
    """The lists of one night.

    Attributes:
        item_rows: (n_users, 20) lists.
        suspects: Item rows of the items in doubt.
    """

    item_rows: ItemRows
    suspects: tuple[int, ...]

    def share_of(self, item_row: int) -> float:
        """Return the share of the lists that hold an item."""
        return float((self.item_rows == item_row).any(axis=1).mean())

    def counts(self) -> dict[str, int]:
        """Return the number of lists that hold each item, by its id."""
        listed = self.item_rows[self.item_rows != NO_ITEM]
        return {f"{row:07}": int(n) for row, n in enumerate(np.bincount(listed))}


def make_lists(
    service: Service,
    settings: TrustSettings,
    model: str,
    served: Mapping[str, int] | None = None,
    n_threads: int = 1,
) -> Night:
    """Return the lists of a night.

    Args:
        service: Views of all users.
        settings: Section `[trust]`.
        model: Name of the model.
        served: Number of lists that hold each item now; None: no snapshot is served.
        n_threads: Number of threads.
    """
    interactions, trust = assess(
        service.interactions(), service.accounts(), settings, not_after=_NOT_AFTER, seed=_SEED
    )
    parameters = BatchSettings(ials_factors=32, n_threads=n_threads, holdout_users=0)
    made = recommender(model, parameters)
    fitted = made.fit(interactions.weights, at=interactions.began_at, n_threads=n_threads)
    if trust.left_out:
        whole = rejoin(interactions, trust.left_out)
        histories = AllHistories(whole.weights, whole.began_at, trust.left_out.user_rows, n_threads)
        fitted = histories.model(fitted)
    nobody, no_item = (np.zeros(n, np.bool_) for n in interactions.weights.shape)
    search = Search(fitted, no_item, no_item, nobody, n_threads)
    limits = _limits(interactions.item_ids, trust.unsupported, served, len(nobody), settings)
    lists = under_limits(search(_N_KEPT), limits, search, _N_KEPT)
    suspects = [int(item["item"]) for item in trust.document.get("suspects", ())]
    return Night(lists.item_rows[:, :LIST_LENGTH], tuple(suspects))


def _limits(
    item_ids: pa.StringArray,
    rows: Rows,
    served: Mapping[str, int] | None,
    n_lists: int,
    settings: TrustSettings,
) -> dict[int, int]:
    if served is None:
        return {}
    names = item_ids.take(pa.array(rows)).to_pylist()
    limits = list_limits(served, names, n_lists, settings)
    return dict(zip(rows.tolist(), limits, strict=True))
