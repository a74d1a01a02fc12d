"""UserItemPairs: the distinct pairs of a user and an item, in the order of their rows.

    user  5 2 5 2         places   0  (2, 1)   events 1, 3
    item  7 1 0 1    ─►            1  (5, 0)          2
                                   2  (5, 7)          0

Events come together by counting (scipy's conversion to CSR) and a sort of each user's
few, never by hashing: a third of a second for eight million.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from batch.arrays import Codes, Flags, Integers
from batch.interactions.counting_sort import INT32, counting_sort


@dataclass(frozen=True, slots=True)
class UserItemPairs:
    """Places of a CSR matrix without its data.

    Attributes:
        indptr: (n_users + 1,) where each user's places begin.
        indices: (n_pairs,) item rows, ascending for each user.
    """

    indptr: Integers
    indices: Integers

    def matrix(self, data: npt.NDArray[np.generic], n_items: int) -> sp.csr_matrix:
        """Return (n_users, n_items) with `data`, (n_pairs,), in these places."""
        shape = (len(self.indptr) - 1, n_items)
        return sp.csr_matrix((data, self.indices, self.indptr), shape=shape)

    @property
    def n_pairs(self) -> int:
        """Pairs of a user and an item."""
        return len(self.indices)

    def user_rows(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the user rows of places."""
        return np.searchsorted(self.indptr, places, side="right").astype(np.int64) - 1

    def only(self, is_kept: Flags) -> "UserItemPairs":
        """Return these places alone, of the same users and items."""
        kept_before = np.zeros(len(is_kept) + 1, self.indptr.dtype)
        np.cumsum(is_kept, out=kept_before[1:])
        return UserItemPairs(kept_before[self.indptr], self.indices[is_kept])

    def dense(self, n_items: int) -> tuple["UserItemPairs", Flags, Flags]:
        """Return the same without empty rows and columns; and which users and items stay."""
        has_item = np.diff(self.indptr) > 0
        has_user = np.bincount(self.indices, minlength=n_items) > 0
        if has_item.all() and has_user.all():
            return self, has_item, has_user
        new_row = (np.cumsum(has_user) - 1).astype(self.indices.dtype)
        indptr = np.append(self.indptr[:-1][has_item], self.indptr[-1])
        return UserItemPairs(indptr, new_row[self.indices]), has_item, has_user


def concat_users(parts: Sequence[UserItemPairs]) -> UserItemPairs:
    """Return the meetings of the users of all parts, in this order."""
    n_pairs = np.cumsum([0, *(part.n_pairs for part in parts)])
    indptr = [part.indptr[:-1] + before for part, before in zip(parts, n_pairs, strict=False)]
    dtype = np.int32 if n_pairs[-1] <= INT32 else np.int64
    return UserItemPairs(
        np.concatenate([*indptr, n_pairs[-1:]], dtype=dtype),
        np.concatenate([part.indices for part in parts], dtype=dtype),  # scipy wants them alike
    )


@dataclass(frozen=True, slots=True)
class Ordered:
    """Events, brought together by user and item.

    Attributes:
        meetings: One place for each pair.
        event: (n_events,) the events, place by place; those of one place in any order.
        place: (n_events,) beside `event`, ascending.
    """

    meetings: UserItemPairs
    event: Integers
    place: Integers

    def before(self, n: int) -> tuple[Integers, Integers]:
        """Return the places of the first n events, ascending, and which event it is."""
        is_before = self.event < n
        return self.place[is_before], self.event[is_before]

    def after(self, n: int) -> tuple[Integers, Integers]:
        """Return the places of the others, ascending, and which it is, counted from n."""
        is_after = self.event >= n
        return self.place[is_after], self.event[is_after] - n


def group_by_pair(user_row: Codes, item_row: Codes, shape: tuple[int, int]) -> Ordered:
    """Bring events of the same user and item together.

    Args:
        user_row: (n_events,) below shape[0].
        item_row: (n_events,) below shape[1].
        shape: Users and items.
    """
    by_user = counting_sort(user_row, item_row, shape)
    by_user.has_sorted_indices = False
    by_user.sort_indices()
    indptr, item = by_user.indptr, by_user.indices
    is_new = np.ones(len(item), dtype=bool)
    is_new[1:] = item[1:] != item[:-1]
    is_new[indptr[:-1][np.diff(indptr) > 0]] = True
    place = np.cumsum(is_new, dtype=indptr.dtype)
    place -= 1
    begins = np.full_like(indptr, is_new.sum())  # of a user's places: behind all, or that of
    is_inside = indptr < len(place)
    begins[is_inside] = place[indptr[is_inside]]  # the first event, which is always new
    return Ordered(UserItemPairs(begins, item[is_new]), by_user.data, place)
