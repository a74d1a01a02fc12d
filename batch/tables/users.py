"""The tables of users: records that depend on one user alone, wherever the users are.

    user_id ─┬─► recs.mdb     users, spares    list, and the items behind it
             ├─► recs.mdb     profiles         segment
             ├─► factors.mdb  users            vector
             └─► seen.mdb     users            history

`UserRows` makes them from arrays in memory: of all users, or of those of a partition.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Floats, ItemRows
from batch.records.profiles import Profile, segments
from batch.served.files import ServedModel
from batch.topk import NO_ITEM, TopK
from batch.unavailable import Unavailable
from store.layout import FACTORS, LIST_LENGTH, RECS, SEEN
from store.writer import SnapshotWriter

Records = Iterator[tuple[bytes, bytes]]
UserTable = tuple[str, str]  # file and table

LISTS: Final[UserTable] = (RECS, "users")
SPARES: Final[UserTable] = (RECS, "spares")
VECTORS: Final[UserTable] = (FACTORS, "users")
HISTORIES: Final[UserTable] = (SEEN, "users")
PROFILES: Final[UserTable] = (RECS, "profiles")
TABLES_OF_USERS: Final = (LISTS, SPARES, PROFILES, VECTORS, HISTORIES)
CHUNK: Final = 10_000  # users or vectors converted at a time


class UserTables(Protocol):
    """The tables of all users with interactions, and of all with a profile."""

    @property
    def n_users(self) -> int:
        """Number of users with interactions."""

    @property
    def n_lists(self) -> int:
        """Number of users among them with a list that is not empty."""

    @property
    def n_interactions(self) -> int:
        """Number of pairs of a user and an item."""

    def records(self, table: UserTable) -> Records:
        """Return the records of a table, ascending by user id."""

    def write_shards(self, writer: SnapshotWriter, others: Mapping[UserTable, Records]) -> bool:
        """Write the shard files where the users are, and return whether that was done.

        Args:
            writer: Writer of the snapshot.
            others: Records of LISTS and SPARES, ascending, of which none is in `records`;
                not read where nothing is done.
        """


@dataclass(frozen=True, slots=True)
class UserRows:
    """Tables of users whose rows are in memory.

    Attributes:
        user_ids: (n_users,) ids of the users with interactions, ascending.
        item_ids: (n_items,) ids.
        n_interactions: Number of pairs of a user and an item.
        lists: Best items of each user, spares included.
        user_factors: (n_users, n_factors).
        served: Model that made the lists, with the histories; the reason where there is none.
        profiles: Profiles by user_id, of users without interactions, too.
        is_minor: Predicate of the profiles whose users get no adult titles.
        chunk: Users converted at a time.
    """

    user_ids: Sequence[bytes]
    item_ids: Sequence[bytes]
    n_interactions: int
    lists: TopK
    user_factors: Floats
    served: ServedModel | Unavailable
    profiles: Mapping[str, Profile]
    is_minor: Callable[[Profile], bool]
    chunk: int = CHUNK

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def n_lists(self) -> int:
        """Number of users with a list that is not empty."""
        return int((self.lists.item_rows[:, 0] != NO_ITEM).sum())

    def records(self, table: UserTable) -> Records:
        """Return the records of a table; see `UserTables.records`."""
        if table == VECTORS:
            return vector_rows(self.user_ids, self.user_factors, self.chunk)
        if table == HISTORIES:
            if isinstance(self.served, Unavailable):
                return iter(())
            return self.served.records(self.user_ids)
        if table == PROFILES:
            return profile_records(self.profiles, self.is_minor)
        part = slice(0, LIST_LENGTH) if table == LISTS else slice(LIST_LENGTH, None)
        rows = self.lists.item_rows[:, part]
        return list_records(self.user_ids, rows, self.item_ids, self.chunk)

    def write_shards(self, writer: SnapshotWriter, others: Mapping[UserTable, Records]) -> bool:
        """Do nothing: the writer divides the records of users in memory."""
        return False


def list_records(
    user_ids: Sequence[bytes], item_rows: ItemRows, item_ids: Sequence[bytes], chunk: int = CHUNK
) -> Records:
    """Yield the body of each user's list; a user whose list is empty has no record.

    Arrow joins them three times as fast as Python does.

    Args:
        user_ids: (n_users,) ids, ascending.
        item_rows: (n_users, k) lists; NO_ITEM behind the end of each.
        item_ids: (n_items,) ids.
        chunk: Users converted at a time.
    """
    names = pa.array(item_ids, pa.binary())
    for begin in range(0, len(user_ids), chunk):
        part = slice(begin, begin + chunk)
        is_kept = item_rows[part] != NO_ITEM
        ends = np.cumsum([0, *is_kept.sum(axis=1)], dtype=np.int32)
        kept = pa.ListArray.from_arrays(ends, names.take(pa.array(item_rows[part][is_kept])))
        bodies = pc.binary_join(kept, b",").to_pylist()
        yield from (record for record in zip(user_ids[part], bodies, strict=True) if record[1])


def profile_records(
    profiles: Mapping[str, Profile], is_minor: Callable[[Profile], bool]
) -> Records:
    """Yield the most specific segment of each user who has one, with ` minor` behind a minor's.

    Args:
        profiles: Profiles by user_id.
        is_minor: Predicate of the profiles whose users get no adult titles.
    """
    for user_id in sorted(profiles):
        profile = profiles[user_id]
        if names := segments(profile):
            flag = " minor" if is_minor(profile) else ""
            yield user_id.encode(), f"{names[0]}{flag}".encode()


def vector_rows(ids: Sequence[bytes], factors: Floats, chunk: int = CHUNK) -> Records:
    """Yield the factors of each id, float32, little-endian."""
    n_bytes = factors.shape[1] * np.dtype("<f4").itemsize
    for begin in range(0, len(ids), chunk):
        part = slice(begin, begin + chunk)
        vectors = np.ascontiguousarray(factors[part], "<f4").view(f"V{n_bytes}")[:, 0]
        yield from zip(ids[part], vectors.tolist(), strict=True)
