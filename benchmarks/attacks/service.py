"""A simulated service as arrays, to which accounts and views can be added."""

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from batch.arrays import Flags, Rows, Times
from batch.events.parsed import ACCOUNTS
from batch.events.read import read_events
from batch.interactions.build import Interactions, Ratings, build_interactions
from batch.settings import BatchSettings
from benchmarks.simulator.__main__ import main as simulate


@dataclass(frozen=True, slots=True)
class Service:
    """Views of a service, (n_views,) each.

    Attributes:
        user_row, item_row: Rows of users and items.
        at: Time of each view, seconds since 1970.
        created: (n_users,) time of the creation of each account, 0 if it is older than the events.
        n_items: Number of items.
    """

    user_row: Rows
    item_row: Rows
    at: Times
    created: Times
    n_items: int

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.created)

    @property
    def until(self) -> int:
        """Time of the latest view."""
        return int(self.at.max())

    def popularity(self) -> Rows:
        """Return (n_items,) number of users of each item."""
        return np.bincount(self.item_row, minlength=self.n_items)

    def with_views(
        self, user_row: Rows, item_row: Rows, at: Times, created: Sequence[int] | Times = ()
    ) -> "Service":
        """Return the service with further views, and accounts behind the others."""
        return Service(
            np.concatenate((self.user_row, user_row)),
            np.concatenate((self.item_row, item_row)),
            np.concatenate((self.at, at)),
            np.concatenate((self.created, np.asarray(created, np.int64))),
            self.n_items,
        )

    def before(self, end: int) -> "Service":
        """Return the service of all accounts, with the views until a time."""
        return self._of(self.at <= end)

    def without_item(self, item_row: int) -> "Service":
        """Return the service before anybody has watched an item."""
        return self._of(self.item_row != item_row)

    def _of(self, is_kept: Flags) -> "Service":
        views = (self.user_row[is_kept], self.item_row[is_kept], self.at[is_kept])
        return Service(*views, self.created, self.n_items)

    def interactions(self) -> Interactions:
        """Return the first view of each user and item as interactions."""
        order = np.lexsort((self.at, self.item_row, self.user_row))
        cell = self.user_row[order] * self.n_items + self.item_row[order]
        first = order[np.append(True, cell[1:] != cell[:-1])]
        shape = (self.n_users, self.n_items)
        ones = np.ones(len(first), np.float32)
        weights = sp.csr_matrix((ones, (self.user_row[first], self.item_row[first])), shape=shape)
        no_rows = np.zeros(0, np.int64)
        ratings = Ratings(no_rows, no_rows, no_rows.astype(np.float32), 5.0)
        users, items = (pa.array([f"{row:07}" for row in range(n)]) for n in shape)
        return Interactions(users, items, weights, ratings, Counter(), 0, self.at[first])

    def accounts(self) -> pa.Table:
        """Return the creations of accounts that the events have."""
        rows = np.flatnonzero(self.created)
        ids = pa.array([f"{row:07}" for row in rows]).dictionary_encode()
        return pa.table(
            [ids.cast(ACCOUNTS.field(0).type), pa.array(self.created[rows])], schema=ACCOUNTS
        )


def simulated_service(folder: Path, n_users: int, n_items: int, n_days: int, seed: int) -> Service:
    """Simulate a service, in a folder of its own."""
    size = ["--users", str(n_users), "--items", str(n_items), "--days", str(n_days)]
    views = ["--views-per-user", "20", "--seed", str(seed)]
    with contextlib.redirect_stdout(sys.stderr):
        simulate(["history", *size, *views, "--parquet", "--out", str(folder)])
    events = read_events(BatchSettings(events=(str(folder / "events"),))).events
    found = build_interactions(events, None, 0)
    assert found.began_at is not None
    users, items = found.weights.nonzero()
    created = np.zeros(len(found.user_ids), np.int64)
    row_of = {name: row for row, name in enumerate(found.user_ids.to_pylist())}
    for name, at in zip(*(column.to_pylist() for column in events.accounts.columns), strict=True):
        if name in row_of:
            created[row_of[name]] = at
    return Service(
        users.astype(np.int64), items.astype(np.int64), found.began_at, created, len(found.item_ids)
    )
