"""Blends: scores of several models, standardised within the user, and added."""

import numpy as np
import pytest
import scipy.sparse as sp

from batch.models.blend import FittedBlend, blended, standardised
from batch.models.ease import Ease
from batch.models.factors import FittedFactors
from batch.models.ials import Ials
from batch.models.popularity import Popularity
from batch.topk import NO_ITEM
from tests.batch.made_weights import some_weights

ROWS = np.arange(40)


@pytest.fixture(scope="module")
def weights():
    return some_weights()


@pytest.fixture(scope="module")
def parts(weights):
    """A model of factors, popularity, and one of items."""
    models = (Ials(n_factors=4, iterations=5), Popularity(), Ease(regularization=20.0))
    return [model.fit(weights, n_threads=1) for model in models]


def expected(parts, shares, rows=ROWS):
    """Return Σ share · score / standard deviation, less the means."""
    total = 0
    for part, share in zip(parts, shares, strict=True):
        scores = part.scores(rows).astype(np.float64)
        total += share * (scores - scores.mean(axis=1)[:, None]) / scores.std(axis=1)[:, None]
    return total


def centred(scores):
    return scores - scores.mean(axis=1)[:, None]


@pytest.mark.parametrize("n_parts", [2, 3])
def test_scores_are_the_sum_of_standardised_scores(parts, weights, n_parts):
    """With factors alone, and with a model of items beside them."""
    shares = (1.0, 0.5, 0.25)[:n_parts]
    blend = blended(parts[:n_parts], shares, weights)
    assert isinstance(blend, FittedFactors if n_parts == 2 else FittedBlend)
    assert centred(blend.scores(ROWS)) == pytest.approx(
        expected(parts[:n_parts], shares), rel=1e-3, abs=1e-3
    )


@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_lists_are_those_of_a_full_sort_of_the_scores(parts, weights, n_parts):
    """Seen and hidden items are left out."""
    blend = blended(parts[3 - n_parts :], (1.0, 0.5, 2.0)[:n_parts], weights)
    hidden = {1, 5}
    scores = blend.scores(np.arange(weights.shape[0]))
    scores[weights.nonzero()] = -np.inf
    scores[:, list(hidden)] = -np.inf
    found = blend.top_k(7, hidden=hidden, n_threads=2)
    listed = np.take_along_axis(scores, np.maximum(found.item_rows, 0).astype(np.int64), axis=1)
    is_listed = found.item_rows != NO_ITEM
    best = -np.sort(-scores, axis=1)[:, :7]
    assert listed[is_listed] == pytest.approx(best[is_listed], rel=1e-5)


@pytest.mark.parametrize("chosen", [(0, 1), (0, 2), (1, 2), (2,), (0, 1, 2)])
def test_a_user_folded_in_alone_has_the_list_of_training(parts, weights, chosen):
    """With the same shares and its own standard deviations, to the last bit of each score."""
    blend = blended([parts[n] for n in chosen], (1.0, 0.5, 0.25)[: len(chosen)], weights)
    known = blend.top_k(10, n_threads=2)
    for user in range(0, weights.shape[0], 9):
        alone = blend.fold_in(weights[user : user + 1]).top_k(10, n_threads=1)
        assert alone.item_rows.tolist() == known.item_rows[user : user + 1].tolist()
        assert alone.scores.tobytes() == known.scores[user].tobytes()


def test_scores_without_differences_become_zero():
    """Rounding is not blown up to a standard deviation of 1."""
    constant = np.full((2, 5), 0.1, np.float32)
    constant[1, 2] = np.nextafter(np.float32(0.1), np.float32(1))
    assert not standardised(constant, 1.0).any()


def test_users_without_interactions_get_the_popular_list(parts, weights):
    """Their factors are 0, and popularity is the only part with differences."""
    blend = blended(parts, (1.0, 0.1, 1.0), weights).fold_in(sp.csr_matrix((1, weights.shape[1])))
    popular = parts[1].fold_in(sp.csr_matrix((1, weights.shape[1])))
    assert blend.top_k(10).item_rows.tolist() == popular.top_k(10).item_rows.tolist()
