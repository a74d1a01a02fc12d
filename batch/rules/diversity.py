"""Diversity: maximal marginal relevance, one item after the other.

    next = argmax (1 - weight) · relevance - weight · (likeness to the most alike chosen)

Relevance is the score between the user's worst candidate, 0, and best, 1; likeness is
the cosine of two items' genres or factors, 0 where it is negative. A weight of 0
leaves the order as it is; with 1 only the first is chosen by taste.

Source:
    Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering
    Documents and Producing Summaries", SIGIR 1998. Their λ is 1 - weight.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from batch.arrays import Floats
from batch.records.catalogue import Item
from batch.rules.lists import places, reordered
from batch.topk import NO_ITEM, TopK

_BEHIND_ALL: Final = np.float32(-1e9)  # but before what is chosen already


def genre_vectors(items: Sequence[Item]) -> Floats:
    """Return (n_items, n_genres) of length 1 each; all 0 for an item without a genre."""
    genres = sorted({genre for item in items for genre in item.genres})
    column = {genre: place for place, genre in enumerate(genres)}
    vectors = np.zeros((len(items), max(len(genres), 1)), np.float32)
    for row, item in enumerate(items):
        vectors[row, [column[genre] for genre in item.genres]] = 1
    return of_length_1(vectors)


def of_length_1(vectors: Floats) -> Floats:
    """Return the vectors scaled to length 1; those of length 0 stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)


def diversified(lists: TopK, vectors: Floats, n: int, weight: float) -> TopK:
    """Return the lists with their first n places chosen one after the other.

    What is not chosen follows in its old order. Of equally good ones the better
    placed is chosen.

    Args:
        lists: (n_users, k), k at least n; best first.
        vectors: (n_items, n_dimensions) of length 1.
        n: Places to choose for.
        weight: 0 to 1.
    """
    of_candidates = vectors[lists.item_rows]
    likeness = of_candidates @ of_candidates.transpose(0, 2, 1)
    relevance = np.float32(1 - weight) * _relevance(lists)
    relevance[lists.item_rows == NO_ITEM] = _BEHIND_ALL
    nearest = np.zeros_like(relevance)
    key = places(lists) + n  # of what is not chosen
    users = np.arange(len(relevance))
    for place in range(n):
        chosen = (relevance - np.float32(weight) * nearest).argmax(axis=1)
        key[users, chosen] = place
        relevance[users, chosen] = -np.inf
        np.maximum(nearest, likeness[users, chosen], out=nearest)
    return reordered(lists, np.argsort(key, axis=1, kind="stable"))


def _relevance(lists: TopK) -> Floats:
    """Return (n_users, k) scores between 0 and 1."""
    is_item = lists.item_rows != NO_ITEM
    best = np.where(is_item, lists.scores, -np.inf).max(axis=1, keepdims=True)
    worst = np.where(is_item, lists.scores, np.inf).min(axis=1, keepdims=True)
    worst = np.minimum(worst, np.finfo(np.float32).max)  # of nobody's candidates
    span = np.where(best > worst, best - worst, 1)
    between = np.where(is_item, lists.scores, worst) - worst
    return np.where(is_item, between / span, 0).astype(np.float32)
