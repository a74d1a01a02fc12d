"""The model of a snapshot that is served: whole histories in, bodies of lists out.

new evidence + evidence of seen.mdb or fresh.mdb ─► merged ─► histories ─► lists
"""

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Doubles
from batch.interactions.aggregate import runtimes_of
from batch.rules.alone import MODEL
from batch.served.contributions import contributions
from batch.served.evidence import WEIGHTS, UserEvidence, WeightBasis, can_merge
from batch.served.files import SnapshotModel, open_served
from batch.served.history import history_records, read_histories
from batch.topk import TopK
from batch.unavailable import Unavailable
from store.errors import CorruptSnapshotError
from store.fresh import FreshList
from store.items import Items
from store.layout import LIST_LENGTH
from store.model_files import SERVED_MODEL
from store.snapshot import Snapshot, open_snapshot
from stream.fresh.new_events import KnownItems
from stream.fresh.snapshot_rules import SnapshotRules, snapshot_rules


class MergedUsers(NamedTuple):
    """Users whose history has changed.

    Attributes:
        user_ids: (n_users,) ids, ascending.
        histories: Whole histories, in the form of `seen.mdb`.
    """

    user_ids: list[bytes]
    histories: list[bytes]


class Reason(NamedTuple):
    """An item of the user that speaks for an item of the list.

    Attributes:
        item_id: Item of the user's history.
        share: Share of this item in all positive contributions to the score.
    """

    item_id: str
    share: float


class Why(NamedTuple):
    """What places an item in a user's list.

    Attributes:
        score: The model's score; None where the user has the item, or the model does not.
        places: Place from 1 after each rule that acts, by its name, in order; None where it is
            not there. The names are those of `SingleUserRules.orders`.
        because: Items of the user that speak for it, the strongest first.
    """

    score: float | None
    places: dict[str, int | None]
    because: list[Reason]


@dataclass(frozen=True, slots=True)
class FreshModel:
    """The served model of an open snapshot, with its rules.

    Attributes:
        snapshot: Open snapshot.
        served: Model and histories.
        basis: What weights depend on beside a user's events.
        items: Items of the model.
        rules: Rules of the snapshot.
        names: (n_items,) item id of each row.
    """

    snapshot: Snapshot
    served: SnapshotModel
    basis: WeightBasis
    items: KnownItems
    rules: SnapshotRules
    names: Sequence[bytes]

    def histories(self, user_ids: Sequence[bytes]) -> list[bytes | None]:
        """Return the history of each user in the snapshot; None without one."""
        return [self.served.seen.get(user_id) for user_id in user_ids]

    def merge(
        self, user_ids: Sequence[bytes], old: Sequence[bytes | None], new: UserEvidence
    ) -> MergedUsers:
        """Return the users whose history is another with the new evidence.

        Args:
            user_ids: (n_users,) ids, ascending.
            old: (n_users,) histories until now.
            new: New evidence of these users.
        """
        columns, n_items = self.served.columns, len(self.names)
        merged = UserEvidence.of_values(old, columns).merged(new, n_items)
        histories = merged.histories(columns, self.basis, n_items)
        records = dict(history_records(user_ids, histories, columns))
        before = dict(zip(user_ids, old, strict=True))
        changed = [(key, value) for key, value in records.items() if before[key] != value]
        return MergedUsers([key for key, _ in changed], [value for _, value in changed])

    def lists(self, merged: MergedUsers, hidden: Collection[int]) -> list[FreshList | None]:
        """Return the list of each user; None where no item is left.

        Args:
            merged: Users and their whole histories.
            hidden: Item rows that are taken down.
        """
        histories = read_histories(merged.histories, self.served.columns, len(self.names))
        ranker = self.served.fold_in(histories)
        found = self.rules.lists(ranker, merged.user_ids, hidden)
        made_at = time.time()
        return [self._list(rows, made_at) for rows in found.item_rows.tolist()]

    def why(
        self, user_id: bytes, history: bytes, item_ids: Sequence[str], taken_down: Collection[str]
    ) -> list[Why]:
        """Return what places each item of a list: its score, the rules, and the user's items.

        Args:
            user_id: The user.
            history: Whole history of the user, in the form of `seen.mdb`.
            item_ids: Items of the list; those that the model does not have have no reason.
            taken_down: Items that are taken down.
        """
        histories = read_histories([history], self.served.columns, len(self.names))
        ranker = self.served.fold_in(histories)
        weights = histories.weights
        rows = self._rows(item_ids)
        hidden = [row for row in self._rows(taken_down) if row >= 0]
        contributed = contributions(ranker, weights, np.maximum(rows, 0))
        own = [self.served.item_ids[row] for row in weights.indices.tolist()]
        orders = self.rules.orders(ranker, [user_id], hidden)
        scores = dict(zip(*(part[0].tolist() for part in orders[MODEL]), strict=True))
        places = {rule: _places(order) for rule, order in orders.items()}
        return [
            Why(
                scores.get(row),
                {rule: found.get(row) for rule, found in places.items()},
                _reasons(own, column) if row >= 0 else [],
            )
            for row, column in zip(rows, contributed.T, strict=True)
        ]

    def _rows(self, item_ids: Collection[str]) -> list[int]:
        """Return the row of each item, -1 where the model does not have it."""
        return [self.rules.row_of.get(name.encode(), -1) for name in item_ids]

    def _list(self, rows: list[int], made_at: float) -> FreshList | None:
        names = [self.names[row] for row in rows[:LIST_LENGTH] if row >= 0]
        spares = [self.names[row] for row in rows[LIST_LENGTH:] if row >= 0]
        if not names:
            return None
        generation = self.snapshot.generation
        return FreshList(generation, made_at, b",".join(names), b",".join(spares))


def _places(order: TopK) -> dict[int, int]:
    """Return the place of each item row in the list of the one user."""
    return {row: place for place, row in enumerate(order.item_rows[0].tolist(), 1) if row >= 0}


def _reasons(item_ids: Sequence[str], contributed: Doubles) -> list[Reason]:
    positive = np.maximum(contributed, 0)
    order = np.argsort(-positive, kind="stable")
    total = positive.sum()
    return [Reason(item_ids[n], float(positive[n] / total)) for n in order if positive[n] > 0]


@contextlib.contextmanager
def open_model(store: Path, generation: int, n_threads: int) -> Iterator[FreshModel | Unavailable]:
    """Yield the model of a generation, or why it cannot make fresh lists.

    Args:
        store: Directory of the store.
        generation: Generation to open.
        n_threads: Number of threads; 0 means all processors.

    Raises:
        StoreError: The snapshot is missing or damaged.
        InputError: The deny list cannot be read.
    """
    with open_snapshot(store, generation) as snapshot, open_served(snapshot) as served:
        yield served if isinstance(served, Unavailable) else _model(snapshot, served, n_threads)


def _model(snapshot: Snapshot, served: SnapshotModel, n_threads: int) -> FreshModel | Unavailable:
    document = snapshot.manifest.parameters[SERVED_MODEL]
    if WEIGHTS not in document or not can_merge(served.columns):
        return Unavailable("the snapshot has no evidence that new events can be merged with")
    try:
        basis = WeightBasis.from_json(document[WEIGHTS])
    except ValueError as error:
        raise CorruptSnapshotError(snapshot.folder, str(error)) from error
    rules = snapshot_rules(snapshot, served.item_ids, n_threads)
    if isinstance(rules, Unavailable):
        return rules
    about = Items(snapshot)
    minutes = {name: (about.about(name.encode()) or {}).get("runtime") for name in served.item_ids}
    runtime = runtimes_of(served.item_ids, minutes, basis.default_runtime)
    items = KnownItems(pa.array(served.item_ids, pa.string()), runtime, basis.best)
    names = [name.encode() for name in served.item_ids]
    return FreshModel(snapshot, served, basis, items, rules, names)
