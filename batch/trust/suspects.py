"""Suspects: items with a burst on the last day and at least two signs of an attack.

    burst over 6, and two of   young accounts   like histories   lockstep   dense block
        └─► its accounts in the dense block weigh nothing tonight
              └─► still a burst without them: the item is in doubt and weighs half

Nothing is deleted, and tomorrow is judged anew: what is promoted and what is popular cannot be
told apart for certain on the first day. Items and accounts that somebody trusts are no suspects.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from batch.arrays import Rows
from batch.interactions.build import Interactions
from batch.trust.ages import Ages
from batch.trust.dense_block import block_of_young
from batch.trust.last_day import MIN_BURST, last_day_of
from batch.trust.settings import TrustSettings
from batch.trust.signs import ViewerSigns
from batch.trust.trusted import ITEM, USER, SuspectId, TrustedIds
from batch.unavailable import Unavailable

_MIN_SIGNS: Final = 2
_MAX_EXAMINED: Final = 200  # items with the largest bursts


@dataclass(frozen=True, slots=True)
class SuspectItem:
    """An item that somebody seems to push.

    Attributes:
        item_row: Row of the item.
        weight: Weight of the item tonight: ½ in doubt, 1 if its suspects explain the burst.
        reasons: Figure of the burst and of each sign, by name.
        user_rows: Rows of the accounts that weigh nothing, ascending.
    """

    item_row: int
    weight: float
    reasons: dict[str, float]
    user_rows: Rows


@dataclass(frozen=True, slots=True)
class Suspects:
    """All suspects of a night.

    Attributes:
        items: Items that somebody seems to push, the largest burst first.
        note: Reason why nothing was looked for; empty if it was.
    """

    items: tuple[SuspectItem, ...] = ()
    note: str = ""

    @property
    def item_rows(self) -> Rows:
        """Rows of the items in doubt."""
        return np.array([item.item_row for item in self.items if item.weight < 1], np.int64)

    @property
    def user_rows(self) -> Rows:
        """Rows of the accounts that weigh nothing, ascending."""
        rows = [np.zeros(0, np.int64), *(item.user_rows for item in self.items)]
        return np.unique(np.concatenate(rows))

    def document(self, interactions: Interactions) -> list[dict[str, Any]]:
        """Return the items with their reasons, for the manifest; accounts are only counted.

        A manifest is kept for ever, and so must not name a user.
        """
        return [
            {
                "item": interactions.item_ids[item.item_row].as_py(),
                "weight": item.weight,
                "n_accounts_of_no_weight": len(item.user_rows),
                "reasons": item.reasons,
            }
            for item in self.items
        ]

    def ids(self, interactions: Interactions) -> list[SuspectId]:
        """Return the items and the accounts by their ids, for the file of the suspects."""
        items = [interactions.item_ids[item.item_row].as_py() for item in self.items]
        found = [
            SuspectId(f"{item.weight:g}", ITEM, name, _figures(item.reasons))
            for name, item in zip(items, self.items, strict=True)
        ]
        pushed: dict[int, list[str]] = {row: [] for row in self.user_rows.tolist()}
        for name, item in zip(items, self.items, strict=True):
            for row in item.user_rows.tolist():
                pushed[row].append(name)
        names = interactions.user_ids.take(self.user_rows).to_pylist()
        return found + [
            SuspectId("0", USER, name, f"pushed {' '.join(pushed[row])}")
            for name, row in zip(names, pushed, strict=True)
        ]


def _figures(reasons: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure:g}" for name, figure in reasons.items())


def find_suspects(
    interactions: Interactions,
    ages: Ages,
    settings: TrustSettings,
    trusted: TrustedIds,
    seed: int,
) -> Suspects:
    """Return the suspects of the last day.

    Args:
        interactions: All interactions.
        ages: Ages of the accounts.
        settings: Age of young accounts.
        trusted: Items and accounts that are no suspects.
        seed: Random seed of the groups that viewers are compared with.
    """
    day = last_day_of(interactions, ages.until, ages.begin)
    if isinstance(day, Unavailable):
        return Suspects(note=day.reason)
    is_young = ages.days < settings.young_days if ages.are_known else None
    bursts = day.bursts()
    order = np.argsort(-bursts, kind="stable")[:_MAX_EXAMINED]
    rows = order[bursts[order] > MIN_BURST]
    if not len(rows):
        return Suspects()
    block = block_of_young(interactions, ages, settings.young_days)
    signs = ViewerSigns.of_day(day, interactions.weights, is_young, block, seed)
    reasons = {row: found for row in rows.tolist() if len(found := signs.of(row)) >= _MIN_SIGNS}
    pushed = [row for row in reasons if interactions.item_ids[row].as_py() not in trusted.items]
    accounts = {row: _accounts(signs, row, interactions, trusted) for row in pushed}
    everyone = np.unique(np.concatenate([np.zeros(0, np.int64), *accounts.values()]))
    rest = day.bursts(without=everyone)
    return Suspects(
        tuple(
            SuspectItem(
                row,
                0.5 if rest[row] > MIN_BURST else 1.0,
                {"burst": round(float(bursts[row]), 1), **reasons[row]},
                accounts[row],
            )
            for row in pushed
        )
    )


def _accounts(
    signs: ViewerSigns, item_row: int, interactions: Interactions, trusted: TrustedIds
) -> Rows:
    """Return the viewers of an item that are in the dense block with it, ascending."""
    if item_row not in signs.block.item_rows:
        return np.zeros(0, np.int64)
    rows = np.intersect1d(signs.day.viewers_of(item_row), signs.block.user_rows)
    names = interactions.user_ids.take(rows).to_pylist()
    return rows[[name not in trusted.users for name in names]]
