"""Scores that a snapshot's factors give: of an item for a user, and of two items.

    users, items of factors.mdb ─┬─► user · item     score, where factors alone make the lists
                                 └─► cos(item, item) similarity, as in the index of neighbours

Another model keeps no score of a user's items in the snapshot; `stream explain` computes it.
"""

import math
import struct
from typing import Final

import lmdb

from store.snapshot import Snapshot

_FACTOR_MODELS: Final = ("als", "ials")
_FLOAT_BYTES: Final = 4

_Vector = tuple[float, ...]


class FactorScores:
    """The scores of one snapshot.

    Args:
        snapshot: Open snapshot.
        environment: The open `factors.mdb` of the snapshot.
    """

    def __init__(self, snapshot: Snapshot, environment: lmdb.Environment) -> None:
        self._environment = environment
        self._has_scores = _model_of(snapshot) in _FACTOR_MODELS

    def score(self, user_id: str, item_id: str) -> float | None:
        """Return the model's score of an item for a user; None where it is not known."""
        user, item = self._vector(b"users", user_id), self._vector(b"items", item_id)
        if not self._has_scores or user is None or item is None or len(user) != len(item):
            return None
        return _dot(user, item)

    def similarity(self, item_id: str, other_id: str) -> float | None:
        """Return the cosine of two items' vectors; None where one has none, or a hidden one."""
        a, b = self._vector(b"items", item_id), self._vector(b"items", other_id)
        if a is None or b is None or len(a) != len(b):
            return None
        norms = math.sqrt(_dot(a, a) * _dot(b, b))
        return _dot(a, b) / norms if norms else None

    def _vector(self, table: bytes, name: str) -> _Vector | None:
        try:
            database = self._environment.open_db(table, create=False)
        except lmdb.NotFoundError:
            return None
        with self._environment.begin(db=database) as transaction:
            packed = transaction.get(name.encode())
        if packed is None or len(packed) % _FLOAT_BYTES:
            return None
        return struct.unpack(f"<{len(packed) // _FLOAT_BYTES}f", packed)


def _model_of(snapshot: Snapshot) -> object:
    """Return the name of the one model that makes the lists; None for a blend."""
    parameters = snapshot.manifest.parameters
    parts = (parameters.get("choice") or {}).get("parts", [])
    models = [part["model"] for part in parts if part["share"]] or [parameters.get("model")]
    return models[0] if len(models) == 1 else None


def _dot(a: _Vector, b: _Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
