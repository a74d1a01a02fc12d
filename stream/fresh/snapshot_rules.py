"""The rules of a snapshot, made again from what it holds: the lists obey what its own obey.

parameters.rules, items, profiles ─► `Rules` for any users, with the time of that refresh
lists of the snapshot ─► items that stand at their cap
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from batch.arrays import Flags, Floats, ItemRows
from batch.models.protocol import Ranker
from batch.records.catalogue import Item
from batch.rules.alone import FullItems, SingleUserRules
from batch.rules.cap import Room
from batch.rules.context import RuleContext
from batch.rules.exploration import SALT
from batch.rules.minors import adult
from batch.rules.parse_boost import parse_boost
from batch.rules.pipeline import boost_factors, hidden_items
from batch.rules.rules import Rules
from batch.rules.settings import RuleSettings
from batch.topk import NO_ITEM, TopK
from batch.unavailable import Unavailable
from store.items import Items, split
from store.layout import LIST_LENGTH
from store.snapshot import Snapshot, open_factors

_MINOR: Final = b" minor"
_FIELDS: Final = tuple(field.name for field in fields(Item))


@dataclass(frozen=True, slots=True)
class SnapshotRules:
    """The rules that look at one user alone.

    Attributes:
        snapshot: Open snapshot.
        alone: Rules of its items.
        row_of: Item row by item id.
        is_full: (n_items,) whether an item stands at its cap; None without a cap.
    """

    snapshot: Snapshot
    alone: SingleUserRules
    row_of: dict[bytes, int]
    is_full: Flags | None

    def lists(
        self,
        ranker: Ranker,
        user_ids: Sequence[bytes],
        hidden: Collection[int],
    ) -> TopK:
        """Return the list of each user, and the spares behind it.

        Args:
            ranker: Model with these users.
            user_ids: (n_users,) ids.
            hidden: Item rows that are taken down.
        """
        minors, full = self._of_users(user_ids)
        return self.alone.lists(ranker, minors, hidden=hidden, full=full)

    def orders(
        self, ranker: Ranker, user_ids: Sequence[bytes], hidden: Collection[int]
    ) -> dict[str, TopK]:
        """Return the users' candidates after each rule; see `SingleUserRules.orders`.

        Args:
            ranker: Model with these users.
            user_ids: (n_users,) ids.
            hidden: Item rows that are taken down.
        """
        minors, full = self._of_users(user_ids)
        return self.alone.orders(ranker, minors, hidden=hidden, full=full)

    def _of_users(self, user_ids: Sequence[bytes]) -> tuple[Flags, FullItems | None]:
        minors = np.array([self._is_minor(user_id) for user_id in user_ids], np.bool_)
        full = None if self.is_full is None else FullItems(self.is_full, self._held(user_ids))
        return minors, full

    def _is_minor(self, user_id: bytes) -> bool:
        settings = self.alone.rules.settings
        if not settings.adult_filter:
            return False
        profile = self.snapshot.profiles.get(user_id)
        return settings.unknown_age_is_minor if profile is None else profile.endswith(_MINOR)

    def _held(self, user_ids: Sequence[bytes]) -> ItemRows:
        held = np.full((len(user_ids), LIST_LENGTH), NO_ITEM, np.int32)
        for place, user_id in enumerate(user_ids):
            names = split(self.snapshot.users.get(user_id))[:LIST_LENGTH]
            rows = [self.row_of.get(name, NO_ITEM) for name in names]
            held[place, : len(rows)] = rows
        return held


def snapshot_rules(
    snapshot: Snapshot, item_ids: Sequence[str], n_threads: int
) -> SnapshotRules | Unavailable:
    """Return the rules of a snapshot, or why they cannot be made again.

    Args:
        snapshot: Open snapshot.
        item_ids: (n_items,) item id of each row.
        n_threads: Number of threads; 0 means all processors.

    Raises:
        InputError: The deny list cannot be read.
    """
    parameters = snapshot.manifest.parameters
    try:
        given = dict(parameters["rules"])
        at = datetime.fromisoformat(given.pop("at"))
        given.pop(SALT, None)
        n_kept = LIST_LENGTH + int(parameters["n_spares"])
        named: dict[str, Any] = {
            key: tuple(one) if isinstance(one, list) else one for key, one in given.items()
        }
        settings = RuleSettings(**named)
    except (KeyError, TypeError, ValueError) as error:
        return Unavailable(f"the rules in the manifest are of another version: {error}")
    items = Items(snapshot)
    entries = [_item(items.about(name.encode())) for name in item_ids]
    needs_language = any(parse_boost(boost).field == "language" for boost in settings.boosts)
    if needs_language and not any(item.language for item in entries):
        return Unavailable("a boost of a language needs items with one, which the snapshot lacks")
    nobody = np.zeros(0, np.bool_)
    existing = {key.decode() for key, _ in snapshot.items}
    nobodys_ids = pa.array([], pa.string())
    context = RuleContext(item_ids, entries, existing, at, nobodys_ids, salt="")
    boost = boost_factors(settings, context)
    hidden = hidden_items(settings, context, boost)
    rules = Rules(settings, context, lambda _: False, nobody, adult(entries), hidden, boost)
    row_of = {name.encode(): row for row, name in enumerate(item_ids)}
    needs_factors = settings.diversity > 0 and settings.diversity_by == "factors"
    factors = _factors(snapshot, item_ids) if needs_factors else np.zeros((0, 0), np.float32)
    is_full = _full_items(snapshot, settings.cap, row_of) if settings.cap < 1 else None
    alone = SingleUserRules(rules, factors, n_kept, n_threads)
    return SnapshotRules(snapshot, alone, row_of, is_full)


def _item(about: dict[str, Any] | None) -> Item:
    known = {name: (about or {}).get(name) for name in _FIELDS}
    return Item(**known | {"genres": tuple(known["genres"] or ())})


def _factors(snapshot: Snapshot, item_ids: Sequence[str]) -> Floats:
    environment = open_factors(snapshot)
    try:
        with environment.begin(db=environment.open_db(b"items", create=False)) as table:
            rows = [np.frombuffer(table.get(name.encode()) or b"", "<f4") for name in item_ids]
        return np.stack(rows).astype(np.float32)
    finally:
        environment.close()


def _full_items(snapshot: Snapshot, cap: float, row_of: dict[bytes, int]) -> Flags:
    n_lists, n_of = 0, Counter[bytes]()
    for _, body in snapshot.users:
        n_of.update(body.split(b","))
        n_lists += 1
    limit = Room(0, n_lists, cap).limit
    full = [row_of[name] for name, n in n_of.items() if n >= limit and name in row_of]
    is_full = np.zeros(len(row_of), np.bool_)
    is_full[full] = True
    return is_full
