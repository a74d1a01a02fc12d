"""Candidates, items and models for the tests of the rules."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from hypothesis import strategies as st

from batch.interactions.build import Interactions, Ratings
from batch.models.factors import FittedFactors
from batch.records.catalogue import Item
from batch.rules.context import RuleContext
from batch.topk import NO_ITEM, TopK

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
N_ITEMS = 40
SEEDS = st.integers(0, 2**32 - 1)


def made_lists(seed: int, n_users: int = 7, k: int = 12, n_items: int = N_ITEMS) -> TopK:
    """Candidates as of a search: best first, without repeats, some lists short, some empty.

    Few distinct scores, so that there are ties, above and below 0.
    """
    random = np.random.default_rng(seed)
    item_rows = np.stack([random.permutation(n_items)[:k] for _ in range(n_users)])
    scores = -np.sort(-random.integers(-5, 6, (n_users, k)) / 4, axis=1)
    n = random.choice([0, 1, k // 2, k, k, k], n_users)
    is_item = np.arange(k) < n[:, None]
    return TopK(
        np.where(is_item, item_rows, NO_ITEM).astype(np.int32),
        np.where(is_item, scores, -np.inf).astype(np.float32),
    )


_UNKNOWN = Item(None, None, (), None, None)


def made_item(**fields: Any) -> Item:
    """An item of which only `fields` are known."""
    return replace(_UNKNOWN, **fields)


def made_context(items: list[Item]) -> RuleContext:
    """Items `i0`, `i1` and so on, at noon of a day."""
    names = [f"i{row}" for row in range(len(items))]
    return RuleContext(names, items, set(names), AT, pa.array([], pa.string()), salt="1")


def made_interactions(seen: sp.csr_matrix) -> Interactions:
    """Users `u000`, `u001` … who have items `i000`, `i001` …"""
    n_users, n_items = seen.shape
    no_rows = np.zeros(0, np.int64)
    return Interactions(
        pa.array([f"u{row:03}" for row in range(n_users)]),
        pa.array([f"i{row:03}" for row in range(n_items)]),
        seen,
        Ratings(no_rows, no_rows, no_rows.astype(np.float32), 5.0),
        Counter(),
        0,
    )


def made_fitted(
    seed: int, n_users: int = 90, n_items: int = 120, popularity: float = 2.0
) -> FittedFactors:
    """A model whose scores share a popular part, so that lists overlap as real ones do."""
    random = np.random.default_rng(seed)
    users = random.normal(size=(n_users, 6)).astype(np.float32)
    items = random.normal(size=(n_items, 6)).astype(np.float32)
    users[:, 0], items[:, 0] = 1, random.exponential(popularity, n_items)
    entries = sp.random(n_users, n_items, 0.05, "coo", np.float32, rng=random)
    assert isinstance(entries, sp.coo_matrix)
    return FittedFactors(users, items, entries.tocsr(), lambda _: users)


def names_of(lists: TopK) -> list[list[int]]:
    """The lists without the empty places."""
    return [[row for row in rows if row != NO_ITEM] for rows in lists.item_rows.tolist()]
