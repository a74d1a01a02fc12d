"""Columns of views and ratings as arrays, with rows in place of ids."""

from typing import Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Codes, Floats, Integers, Times

NEVER: Final = np.iinfo(np.int64).max


class Columns(NamedTuple):
    """Views and ratings as arrays; views are rows 0 to n_views - 1 of the codes.

    Attributes:
        user_row, item_row: (n_views + n_ratings,) rows among the sorted ids.
        minute: (n_views,) furthest minute, NaN where unknown, below 0 for a share of the item.
        first_at: (n_views,) in seconds since 1970; below 1, or `NEVER`, if unknown.
        last_at: (n_views,) below 1 if unknown; None if not needed.
        n_events: (n_views,) lines that each row stands for.
        rating: (n_ratings,) on or off the scale.
        rated_at: (n_ratings,) below 1 if unknown.
    """

    user_row: Codes
    item_row: Codes
    minute: Floats
    first_at: Times
    last_at: Times | None
    n_events: Integers
    rating: Floats
    rated_at: Times

    @classmethod
    def of(
        cls,
        user_row: Codes,
        item_row: Codes,
        views: pa.Table,
        ratings: pa.Table,
        *,
        with_latest: bool,
    ) -> Self:
        """Return the columns of tables, with these rows in place of their ids."""
        return cls(
            user_row,
            item_row,
            pc.cast(views["minute"], pa.float32(), safe=False).to_numpy(),
            pc.fill_null(views["first_at"], NEVER).to_numpy(),
            pc.fill_null(views["last_at"], 0).to_numpy() if with_latest else None,
            views["n_events"].to_numpy(),
            ratings["rating"].to_numpy(),
            pc.fill_null(ratings["at"], 0).to_numpy(),
        )

    @property
    def n_views(self) -> int:
        """Number of views."""
        return len(self.minute)
