"""Predicted ratings: mean + user bias + item bias + user vector · item vector.

All of it lies in `factors.mdb`, which recommendations never use, so the first
request for a rating opens it.

Source:
    Koren, Bell and Volinsky, "Matrix Factorization Techniques for Recommender
    Systems", IEEE Computer 42(8), 2009, equation 4.
"""

import struct
from typing import NamedTuple, cast

import lmdb

from store.snapshot import Snapshot, open_factors


class Prediction(NamedTuple):
    """A predicted rating.

    Attributes:
        rating: Predicted rating, within the data's scale.
        basis: Data that it is based on: "user and item", "user", "item" or "mean".
        scale: Lowest and highest rating of the data, None if the snapshot lacks them.
    """

    rating: float
    basis: str
    scale: tuple[float, float] | None


class RatingTables:
    """The rating model of one snapshot.

    Attributes:
        environment: The open `factors.mdb`.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        """Open the tables.

        Raises:
            CorruptSnapshotError: `factors.mdb` cannot be opened.
        """
        self.environment = open_factors(snapshot)
        self._biases = self._table(b"biases")
        self._users = self._table(b"rating_users")
        self._movies = self._table(b"rating_items")

    def predict(self, user_id: bytes, item_id: bytes) -> Prediction | None:
        """Return the predicted rating; None if the snapshot's data has no ratings."""
        mean = self._number(b"mean")
        if mean is None:
            return None
        user, item = self._number(b"u/" + user_id), self._number(b"i/" + item_id)
        rating = mean + (user or 0.0) + (item or 0.0) + self._product(user_id, item_id)
        scale = self._scale()
        if scale:
            rating = min(max(rating, scale[0]), scale[1])
        known = [word for word, bias in (("user", user), ("item", item)) if bias is not None]
        return Prediction(rating, " and ".join(known) or "mean", scale)

    def _product(self, user_id: bytes, item_id: bytes) -> float:
        user, item = self._get(self._users, user_id), self._get(self._movies, item_id)
        if user is None or item is None:
            return 0.0
        return sum(u * i for u, i in zip(_vector(user), _vector(item), strict=True))

    def _number(self, key: bytes) -> float | None:
        text = self._get(self._biases, key)
        return None if text is None else float(text)

    def _scale(self) -> tuple[float, float] | None:
        text = self._get(self._biases, b"scale")
        if text is None:
            return None
        lowest, highest = text.split()
        return float(lowest), float(highest)

    def _table(self, name: bytes) -> lmdb.Transaction | None:
        try:
            return self.environment.begin(db=self.environment.open_db(name, create=False))
        except lmdb.NotFoundError:
            return None  # an early snapshot without such a table

    @staticmethod
    def _get(table: lmdb.Transaction | None, key: bytes) -> bytes | None:
        return cast(bytes | None, table.get(key)) if table else None


def _vector(packed: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(packed) // 4}f", packed)
