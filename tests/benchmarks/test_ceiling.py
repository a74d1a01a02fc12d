"""The ceiling of lists: the oracle's posterior is exact, and its lists stand between the others."""

import json
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from batch.interactions.weights import DEFAULT_WEIGHTING
from benchmarks.ceiling.__main__ import main
from benchmarks.ceiling.history import EvaluatedUsers, HistoryOptions, make_history
from benchmarks.ceiling.posterior import expected_relevance, posterior_tastes
from benchmarks.ceiling.report import figures
from benchmarks.simulator.live.audience.oracle import ListValues
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.users import groups_of, taste_shapes
from benchmarks.simulator.world.world import make_world

N_SAMPLES = 200_000  # of the importance sampler that the Gibbs sampler is compared with
N_CHAINS = 50
OPTIONS = HistoryOptions(1500, 300, 6.0, [1, 6, 20], 150, 7)
ARGUMENTS = ["--users", "1500", "--items", "300", "--evaluated", "150", "--seed", "7"]


@pytest.fixture(scope="module")
def history():
    return make_history(OPTIONS, DEFAULT_WEIGHTING)


def by_importance(world, views, shapes):
    """Return a user's expected taste from tastes of the prior, weighted by the views' chance.

    The chance of each view is over that of all items that could still be watched.
    """
    tastes = np.random.default_rng(2).dirichlet(shapes + 1e-9, N_SAMPLES)
    chances = (1 - world.random_share) * tastes @ world.appeal[views].T.astype(np.float64)
    chances += world.random_share * world.items.popularity[views]
    could_be_watched = 1 - np.cumsum(chances, axis=1) + chances
    weights = np.prod(chances / could_be_watched, axis=1)
    return weights @ tastes / weights.sum()


@pytest.mark.parametrize("n_views", [1, 2, 4])
def test_posterior_is_that_of_importance_sampling(n_views):
    """In a catalogue of 12 items, where it counts that watched ones are not watched again."""
    world = make_world(50, 12, 5, n_days=1)
    world = replace(world, items=replace(world.items, first_days=np.full(12, -1, np.int32)))
    shapes, views = 1.2 * world.common_tastes, np.arange(n_views)
    chains = EvaluatedUsers(
        np.zeros(N_CHAINS, np.int64),
        np.tile(views, (N_CHAINS, 1)),
        np.zeros((N_CHAINS, n_views), np.int64),
    )
    rng = np.random.default_rng(1)
    found = posterior_tastes(world, chains, np.tile(shapes, (N_CHAINS, 1)), rng).mean(axis=0)
    expected = by_importance(world, views, shapes)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert np.abs(expected - world.common_tastes).max() > 0.05


def test_without_a_view_the_expected_taste_is_the_groups():
    """A view that was not found says nothing: the expectation is that of the shapes."""
    world = make_world(50, 100, 5)
    rows, none = np.arange(50), np.full((50, 2), -1)
    group = groups_of(world.users)
    shapes = taste_shapes(group, world.common_tastes, world.seed)[group]
    users = EvaluatedUsers(rows, none, np.zeros_like(none))
    found = posterior_tastes(world, users, shapes, np.random.default_rng(1), n_sweeps=10)
    np.testing.assert_allclose(found, shapes / shapes.sum(axis=1, keepdims=True))


def test_groups_are_those_that_the_tastes_were_drawn_by():
    """The mean taste of a large group is that of its shapes, and not that of another group."""
    world = make_world(30_000, 100, 3)
    group = groups_of(world.users)
    shapes = taste_shapes(group, world.common_tastes, world.seed)
    means = shapes / shapes.sum(axis=1, keepdims=True)
    largest, second = np.argsort(-np.bincount(group))[:2]
    drawn = world.users.tastes[group == second].mean(axis=0)
    assert np.abs(drawn - means[second]).max() < 0.01
    assert np.abs(drawn - means[largest]).max() > 0.01


def test_expected_relevance_of_true_tastes_is_the_true_chance():
    """Except for the drift to a taste that the oracle has not: a few in a thousand."""
    world = make_world(20, 100, 3)
    rows = np.arange(20)
    tastes = world.users.tastes.astype(np.float64)
    found = expected_relevance(world, tastes, world.n_days)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    true = Truth(world).watch_chances(rows, world.n_days)
    assert np.abs(found - true).sum(axis=1).max() < 0.02


def test_evaluated_users_have_their_number_of_views(history):
    """Others have as many as the world gives them."""
    n_views_of = np.diff(history.interactions.weights.indptr)
    for n_views, users in history.evaluated.items():
        assert len(users.user_rows) == 150
        np.testing.assert_array_equal(n_views_of[users.user_rows], (users.items >= 0).sum(axis=1))
        assert n_views_of[users.user_rows].mean() > 0.9 * n_views
    others = np.delete(
        n_views_of, np.concatenate([u.user_rows for u in history.evaluated.values()])
    )
    assert others.min() >= 1
    assert others.mean() == pytest.approx(OPTIONS.views_per_user, rel=0.1)


def test_shares_are_ratios_of_sums():
    """Popular lists have the uplift 0, the best ones 1, and others what they gain of it."""
    popular, gain, best = np.array([0.2, 0.4]), np.array([0.1, 0.2]), np.array([0.6, 0.8])
    by_subject = {"popular": popular, "ceiling": popular + 0.2, "model": popular + gain}
    values = {
        name: ListValues(expected, best, popular, expected / best)
        for name, expected in by_subject.items()
    }
    found = figures(values, "ceiling")
    assert [found[name].uplift.mean for name in by_subject] == pytest.approx([0, 0.5, 0.375])
    assert [found[name].of_ceiling.mean for name in by_subject] == pytest.approx([0, 1, 0.75])
    assert found["model"].ndcg.mean == pytest.approx((0.3 / 0.6 + 0.6 / 0.8) / 2)


@pytest.fixture(scope="module")
def printed():
    """Return the benchmark's figures by metric, number of views and subject."""
    with redirect_stdout(StringIO()) as output:
        assert main([*ARGUMENTS, "--models", "popularity", "item_knn"]) == 0
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    return {(line["metric"], line["n_views"], line["subject"]): line for line in lines}


def test_ceiling_stands_between_popular_and_best(printed):
    """It rises with the number of views; what knows less than it does stands below."""
    uplift = {n: printed["uplift", n, "ceiling"]["value"] for n in (1, 6, 20)}
    assert 0 < uplift[1] < uplift[6] < uplift[20] < 1
    for n_views in (1, 6, 20):
        ndcg = {name: printed["ndcg", n_views, name]["value"] for name in
                ("popularity", "item_knn", "ceiling", "ceiling, profile", "best")}  # fmt: skip
        assert ndcg["popularity"] < ndcg["ceiling"] < ndcg["best"] == 1
        assert ndcg["item_knn"] < ndcg["ceiling"]
        assert ndcg["ceiling, profile"] == pytest.approx(ndcg["ceiling"], abs=0.05)
        assert printed["uplift", n_views, "popular"]["value"] == 0
        assert printed["of_ceiling", n_views, "ceiling"]["value"] == 1
        assert printed["of_ceiling", n_views, "popularity"]["value"] < 0.1


def test_figures_have_intervals_and_inputs(printed):
    for figure in printed.values():
        assert figure["low"] <= figure["value"] <= figure["high"]
        assert (figure["n_users"], figure["n_items"], figure["seed"]) == (1500, 300, 7)
    assert {subject for _, _, subject in printed} == {
        "popular", "segment", "popularity", "item_knn", "ceiling", "ceiling, profile", "best"
    }  # fmt: skip


def test_the_same_seed_gives_the_same_history(history):
    again = make_history(OPTIONS, DEFAULT_WEIGHTING).interactions.weights
    other = make_history(replace(OPTIONS, seed=8), DEFAULT_WEIGHTING).interactions.weights
    assert (again != history.interactions.weights).nnz == 0
    assert (other != history.interactions.weights).nnz > 0
