"""One night: the lists of all users as a refresh makes them, with or without `[trust]`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa

from batch.arrays import ItemRows, Rows
from batch.interactions.build import Interactions
from batch.models.choose import recommender
from batch.models.protocol import Fitted
from batch.rules.search import Search
from batch.rules.under_cap import under_limits
from batch.settings import BatchSettings
from batch.topk import NO_ITEM
from batch.trust.assess import Assessment, assess
from batch.trust.growth import list_limits
from batch.trust.histories import AllHistories
from batch.trust.settings import TrustSettings
from benchmarks.attacks.service import Service
from store.layout import LIST_LENGTH

OFF: Final = TrustSettings(bounded=False, detection=False)
ON: Final = TrustSettings()
_SEED: Final = 42
_N_KEPT: Final = 30
NOT_AFTER: Final = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Night:
    """The lists of one night.

    Attributes:
        item_rows: (n_users, 20) lists.
        in_doubt: Item rows of the items that weigh half.
        n_suspects: Number of accounts that weigh nothing.
    """

    item_rows: ItemRows
    in_doubt: tuple[int, ...]
    n_suspects: int

    def share_of(self, item_row: int) -> float:
        """Return the share of the lists that hold an item."""
        return float((self.item_rows == item_row).any(axis=1).mean())

    def counts(self) -> dict[str, int]:
        """Return the number of lists that hold each item, by its id."""
        listed = self.item_rows[self.item_rows != NO_ITEM]
        return {f"{row:07}": int(n) for row, n in enumerate(np.bincount(listed))}


def make_lists(
    service: Service, settings: TrustSettings, model: str, served: Mapping[str, int] | None = None
) -> Night:
    """Return the lists of a night.

    Args:
        service: Views of all users.
        settings: Section `[trust]`.
        model: Name of the model.
        served: Number of lists that hold each item now; None: no snapshot is served.
    """
    interactions = service.interactions()
    fitted, trust = fit(interactions, service.accounts(), settings, model)
    nobody, no_item = (np.zeros(n, np.bool_) for n in interactions.weights.shape)
    search = Search(fitted, no_item, no_item, nobody, n_threads=1)
    limits = _limits(interactions.item_ids, trust.unsupported, served, len(nobody), settings)
    lists = under_limits(search(_N_KEPT), limits, search, _N_KEPT)
    pushed = trust.document.get("suspects", ())
    in_doubt = [int(one["item"]) for one in pushed if one["weight"] < 1]
    n_accounts = trust.document.get("n_suspect_accounts", 0)
    return Night(lists.item_rows[:, :LIST_LENGTH], tuple(in_doubt), n_accounts)


def fit(
    interactions: Interactions, accounts: pa.Table, settings: TrustSettings, model: str
) -> tuple[Fitted, Assessment]:
    """Return a model of the trusted interactions, with the histories of all, as a refresh does."""
    trusted, trust = assess(interactions, accounts, settings, not_after=NOT_AFTER, seed=_SEED)
    made = recommender(model, BatchSettings(ials_factors=16, ials_iterations=8, n_threads=1))
    fitted = made.fit(trusted.weights, at=trusted.began_at, n_threads=1)
    if not trust.left_out:
        return fitted, trust
    rows = trust.left_out.user_rows
    histories = AllHistories(interactions.weights, interactions.began_at, rows, n_threads=1)
    return histories.model(fitted), trust


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
