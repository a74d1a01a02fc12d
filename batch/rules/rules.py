"""All rules of one refresh: the items that they hide, and the lists that they make.

settings, catalogue, profiles ─► Rules ─► hidden_rows   items that are in no table of lists
                                   └────► lists         each user's list, with its spares
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from batch.arrays import Doubles, Flags, Floats
from batch.errors import InputError
from batch.interactions.build import Interactions
from batch.models.protocol import Ranker
from batch.progress import noop
from batch.records.catalogue import Item
from batch.records.profiles import Profile
from batch.rules.context import RuleContext
from batch.rules.exploration import MOVED, SALT
from batch.rules.lists import standardised
from batch.rules.minors import adult, minor_test, minors
from batch.rules.pipeline import Step, boost_factors, hidden_items, steps
from batch.rules.search import Search
from batch.rules.settings import RuleSettings
from batch.rules.short import n_short
from batch.rules.under_cap import under_cap, under_limits
from batch.threads import usable
from batch.topk import TopK
from store.layout import LIST_LENGTH
from store.manifest import sha256

_CHUNK_USERS: Final = 65_536  # users whose candidates are in memory at once
_BLOCK_USERS: Final = 256  # users that a thread reorders at a time; scores stay in its cache
_UNKNOWN: Final = Item(None, None, (), None, None)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules, made for the rows of one refresh.

    Attributes:
        settings: Settings of the section `[rules]`.
        context: Items, and the time of the refresh.
        is_minor: Predicate of the profiles whose users get no adult titles.
        minors: (n_users,) whether adult titles are hidden from a user.
        adult: (n_items,) whether an item is an adult title.
        hidden: (n_items,) whether an item is hidden from all users.
        boost: (n_items,) factors of the boosts.
        limits: Maximum lists of some items, by item row.
        chunk_users: Users whose candidates are in memory at once; a multiple of 256.
    """

    settings: RuleSettings
    context: RuleContext
    is_minor: Callable[[Profile], bool]
    minors: Flags
    adult: Flags
    hidden: Flags
    boost: Doubles
    limits: Mapping[int, int] = field(default_factory=dict)
    chunk_users: int = _CHUNK_USERS

    @classmethod
    def of(
        cls,
        settings: RuleSettings,
        interactions: Interactions,
        items: Mapping[str, Item],
        profiles: Mapping[str, Profile],
        *,
        at: datetime,
        salt: str,
    ) -> "Rules":
        """Make the rules for the rows of some interactions.

        Args:
            settings: Settings of the section `[rules]`.
            interactions: Interactions with the rows of users and items.
            items: Catalogue entries by item_id.
            profiles: Profiles by user_id.
            at: Time that availability counts from, with its zone.
            salt: Salt of exploration.

        Raises:
            InputError: The deny list cannot be read, or no item may be recommended.
        """
        item_ids = interactions.item_ids.to_pylist()
        entries = [items.get(name, _UNKNOWN) for name in item_ids]
        existing = items.keys() | item_ids
        context = RuleContext(item_ids, entries, existing, at, interactions.user_ids, salt)
        boost = boost_factors(settings, context)
        hidden = hidden_items(settings, context, boost)
        if hidden.all():
            remedy = "check deny, availability, boosts, and the dates in the catalogue"
            raise InputError("[rules]", "leave no item that may be recommended", remedy)
        is_minor = minor_test(
            is_on=settings.adult_filter, unknown_age_is_minor=settings.unknown_age_is_minor
        )
        is_minor_row = minors(interactions.user_ids.to_pylist(), profiles, is_minor)
        return cls(settings, context, is_minor, is_minor_row, adult(entries), hidden, boost)

    def of_users(
        self, user_ids: pa.StringArray, profiles: Mapping[str, Profile], share: float
    ) -> "Rules":
        """Return the rules for other users, with their share of the limits of lists.

        Args:
            user_ids: (n_users,) ids of these users.
            profiles: Profiles by user_id.
            share: Share of these users among all.
        """
        return replace(
            self,
            context=replace(self.context, user_ids=user_ids),
            minors=minors(user_ids.to_pylist(), profiles, self.is_minor),
            limits={row: int(limit * share) for row, limit in self.limits.items()},
        )

    def lists(
        self,
        ranker: Ranker,
        item_factors: Floats,
        n_kept: int,
        *,
        hidden: Collection[int] = (),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Return the list of each user, and the spares behind it.

        Where no rule reorders, this is the search alone. Otherwise scores are those
        that the rules have computed.

        Args:
            ranker: Fitted model, or the second stage on top of one.
            item_factors: (n_items, n_factors) factors, for similarity by factors.
            n_kept: Number of items kept for each user, spares included.
            hidden: Further item rows that are hidden from all users.
            n_threads: Number of threads; 0 means all processors.
            on_users: Callback with the number of users done, from several threads.
        """
        all_hidden = self.hidden.copy()
        all_hidden[list(hidden)] = True
        search = Search(ranker, all_hidden, self.adult, self.minors, n_threads)
        reorder = steps(self.settings, self.context, self.boost, item_factors, n_kept)
        has_cap = self.settings.cap < 1
        if not reorder and not has_cap:
            found = search(n_kept, on_users=on_users)
            return under_limits(found, self.limits, search, n_kept)
        n_users, n_candidates = len(self.minors), max(self.settings.candidates, n_kept)
        width = n_candidates if has_cap else n_kept
        kept = TopK(np.empty((n_users, width), np.int32), np.empty((n_users, width), np.float32))
        for first in range(0, n_users, self.chunk_users):
            some = slice(first, min(first + self.chunk_users, n_users))
            candidates = search(n_candidates, np.arange(some.start, some.stop))
            lists = reordered_in_blocks(candidates, reorder, first, n_threads)
            kept.item_rows[some], kept.scores[some] = (part[:, :width] for part in lists)
            on_users(some.stop - first)
        if has_cap:
            found = under_cap(kept, self.settings.cap, search, n_kept, self.limits)
        else:
            found = under_limits(kept, self.limits, search, n_kept)
        if self.settings.explore:
            is_moved = (found.item_rows != kept.item_rows[:, :n_kept]).any(axis=1)
            self.context.counts[MOVED] = int(is_moved.sum())
        return found

    @property
    def hidden_rows(self) -> frozenset[int]:
        """Item rows that are hidden from all users."""
        return frozenset(np.flatnonzero(self.hidden).tolist())

    def parameters(self) -> dict[str, Any]:
        """Return the parameters for the manifest: settings, time of the refresh, and salt."""
        found = asdict(self.settings) | {"at": self.context.at.isoformat(timespec="seconds")}
        return found | ({SALT: self.context.salt} if self.settings.explore else {})

    def inputs(self) -> list[dict[str, Any]]:
        """Return the files that the rules were read from, in the form of the manifest's inputs."""
        if not self.settings.deny_file:
            return []
        path = Path(self.settings.deny_file)
        found = {"name": path.name, "kind": "deny list", "rejected": 0}
        return [found | {"bytes": path.stat().st_size, "sha256": sha256(path)}]

    def effects(
        self, lists: TopK, interactions: Interactions, hidden: Collection[int]
    ) -> dict[str, int]:
        """Return the effects of the rules, for the manifest; short lists give a warning.

        Args:
            lists: (n_users, n_kept) lists that the rules have made.
            interactions: Interactions of the users.
            hidden: Item rows that are hidden for another reason.
        """
        taken_down = np.zeros(len(self.hidden), np.bool_)
        taken_down[list(hidden)] = True
        short = n_short(lists, interactions.weights, taken_down)
        if short:
            self.context.warnings.append(
                f"rules: {short:,} of {len(self.minors):,} lists have fewer than {LIST_LENGTH} "
                "items, because the rules leave no more"
            )
        return {
            "hidden_by_rules": int(self.hidden.sum()),
            "minors": int(self.minors.sum()),
            "short_lists": short,
            **self.context.counts,
        }


def reordered_in_blocks(
    candidates: TopK, reorder: tuple[Step, ...], first: int, n_threads: int
) -> TopK:
    """Return the candidates, whose user rows begin at `first`, reordered by the rules."""

    def work(begin: int) -> None:
        block = slice(begin, begin + _BLOCK_USERS)
        lists = standardised(TopK(candidates.item_rows[block], candidates.scores[block]))
        for step in reorder:
            lists = step.reorder(lists, first + begin)
        candidates.item_rows[block], candidates.scores[block] = lists

    with (
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(usable(n_threads)) as pool,
    ):
        begins = range(0, len(candidates.item_rows), _BLOCK_USERS)
        for done in [pool.submit(work, begin) for begin in begins]:
            done.result()
    return candidates
