"""The truth of a simulated world: histories follow it, and a refresh recovers it."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.world.choices import Chooser
from benchmarks.simulator.world.fitted import COMPLETED_SHARE, RANDOM_SHARE, RATED_SHARE, STARS
from benchmarks.simulator.world.ranking import best_of, ndcg
from benchmarks.simulator.world.truth import Truth
from benchmarks.simulator.world.views import ViewSource, default_random_share
from benchmarks.simulator.world.world import make_world
from store.snapshot import open_snapshot

ROOT = Path(__file__).resolve().parents[2]


def all_views(truth, views_per_user=None):
    source = ViewSource(truth, views_per_user)
    return np.concatenate([source.draw(block) for block in source.blocks()])


def test_watch_probabilities_sum_to_1_over_the_catalogue():
    """An item has the probability 0 before its first day, and more afterwards."""
    world = make_world(50, 300, 3, n_days=30)
    truth, users = Truth(world), np.arange(50)
    new = np.flatnonzero(world.items.first_days == 20)
    assert len(new) > 0
    for day, is_there in ((19, False), (20, True)):
        chances = truth.watch_chances(users, day)
        np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
        assert (chances[:, new].sum() > 0) == is_there


@pytest.mark.parametrize("day", [0, 2000])
def test_views_follow_the_true_probabilities(day):
    """First views of 8 users, 4,000 times; also after years."""
    n_users, n_times = 8, 4000
    world = make_world(n_users, 40, 11)
    chooser, owner = Chooser(world), np.arange(n_users)
    counts = np.zeros((n_users, 40))
    for time in range(n_times):
        rng = np.random.default_rng([day, time])
        drawn = chooser.choose(slice(0, n_users), owner, np.full(n_users, day), rng)
        counts[owner, drawn] += 1
    chances = Truth(world).watch_chances(owner, day)
    is_there = world.items.first_days <= day
    assert counts[:, ~is_there].sum() == 0
    error = np.sqrt(n_times * chances * (1 - chances))
    assert (np.abs(counts - n_times * chances) <= 5 * error + 1).all()


def test_in_a_world_of_random_views_all_users_are_alike():
    """Without taste every user's probabilities are the popularity."""
    world = make_world(30, 200, 3, random_share=1)
    there = world.items.popularity * (world.items.first_days <= 7)
    chances = Truth(world).watch_chances(np.arange(30), 7)
    np.testing.assert_allclose(chances, np.tile(there / there.sum(), (30, 1)), rtol=1e-3)


def test_the_default_random_share_is_one_view_of_each_user():
    """For the measured mean and any other; 0.08 of many views."""
    world = make_world(20_000, 100, 3)
    n_views = len(all_views(Truth(world)))
    assert default_random_share(world, None) == pytest.approx(len(world.users) / n_views, rel=0.01)
    assert default_random_share(world, 5) == pytest.approx(0.2)
    assert default_random_share(world, 50) == RANDOM_SHARE


def test_tastes_drift():
    """A user's probabilities change much after years, and hardly in a day."""
    truth, users = Truth(make_world(100, 200, 3)), np.arange(100)
    at = {day: truth.watch_chances(users, day) for day in (7, 8, 2000)}
    assert np.abs(at[7] - at[8]).sum(axis=1).max() < 0.02
    assert np.median(np.abs(at[7] - at[2000]).sum(axis=1)) > 0.5


def test_all_users_together_watch_by_popularity():
    """Preferences differ, but their mean is the popularity."""
    world = make_world(20_000, 100, 3)
    chances = Truth(world).watch_chances(np.arange(20_000), 7).mean(axis=0)
    np.testing.assert_allclose(chances, world.items.popularity, rtol=0.1)


def test_views_are_of_existing_items_and_unique():
    """Also for heavy users, who have seen much of their taste."""
    world = make_world(200, 300, 3, n_days=20)
    views = all_views(Truth(world), views_per_user=40)
    first = world.items.first_days[views["item_row"]]
    assert (views["began"] // 86_400 >= first).all()
    assert (first > 0).sum() > 10
    pairs = set(zip(views["user_row"].tolist(), views["item_row"].tolist(), strict=True))
    assert len(pairs) == len(views)
    assert set(views["user_row"].tolist()) == set(range(200))


def test_minutes_and_stars_depend_on_liking():
    """Their shares over all views are those of the real log."""
    truth = Truth(make_world(30_000, 500, 3))
    views = all_views(truth)
    liking = truth.liking(views["user_row"], views["item_row"], 0)
    assert abs(liking.mean()) < 0.1
    assert abs(liking.std() - 1) < 0.1
    is_rated = views["stars"] > 0
    assert abs(is_rated.mean() - RATED_SHARE) < 0.02
    stars = (views["stars"][is_rated] + 1) // 2
    np.testing.assert_allclose(np.bincount(stars, minlength=6)[1:] / len(stars), STARS, atol=0.01)
    runtimes = truth.world.items.runtimes[views["item_row"]]
    is_complete = views["minutes"] == runtimes
    assert abs(is_complete.mean() - COMPLETED_SHARE) < 0.03
    likes, dislikes = liking > 0.5, liking < -0.5
    assert is_complete[likes].mean() > is_complete[dislikes].mean() + 0.1
    liked_ones = truth.like_chances(views["user_row"], views["item_row"], 0)[is_rated]
    for low, high in ((0, 0.5), (0.5, 0.8), (0.8, 1)):
        among = (liked_ones >= low) & (liked_ones < high)
        assert abs((stars[among] >= 4).mean() - liked_ones[among].mean()) < 0.03


def test_ndcg_of_the_best_list_is_1_and_of_others_less():
    """By hand: gains 3, 2, 1 at ranks 1 and 2; seen items have no gain."""
    gains, none = np.array([[3.0, 2.0, 1.0]]), np.zeros((1, 3), bool)
    assert ndcg(np.array([[0, 1]]), gains, none)[0] == pytest.approx(1)
    worse = (2 + 3 / np.log2(3)) / (3 + 2 / np.log2(3))
    assert ndcg(np.array([[1, 0]]), gains, none)[0] == pytest.approx(worse)
    assert ndcg(np.array([[2, -1]]), gains, none)[0] == pytest.approx(1 / (3 + 2 / np.log2(3)))
    seen = np.array([[True, False, False]])
    assert ndcg(np.array([[1, 2]]), gains, seen)[0] == pytest.approx(1)


def test_no_list_beats_the_best_one():
    """Best lists leave out seen items; the popular list is the same for all, and worse."""
    world = make_world(300, 200, 3)
    truth, users = Truth(world), np.arange(300)
    chances = truth.watch_chances(users, 7)
    seen = np.random.default_rng(0).random((300, 200)) < 0.1
    best = truth.best_lists(users, 7, seen)
    assert not np.take_along_axis(seen, best, axis=1).any()
    np.testing.assert_allclose(ndcg(best, chances, seen), 1)
    popular = np.tile(truth.popular_list(7), (300, 1))
    assert ndcg(popular, chances, seen).mean() < 0.6
    top = np.sort(world.items.popularity)[::-1][:20]
    np.testing.assert_allclose(world.items.popularity[truth.popular_list(7)], top)


@pytest.mark.alone
def test_a_refresh_recovers_the_latent_tastes(tmp_path):
    """NDCG@20 by the true probabilities: far above popularity's, and higher with more views."""
    n_users, n_items = 4000, 600
    world = make_world(n_users, n_items, 5)
    world = dataclasses.replace(world, random_share=default_random_share(world, 8))
    write_history(world, tmp_path, HistoryOptions(views_per_user=8, is_parquet=True))
    refresh(tmp_path)
    seen = seen_by_all(world, tmp_path)
    truth, users = Truth(world), np.arange(n_users)
    chances = truth.watch_chances(users, world.n_days)
    quality = ndcg(lists_of_all(world, tmp_path / "store"), chances, seen)
    popular = best_of(np.where(seen, -1, world.items.popularity), 20)
    by_popularity = ndcg(popular, chances, seen)
    assert quality.mean() > 1.5 * by_popularity.mean()
    n_views = seen.sum(axis=1)
    few, some, many = (
        quality[(n_views >= low) & (n_views <= high)].mean()
        for low, high in ((1, 3), (4, 8), (9, 25))
    )
    assert few + 0.05 < some < some + 0.03 < many


def refresh(folder):
    events = [str(folder / "events" / kind) for kind in ("views", "ratings")]
    inputs = ["--events", *events, "--catalogue", str(folder / "catalogue.jsonl")]
    subprocess.run(
        [sys.executable, "-m", "batch", "refresh", *inputs, "--store", str(folder / "store")],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        check=True,
    )


def rows_of(world):
    items = {item_id: row for row, item_id in enumerate(world.items.ids)}
    users = {str(user_id): row for row, user_id in enumerate(world.users.ids.tolist())}
    return users, items


def seen_by_all(world, folder):
    users, items = rows_of(world)
    seen = np.zeros((len(users), len(items)), bool)
    views = pq.read_table(folder / "events/views", columns=["user_id", "item_id"])
    for view in views.to_pylist():
        seen[users[view["user_id"]], items[view["item_id"]]] = True
    return seen


def lists_of_all(world, store):
    users, items = rows_of(world)
    lists = np.full((len(users), 20), -1)
    with open_snapshot(store, 1) as snapshot:
        for user, body in snapshot.users:
            rows = [items[item_id] for item_id in body.decode().split(",")]
            lists[users[user.decode()], : len(rows)] = rows
    return lists
