"""Ranking: every user's candidates, sorted by the boosted trees and cut.

users of a chunk ─► lists of all sources ─► blocks: merged, features, trees ─► best k
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
import scipy.sparse as sp

from batch.arrays import Flags, Floats, Rows
from batch.evaluation.metrics import hits_of
from batch.evaluation.splits import Split
from batch.models.protocol import Ranker
from batch.progress import noop
from batch.rules.lists import reordered
from batch.second_stage.candidates import DEPTHS, CandidateItems, merge
from batch.second_stage.features import Features
from batch.second_stage.metadata import Metadata
from batch.second_stage.past import Past
from batch.second_stage.sources import MODEL, Sources, fit_sources
from batch.second_stage.training import Examples
from batch.threads import usable
from batch.topk import NO_ITEM, TopK

_N_CANDIDATES: Final = 100
_CHUNK_USERS: Final = 32_768  # users whose lists of all sources are in memory at once
_BLOCK_USERS: Final = 512  # users whose features a thread has in memory at once


T = TypeVar("T")
# Function of a block of users: their rows, candidates, and (n_present, n_features) features.
Work = Callable[[Rows, CandidateItems, Floats], T]


@dataclass(frozen=True, slots=True)
class CandidateQuery:
    """Which users to propose candidates for, and how.

    Attributes:
        user_rows: (n_users,) rows of the users.
        k: Minimum candidates of a user, as far as there are items.
        hidden: Item rows that are not proposed.
        n_threads: Number of threads.
    """

    user_rows: Rows
    k: int = 1
    hidden: Collection[int] = frozenset()
    n_threads: int = 0


@dataclass(frozen=True, slots=True)
class Proposer:
    """Sources and features of one moment.

    Attributes:
        sources: Fitted sources by name.
        features: Tables of features.
    """

    sources: Sources
    features: Features

    @classmethod
    def of(cls, model: Ranker, past: Past, metadata: Metadata, n_threads: int) -> "Proposer":
        """Fit sources and features to everything before a moment; see `fit_sources`."""
        return cls(fit_sources(model, past, metadata, n_threads), Features.of(past, metadata))

    def in_blocks(self, wanted: CandidateQuery, work: Work[T]) -> list[T]:
        """Return what `work` returns for each block of users, in their order."""
        n_candidates = max(_N_CANDIDATES, wanted.k)

        def in_block(rows: Rows, lists: Mapping[str, TopK]) -> T:
            candidates = merge(lists, n_candidates)
            return work(rows, candidates, self.features(rows, candidates))

        found = []
        for first in range(0, len(wanted.user_rows), _CHUNK_USERS):
            rows = wanted.user_rows[first : first + _CHUNK_USERS]
            lists = self._lists(replace(wanted, user_rows=rows))
            with ThreadPoolExecutor(usable(wanted.n_threads)) as pool:
                blocks = [
                    pool.submit(in_block, rows[block], _part(lists, block))
                    for block in _blocks(len(rows))
                ]
                found += [block.result() for block in blocks]
        return found

    def _lists(self, wanted: CandidateQuery) -> dict[str, TopK]:
        return {
            name: source.top_k(
                max(DEPTHS[name], wanted.k if name == MODEL else 0),
                user_rows=wanted.user_rows,
                hidden=wanted.hidden,
                n_threads=wanted.n_threads,
            )
            for name, source in self.sources.items()
        }


@dataclass(frozen=True, slots=True)
class SecondStage:
    """Ranks by boosted trees; it is not a model, for it cannot fold in other users.

    Attributes:
        proposer: Sources and features of the moment that the lists are made at.
        booster: The `lightgbm.Booster`, trained on a period before.
        seen: (n_users, n_items) matrix with an entry where the user has the item; None: the
            sources leave out all of these.
    """

    proposer: Proposer
    booster: Any
    seen: sp.csr_matrix | None = None

    def with_model(self, model: Ranker, seen: sp.csr_matrix) -> "SecondStage":
        """Return the second stage on top of a model with further items of the users.

        Args:
            model: Model of the lists.
            seen: (n_users, n_items) matrix with an entry where the user has the item.
        """
        sources = {**self.proposer.sources, MODEL: model}
        return replace(self, proposer=replace(self.proposer, sources=sources), seen=seen)

    def top_k(
        self,
        k: int,
        *,
        user_rows: Rows | None = None,
        hidden: Collection[int] = frozenset(),
        n_threads: int = 0,
        on_users: Callable[[int], object] = noop,
    ) -> TopK:
        """Return the k candidates with the best scores of the trees; see `Ranker.top_k`."""
        if user_rows is None:
            user_rows = np.arange(len(self.proposer.features.users))

        def rank(rows: Rows, candidates: CandidateItems, features: Floats) -> TopK:
            scores = np.full(candidates.item_rows.shape, -np.inf, np.float32)
            is_item = candidates.item_rows != NO_ITEM
            scores[is_item] = self.booster.predict(features, num_threads=1)
            if self.seen is not None:
                is_seen = hits_of(candidates.item_rows, self.seen[rows])
                candidates.item_rows[is_seen], scores[is_seen] = NO_ITEM, -np.inf
            order = np.lexsort((candidates.item_rows, -scores))[:, :k]
            on_users(len(rows))
            return reordered(TopK(candidates.item_rows, scores), order)

        parts = self.proposer.in_blocks(CandidateQuery(user_rows, k, hidden, n_threads), rank)
        lists = TopK(
            np.full((len(user_rows), k), NO_ITEM, np.int32),
            np.full((len(user_rows), k), -np.inf, np.float32),
        )
        for block, part in zip(_blocks(len(user_rows)), parts, strict=True):
            width = part.item_rows.shape[1]
            lists.item_rows[block, :width], lists.scores[block, :width] = part
        return lists


def examples_of(proposer: Proposer, split: Split, n_threads: int) -> Examples:
    """Return the candidates of the split's users, and which of them are on its test side.

    Users who watched none of their candidates are left out: nothing is learned from them.

    Args:
        proposer: Sources and features of the training side.
        split: Split whose test side is the period to learn from.
        n_threads: Number of threads.
    """
    test_row = np.zeros(split.train.shape[0], np.int64)
    test_row[split.user_rows] = np.arange(len(split.user_rows))

    def label(rows: Rows, candidates: CandidateItems, features: Floats) -> Examples:
        is_item: Flags = np.not_equal(candidates.item_rows, NO_ITEM)
        is_watched = hits_of(candidates.item_rows, split.test[test_row[rows]])
        has_any = np.asarray(is_watched.any(axis=1))
        is_kept = np.broadcast_to(has_any[:, None], is_item.shape)[is_item]
        n_candidates = is_item[has_any].sum(axis=1)
        return Examples(features[is_kept], is_watched[is_item][is_kept], n_candidates)

    parts = proposer.in_blocks(CandidateQuery(split.user_rows, n_threads=n_threads), label)
    return Examples(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.is_watched for part in parts]),
        np.concatenate([part.n_candidates for part in parts]),
    )


def _blocks(n_users: int) -> list[slice]:
    """Return the blocks of users; the size of a chunk is a multiple of that of a block."""
    return [slice(first, first + _BLOCK_USERS) for first in range(0, n_users, _BLOCK_USERS)]


def _part(lists: Mapping[str, TopK], block: slice) -> dict[str, TopK]:
    return {
        name: TopK(found.item_rows[block], found.scores[block]) for name, found in lists.items()
    }
