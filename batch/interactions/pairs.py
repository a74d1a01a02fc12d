"""UserItemPairs: the distinct pairs of a user and an item, in the order of their rows.

    user  5 2 5 2         pair row 0  (2, 1)   events 1, 3
    item  7 1 0 1    ─►            1  (5, 0)          2
                                   2  (5, 7)          0

Events are grouped with a counting sort (scipy's conversion to CSR) and a sort of each
user's few items, never by hashing: a third of a second for eight million events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Codes, Flags, Integers, Rows
from batch.interactions.counting_sort import INT32, counting_sort


@dataclass(frozen=True, slots=True)
class UserItemPairs:
    """Structure of a CSR matrix without its data.

    Attributes:
        indptr: (n_users + 1,) row of each user's first pair.
        indices: (n_pairs,) item rows, ascending for each user.
    """

    indptr: Integers
    indices: Integers

    def matrix(self, data: npt.NDArray[np.generic], n_items: int) -> sp.csr_matrix:
        """Return (n_users, n_items) with `data`, (n_pairs,), in the cells of the pairs."""
        shape = (len(self.indptr) - 1, n_items)
        return sp.csr_matrix((data, self.indices, self.indptr), shape=shape)

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return len(self.indices)

    def user_rows(self, pair_rows: Rows) -> Rows:
        """Return the user rows of some pairs."""
        return np.searchsorted(self.indptr, pair_rows, side="right").astype(np.int64) - 1

    def select(self, is_selected: Flags) -> "UserItemPairs":
        """Return the selected pairs, of the same users and items."""
        n_before = np.zeros(len(is_selected) + 1, self.indptr.dtype)
        np.cumsum(is_selected, out=n_before[1:])
        return UserItemPairs(n_before[self.indptr], self.indices[is_selected])

    def without_empty(self, n_items: int) -> tuple["UserItemPairs", Flags, Flags]:
        """Return the pairs with empty rows and columns removed.

        Returns:
            Pairs in the new rows, (n_users,) flags of the users that stay, and (n_items,)
            flags of the items that stay.
        """
        has_item = np.diff(self.indptr) > 0
        has_user = np.bincount(self.indices, minlength=n_items) > 0
        if has_item.all() and has_user.all():
            return self, has_item, has_user
        new_row = (np.cumsum(has_user) - 1).astype(self.indices.dtype)
        indptr = np.append(self.indptr[:-1][has_item], self.indptr[-1])
        return UserItemPairs(indptr, new_row[self.indices]), has_item, has_user


def concat_users(parts: Sequence[UserItemPairs]) -> UserItemPairs:
    """Return the pairs of the users of all parts, in this order."""
    n_pairs = np.cumsum([0, *(part.n_pairs for part in parts)])
    indptr = [part.indptr[:-1] + before for part, before in zip(parts, n_pairs, strict=False)]
    dtype = np.int32 if n_pairs[-1] <= INT32 else np.int64
    return UserItemPairs(
        np.concatenate([*indptr, n_pairs[-1:]], dtype=dtype),
        np.concatenate([part.indices for part in parts], dtype=dtype),  # scipy needs one type
    )


@dataclass(frozen=True, slots=True)
class GroupedEvents:
    """Events, grouped by pair.

    Attributes:
        pairs: The distinct pairs.
        event: (n_events,) event rows, pair by pair; those of one pair in any order.
        pair_row: (n_events,) row of each event's pair, ascending.
    """

    pairs: UserItemPairs
    event: Integers
    pair_row: Integers

    def before(self, n: int) -> tuple[Integers, Integers]:
        """Return the pair rows, ascending, and the rows of the first n events."""
        is_before = self.event < n
        return self.pair_row[is_before], self.event[is_before]

    def after(self, n: int) -> tuple[Integers, Integers]:
        """Return the pair rows, ascending, and the rows of the other events, counted from n."""
        is_after = self.event >= n
        return self.pair_row[is_after], self.event[is_after] - n


def group_by_pair(user_row: Codes, item_row: Codes, shape: tuple[int, int]) -> GroupedEvents:
    """Group events of the same user and item.

    Args:
        user_row: (n_events,) user rows, below shape[0].
        item_row: (n_events,) item rows, below shape[1].
        shape: Number of users and of items.
    """
    by_user = counting_sort(user_row, item_row, shape)
    by_user.has_sorted_indices = False
    by_user.sort_indices()
    indptr, item = by_user.indptr, by_user.indices
    is_new = np.ones(len(item), dtype=bool)
    is_new[1:] = item[1:] != item[:-1]
    is_new[indptr[:-1][np.diff(indptr) > 0]] = True
    pair_row = np.cumsum(is_new, dtype=indptr.dtype)
    pair_row -= 1
    first_pair = np.full_like(indptr, is_new.sum())  # of users behind the last event
    is_inside = indptr < len(pair_row)
    first_pair[is_inside] = pair_row[indptr[is_inside]]  # a user's first event is a new pair
    return GroupedEvents(UserItemPairs(first_pair, item[is_new]), by_user.data, pair_row)
