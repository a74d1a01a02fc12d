"""Diversity: maximal marginal relevance, chosen item by item.

    next = argmax (1 - weight) · relevance - weight · (similarity to the most similar chosen)

Relevance is the score scaled between the user's worst candidate, 0, and best, 1. Similarity
is the cosine of two items' genres or factors, 0 where it is negative. A weight of 0
keeps the order; with 1 only the first item is chosen by its score.

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

_LAST: Final = np.float32(-1e9)  # relevance of empty places: below items, above chosen ones


def genre_vectors(items: Sequence[Item]) -> Floats:
    """Return (n_items, n_genres) unit vectors; zeros for an item without a genre."""
    genres = sorted({genre for item in items for genre in item.genres})
    column = {genre: place for place, genre in enumerate(genres)}
    vectors = np.zeros((len(items), max(len(genres), 1)), np.float32)
    for row, item in enumerate(items):
        vectors[row, [column[genre] for genre in item.genres]] = 1
    return of_length_1(vectors)


def of_length_1(vectors: Floats) -> Floats:
    """Return the vectors scaled to length 1; zero vectors are unchanged."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)


def diversified(lists: TopK, vectors: Floats, n: int, weight: float) -> TopK:
    """Return the lists with their first n places chosen for diversity.

    The other candidates follow in their old order. Of equally good candidates the one
    of the better rank is chosen.

    Args:
        lists: (n_users, k) candidates, best first; k is at least n.
        vectors: (n_items, n_dimensions) unit vectors.
        n: Number of places to choose for.
        weight: Weight of diversity, 0 to 1.
    """
    of_candidates = vectors[lists.item_rows]
    similarity = of_candidates @ of_candidates.transpose(0, 2, 1)
    relevance = np.float32(1 - weight) * _relevance(lists)
    relevance[lists.item_rows == NO_ITEM] = _LAST
    nearest = np.zeros_like(relevance)
    key = places(lists) + n  # sort key of candidates that are not chosen
    users = np.arange(len(relevance))
    for place in range(n):
        chosen = (relevance - np.float32(weight) * nearest).argmax(axis=1)
        key[users, chosen] = place
        relevance[users, chosen] = -np.inf
        np.maximum(nearest, similarity[users, chosen], out=nearest)
    return reordered(lists, np.argsort(key, axis=1, kind="stable"))


def _relevance(lists: TopK) -> Floats:
    """Return (n_users, k) scores between 0 and 1."""
    is_item = lists.item_rows != NO_ITEM
    best = np.where(is_item, lists.scores, -np.inf).max(axis=1, keepdims=True)
    worst = np.where(is_item, lists.scores, np.inf).min(axis=1, keepdims=True)
    worst = np.minimum(worst, np.finfo(np.float32).max)  # without candidates
    span = np.where(best > worst, best - worst, 1)
    between = np.where(is_item, lists.scores, worst) - worst
    return np.where(is_item, between / span, 0).astype(np.float32)
