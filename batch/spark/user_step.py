"""The step of a user: from a user's interactions to the user's records, given the trained model.

    interactions of a chunk ─► folded into the model ─► exact top-k and rules ─► records
                            └► vectors, histories ────────────────────────────► records
    profiles ─► segments ─────────────────────────────────────────────────────► records

It is the local engine's code on the users of a chunk: a list depends on no other user, except
through the limits of lists an item, of which a chunk has its share.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import pyarrow as pa
import scipy.sparse as sp

from batch.arrays import Floats
from batch.errors import EngineError
from batch.interactions.build import Interactions, with_items
from batch.learn import Learned, known_times
from batch.models.factors import FittedFactors
from batch.models.fold_in import Solver
from batch.models.protocol import Fitted
from batch.models.view_order import order_views
from batch.prepare import Prepared
from batch.records.profiles import Profile
from batch.rules.rules import Rules
from batch.served.document import Document, ModelDocument, restore
from batch.served.evidence import snapshot_evidence
from batch.served.files import ServedModel, folded_in
from batch.served.history import Histories
from batch.settings import BatchSettings
from batch.spark.blocks import packed, unpacked
from batch.tables.shards import shards_of
from batch.tables.users import TABLES_OF_USERS, Records, UserRows
from batch.tables.write import SnapshotTables
from batch.unavailable import Unavailable
from store.layout import LIST_LENGTH, RECS

RECORDS: Final = pa.schema(
    [("table_number", pa.int8()), ("shard", pa.int32()), ("first", pa.binary()),
     ("n_records", pa.int64()), ("records", pa.binary())]
)  # fmt: skip
Record = tuple[bytes, bytes]

_ROW_RECORDS: Final = 512  # some 250 KB
_KEYS_AND_VALUES: Final = pa.schema([("key", pa.binary()), ("value", pa.binary())])


@dataclass(frozen=True, slots=True)
class UserStep:
    """Everything that a user's records depend on, beside the user's interactions and profile.

    Attributes:
        item_ids: (n_items,) ids of the item rows.
        model: Model of the lists, without users.
        solve: Function from weights to the users' vectors; None where the model of the lists
            has these vectors.
        item_factors: (n_items, n_factors), for rules about similarity.
        rules: Rules, made for no user.
        taken_down: Item rows that are taken down.
        settings: Settings of the batch.
        not_after: Time after which an event has a wrong clock.
        n_users: Number of all users, for their shares of the limits of lists.
    """

    item_ids: pa.StringArray
    model: ModelDocument
    solve: Solver | None
    item_factors: Floats
    rules: Rules
    taken_down: frozenset[int]
    settings: BatchSettings
    not_after: datetime
    n_users: int

    @classmethod
    def of(
        cls,
        prepared: Prepared,
        learned: Learned,
        tables: SnapshotTables,
        settings: BatchSettings,
        *,
        n_users: int,
        not_after: datetime,
    ) -> "UserStep":
        """Return the step of a refresh, without any user.

        Raises:
            EngineError: The model cannot fold in users.
        """
        served, user_ids = tables.served, tables.interactions.user_ids
        if isinstance(served, Unavailable):
            remedy = 'choose another [batch] model, or engine = "local"'
            raise EngineError("[batch] model", f"cannot fold in users: {served.reason}", remedy)
        return cls(
            tables.interactions.item_ids,
            served.model,
            None if _has_vectors(learned) else learned.vectors.solve,
            tables.factors.item_factors,
            prepared.rules.of_users(user_ids[:0], {}, 1.0),
            prepared.taken_down_rows,
            settings,
            not_after,
            n_users,
        )

    def __call__(self, interactions: Interactions, profiles: Mapping[str, Profile]) -> UserRows:
        """Return the tables of some users.

        Args:
            interactions: Interactions of these users, on the items that had users; the others
                are added.
            profiles: Profiles by user_id, of users without interactions, too.
        """
        interactions = with_items(interactions, self.item_ids.to_pylist())
        histories = self._histories(interactions)
        user_ids, weights = interactions.user_ids, interactions.weights
        rules = self.rules.of_users(user_ids, profiles, len(user_ids) / self.n_users)
        model = restore(self._document, self.model.arrays, len(self.item_ids))
        ranker = folded_in(model, histories)
        lists = rules.lists(
            ranker,
            self.item_factors,
            LIST_LENGTH + self.settings.n_spares,
            hidden=self.taken_down,
            n_threads=1,
        )
        return UserRows(
            [name.encode() for name in user_ids.to_pylist()],
            [name.encode() for name in self.item_ids.to_pylist()],
            weights.nnz,
            lists,
            self._vectors(ranker, weights),
            ServedModel(self.model, histories),
            profiles,
            self.rules.is_minor,
        )

    def _vectors(self, ranker: Fitted, weights: sp.csr_matrix) -> Floats:
        if self.solve is not None:
            return self.solve(weights)
        assert isinstance(ranker, FittedFactors)
        return ranker.user_factors

    @property
    def _document(self) -> Document:
        document: Document = self.model.document["model"]
        return document

    def _histories(self, interactions: Interactions) -> Histories:
        weights, columns = interactions.weights, self.model.document["history"]
        at = known_times(interactions.began_at, not_after=self.not_after)
        n_later = None
        if "n_later" in columns:
            n_later = order_views(weights, at, self.settings.seed, 1).n_later
        evidence = interactions.evidence
        assert evidence is not None
        return Histories(weights, n_later, snapshot_evidence(weights, evidence, at).words(columns))


def _has_vectors(learned: Learned) -> bool:
    """Return whether the model of the lists folds users in to the vectors that are stored."""
    ranker = learned.ranker
    return isinstance(ranker, FittedFactors) and ranker.solve is learned.vectors.solve


def record_batches(rows: UserRows, n_shards: int) -> Iterator[pa.RecordBatch]:
    """Yield the records of some users, with the columns of `RECORDS`.

    The rows of a table and, if shards divide it, of each shard hold some users each, in order.
    They are small, for a JVM copies a row several times, whole, and finds no room for large ones.

    Args:
        rows: Tables of the users, one or more.
        n_shards: Number of shards of the snapshot.
    """
    for number, table in enumerate(TABLES_OF_USERS):
        pairs = [*rows.records(table)]
        is_divided = table[0] == RECS and n_shards > 1
        for shard, part in enumerate(divided(pairs, n_shards) if is_divided else [pairs]):
            for begin in range(0, max(len(part), 1), _ROW_RECORDS):
                some = part[begin : begin + _ROW_RECORDS]
                row = {
                    "table_number": number,
                    "shard": shard,
                    "first": some[0][0] if some else b"",
                    "n_records": len(some),
                    "records": packed_records(some),
                }
                yield pa.RecordBatch.from_pylist([row], schema=RECORDS)


def divided(pairs: Sequence[Record], n_shards: int) -> list[list[Record]]:
    """Return the records of each shard, in their order."""
    parts: list[list[Record]] = [[] for _ in range(n_shards)]
    shards = shards_of([key for key, _ in pairs], n_shards)
    for pair, shard in zip(pairs, shards.tolist(), strict=True):
        parts[shard].append(pair)
    return parts


def packed_records(pairs: Sequence[Record]) -> bytes:
    """Return keys and values as Arrow's bytes, compressed: a JVM copies them several times."""
    columns = [pa.array([pair[side] for pair in pairs], pa.binary()) for side in (0, 1)]
    return packed(pa.table(columns, schema=_KEYS_AND_VALUES))


def unpacked_records(content: bytes) -> Records:
    """Yield the keys and values that `packed_records` has packed."""
    yield from zip(*(column.to_pylist() for column in unpacked(content).columns), strict=True)
