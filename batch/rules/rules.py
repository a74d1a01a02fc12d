"""All rules of one refresh: what they hide, and the lists that they let through.

settings, catalogue, profiles ─► Rules ─► hidden_rows   what no table of lists may hold
                                   └────► lists         of every user, cut to what is kept
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Flags, Floats
from batch.errors import InputError
from batch.interactions.build import Interactions
from batch.models.popularity import users_of_items
from batch.models.protocol import Fitted
from batch.records.catalogue import Item
from batch.records.profiles import Profile
from batch.rules.context import RuleContext
from batch.rules.lists import standardised
from batch.rules.minors import adult, minor_test, minors
from batch.rules.pipeline import Step, boost_factors, hidden_items, steps
from batch.rules.search import Search
from batch.rules.settings import RuleSettings
from batch.rules.short import n_short
from batch.rules.under_cap import under_cap
from batch.threads import usable
from batch.topk import TopK
from store.layout import LIST_LENGTH
from store.manifest import sha256

_CHUNK: Final = 65_536  # users whose candidates are in memory at once
_BLOCK: Final = 256  # users that one thread reorders at a time; their scores stay in its cache
_UNKNOWN: Final = Item(None, None, (), None, None)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, made for the rows of one refresh.

    Attributes:
        settings: As configured.
        known: What they know of the items.
        is_minor: Whether adult titles are kept from users of a profile.
        minors: (n_users,) from whom they are.
        adult: (n_items,) adult titles.
        hidden: (n_items,) what nobody is offered.
        boost: (n_items,) factors.
    """

    settings: RuleSettings
    known: RuleContext
    is_minor: Callable[[Profile], bool]
    minors: Flags
    adult: Flags
    hidden: Flags
    boost: Doubles

    @classmethod
    def of(
        cls,
        settings: RuleSettings,
        interactions: Interactions,
        items: Mapping[str, Item],
        profiles: Mapping[str, Profile],
        *,
        at: datetime,
        seed: int,
    ) -> "Rules":
        """Make the rules for some interactions.

        Args:
            settings: Of `[rules]`.
            interactions: Whose rows they speak of.
            items: What the catalogue says, by item_id.
            profiles: By user_id.
            at: When the refresh began, with its zone; availability counts from it.
            seed: Of exploration.

        Raises:
            InputError: The deny list cannot be read, or nothing is left to recommend.
        """
        item_ids = interactions.item_ids.to_pylist()
        of_rows = [items.get(name, _UNKNOWN) for name in item_ids]
        n_users_of = users_of_items(interactions.weights)
        known = RuleContext(item_ids, of_rows, n_users_of, items.keys() | item_ids, at, seed)
        boost = boost_factors(settings, known)
        hidden = hidden_items(settings, known, boost)
        if hidden.all():
            way_out = "look at deny, availability and boosts, and at the catalogue's dates"
            raise InputError("[rules]", "leave no item that may be recommended", way_out)
        is_minor = minor_test(
            is_on=settings.adult_filter, unknown_age_is_minor=settings.unknown_age_is_minor
        )
        kept_from = minors(interactions.user_ids.to_pylist(), profiles, is_minor)
        return cls(settings, known, is_minor, kept_from, adult(of_rows), hidden, boost)

    def lists(
        self,
        fitted: Fitted,
        item_factors: Floats,
        n_kept: int,
        *,
        hidden: Collection[int] = (),
        n_threads: int = 0,
        on_users: Callable[[int], object] = lambda _: None,
    ) -> TopK:
        """Return what is kept of each user: the list, and the spares behind it.

        Where no rule reorders, this is the model's own search. Else scores are those
        that the rules gave.

        Args:
            fitted: The model.
            item_factors: (n_items, n_factors), for likeness by factors.
            n_kept: Items kept, at least a list's.
            hidden: Item rows that nobody is offered either.
            n_threads: 0 means all processors.
            on_users: Called with the number of users done, from several threads.
        """
        hidden_too = self.hidden.copy()
        hidden_too[list(hidden)] = True
        search = Search(fitted, hidden_too, self.adult, self.minors, n_threads)
        found = steps(self.settings, self.known, self.boost, item_factors, n_kept)
        if not found and self.settings.cap == 1:
            return search(n_kept, on_users=on_users)
        has_cap = self.settings.cap < 1
        n_users, n_candidates = len(self.minors), max(self.settings.candidates, n_kept)
        width = n_candidates if has_cap else n_kept
        kept = TopK(np.empty((n_users, width), np.int32), np.empty((n_users, width), np.float32))
        for first in range(0, n_users, _CHUNK):
            some = slice(first, min(first + _CHUNK, n_users))
            candidates = search(n_candidates, np.arange(some.start, some.stop))
            lists = _in_order(candidates, found, first, n_threads)
            kept.item_rows[some], kept.scores[some] = (part[:, :width] for part in lists)
            on_users(some.stop - first)
        return under_cap(kept, self.settings.cap, search, n_kept) if has_cap else kept

    @property
    def hidden_rows(self) -> frozenset[int]:
        """The item rows that nobody is offered."""
        return frozenset(np.flatnonzero(self.hidden).tolist())

    def parameters(self) -> dict[str, Any]:
        """Return what the manifest records: the settings, and the time that counted."""
        return asdict(self.settings) | {"at": self.known.at.isoformat(timespec="seconds")}

    def inputs(self) -> list[dict[str, Any]]:
        """Return the files that the rules were made of, as the manifest lists inputs."""
        if not self.settings.deny_file:
            return []
        path = Path(self.settings.deny_file)
        found = {"name": path.name, "kind": "deny list", "rejected": 0}
        return [found | {"bytes": path.stat().st_size, "sha256": sha256(path)}]

    def judge(
        self, lists: TopK, interactions: Interactions, hidden: Collection[int]
    ) -> dict[str, int]:
        """Return what the rules did, for the manifest; warn of lists that they made short."""
        taken_down = np.zeros(len(self.hidden), np.bool_)
        taken_down[list(hidden)] = True
        short = n_short(lists, interactions.weights, taken_down)
        if short:
            self.known.warnings.append(
                f"rules: {short:,} of {len(self.minors):,} lists have fewer than {LIST_LENGTH} "
                "items, for the rules leave no more"
            )
        return {
            "hidden_by_rules": int(self.hidden.sum()),
            "minors": int(self.minors.sum()),
            "short_lists": short,
        }


def _in_order(candidates: TopK, found: tuple[Step, ...], first: int, n_threads: int) -> TopK:
    """Return the candidates, whose user rows begin at `first`, as the rules order them."""

    def work(begin: int) -> None:
        block = slice(begin, begin + _BLOCK)
        lists = standardised(TopK(candidates.item_rows[block], candidates.scores[block]))
        for step in found:
            lists = step(lists, first + begin)
        candidates.item_rows[block], candidates.scores[block] = lists

    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(usable(n_threads)) as pool,
    ):
        for done in [pool.submit(work, n) for n in range(0, len(candidates.item_rows), _BLOCK)]:
            done.result()
    return candidates
