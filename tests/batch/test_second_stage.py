"""The second stage: chosen where there is something to learn, and not elsewhere."""

import math
import sys

import numpy as np
import pytest

from batch.__main__ import main
from batch.errors import SecondStageError
from batch.evaluation.bootstrap import Interval
from batch.evaluation.splits import split_at
from batch.gate.trial import LastDay, TrialModel
from batch.models.popularity import Popularity
from batch.parent import has_chosen_second_stage
from batch.second_stage.choice import StageComparison, choose
from batch.second_stage.past import Past
from batch.second_stage.ranking import Proposer, SecondStage, examples_of
from batch.second_stage.training import train
from batch.settings import BatchSettings
from batch.topk import NO_ITEM
from store.snapshot import open_snapshot
from tests.batch.made_periods import (
    DAY,
    N_ITEMS,
    trend_that_ended,
    trending,
    unrelated,
    write_events,
)  # fmt: skip
from tests.histories import write_history
from tests.refreshes import inputs, run_refresh, users_served_seen_items


@pytest.fixture
def lightgbm():
    """Skip the test where the extra is not installed."""
    return pytest.importorskip("lightgbm", reason="the extra second-stage is not installed")


def chosen(stage_inputs, mode="auto", *, is_served=False):
    """Return the choice for inputs, with their model of everything."""
    model = stage_inputs.fit_model(stage_inputs.weights, stage_inputs.at)
    return model, choose(model, lambda: stage_inputs, mode, is_served=is_served)


def proposer(metadata, split):
    """Return sources and features of a training side, with popularity as the model."""
    model = Popularity().fit(split.train)
    return Proposer.of(model, Past(split.train, split.at), metadata, 1)


def ndcg_by_hand(lists, test):
    """Return the mean NDCG@20 of the lists."""
    found = []
    for row, items in enumerate(lists.tolist()):
        watched = set(test[[row]].indices.tolist())
        gains = [1 / math.log2(rank + 2) for rank, item in enumerate(items) if item in watched]
        found.append(sum(gains) / sum(1 / math.log2(rank + 2) for rank in range(len(watched))))
    return sum(found) / len(found)


def test_stage_is_chosen_where_new_items_and_genders_decide(lightgbm):
    _, choice = chosen(trending())
    assert isinstance(choice.ranker, SecondStage)
    assert choice.metrics["second_stage"] == "used"
    assert choice.metrics["second_stage_gain_low"] > 0
    assert choice.metrics["second_stage_gain"] > 0.1


def test_stage_is_not_chosen_where_popularity_is_all_there_is(lightgbm):
    model, choice = chosen(unrelated())
    assert choice.ranker is model
    assert choice.metrics["second_stage"] == "not used: not significantly better"
    assert choice.metrics["second_stage_gain_low"] <= 0


def test_stage_that_is_on_is_used_without_a_gain(lightgbm):
    """The twin: the setting decides, and the manifest has the figures."""
    _, choice = chosen(unrelated(), mode="on")
    assert isinstance(choice.ranker, SecondStage)
    assert choice.metrics["second_stage_gain_low"] <= 0


def test_stage_of_the_served_lists_is_dropped_where_it_is_significantly_worse(lightgbm):
    """The manifest has the reason and the margin."""
    model, choice = chosen(unrelated(), is_served=True)
    assert choice.ranker is model
    assert choice.metrics["second_stage"] == "not used: the model alone is significantly better"
    assert choice.metrics["second_stage_gain_high"] < 0
    assert choice.metrics["second_stage_margin"] > 0


@pytest.mark.parametrize(
    ("gain", "if_not_served", "if_served"),
    [
        ((0.01, 0.005, 0.02), True, True),
        ((0.0003, 0.0001, 0.0005), False, True),  # significant, but less than 0.2 % of 0.2
        ((0.01, -0.001, 0.02), False, True),  # not significant
        ((-0.01, -0.02, 0.001), False, True),
        ((-0.0003, -0.0005, -0.0001), False, True),
        ((-0.01, -0.02, -0.005), False, False),
    ],
)
def test_what_made_the_served_lists_stays_in_doubt(gain, if_not_served, if_served):
    """A change in either direction takes a significant gain of at least 0.2 %."""
    for is_served, is_used in ((False, if_not_served), (True, if_served)):
        base = Interval(0.2, 0.19, 0.21)
        found = StageComparison(900, 86_400, base, base, Interval(*gain), is_served)
        assert (found.reason_against == "") == is_used


def test_lists_are_the_same_bytes_on_one_and_two_threads(lightgbm):
    lists = []
    for n_threads in (1, 2):
        _, choice = chosen(trending(350, n_threads=n_threads))
        lists.append(choice.ranker.top_k(20, n_threads=n_threads))
    assert lists[0].item_rows.tobytes() == lists[1].item_rows.tobytes()
    assert lists[0].scores.tobytes() == lists[1].scores.tobytes()


def test_lists_hold_neither_seen_nor_hidden_items_and_are_sorted(lightgbm):
    made = trending()
    _, choice = chosen(made)
    hidden = frozenset(range(180, 190))
    lists = choice.ranker.top_k(30, user_rows=np.array([7, 3]), hidden=hidden)
    for row, user in enumerate((7, 3)):
        listed = set(lists.item_rows[row].tolist())
        assert NO_ITEM not in listed
        assert len(listed) == 30
        assert listed.isdisjoint(hidden | set(made.weights[[user]].indices.tolist()))
    assert (np.diff(lists.scores, axis=1) <= 0).all()


def test_lists_are_as_long_as_there_are_items(lightgbm):
    made = trending()
    _, choice = chosen(made)
    lists = choice.ranker.top_k(N_ITEMS, user_rows=np.array([0]))
    assert (lists.item_rows != NO_ITEM).sum() == N_ITEMS - made.weights[[0]].nnz


def test_too_few_users_give_the_model_or_an_error(lightgbm):
    model, choice = chosen(trending(n_users=50))
    assert choice.ranker is model
    assert "too few users" in choice.metrics["second_stage"]
    with pytest.raises(SecondStageError, match="too few users"):
        chosen(trending(n_users=50), mode="on")


def test_missing_package_leaves_the_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    model, choice = chosen(trending())
    assert choice.ranker is model
    assert choice.metrics == {"second_stage": "not used: LightGBM is not installed"}


def test_missing_package_is_an_error_where_the_stage_is_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(SecondStageError, match="install the extra `second-stage`"):
        chosen(trending(), mode="on")


def test_stage_that_is_off_reads_nothing():
    def make_inputs():
        raise AssertionError("profiles and catalogue are looked up")

    model = Popularity().fit(unrelated().weights)
    choice = choose(model, make_inputs, "off", is_served=True)
    assert choice.ranker is model
    assert choice.metrics == {}
    assert choice.comparison is None


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="second_stage must be one of auto, on, off"):
        BatchSettings(second_stage="always")


def test_refresh_publishes_lists_of_the_stage(tmp_path, capsys, monkeypatch, lightgbm):
    """A refresh with the stage: other lists than without, none with a seen item.

    The gate's figure is that of what makes the lists: the same as in the comparison, for both
    are evaluated on the same day.
    """
    monkeypatch.chdir(tmp_path)  # the quarantine is made in `var`
    monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", "1")
    monkeypatch.setenv("MARQUEE_BATCH_ITERATIONS", "2")
    files, seen = write_events(tmp_path, trending(350))
    bodies, metrics = [], []
    for mode in ("off", "auto"):
        monkeypatch.setenv("MARQUEE_BATCH_SECOND_STAGE", mode)
        store = tmp_path / mode
        summary = run_refresh(capsys, *files, "--store", store)
        is_named = any(line["rule"] == "second stage" for line in summary["gate"]["checks"])
        assert is_named == (mode == "auto")
        with open_snapshot(store, 1) as snapshot:
            bodies.append(dict(snapshot.users))
            assert users_served_seen_items(snapshot, seen) == []
            stage = snapshot.manifest.metrics.get("second_stage", "")
            assert has_chosen_second_stage(snapshot) == (mode == "auto")
            metrics.append(snapshot.manifest.metrics)
        assert stage == ("used" if mode == "auto" else "")
    assert bodies[0].keys() == bodies[1].keys()
    assert bodies[0] != bodies[1]
    assert [found["last_day_ranker"] for found in metrics] == ["model", "second stage"]
    assert metrics[0]["last_day_ndcg_new"] == metrics[1]["second_stage_ndcg_without"]
    assert metrics[1]["last_day_ndcg_new"] == metrics[1]["second_stage_ndcg"]
    assert metrics[0]["last_day_ndcg_popular"] == metrics[1]["last_day_ndcg_popular"]


def test_trial_of_the_lists_is_that_of_trees_trained_by_hand(lightgbm):
    """The trees of the day before rank a sample of users, here every second, on the last day."""
    made = trending()
    _, choice = chosen(made)
    assert made.at is not None
    assert choice.earlier is not None
    users = np.arange(1, 500, 2)
    is_sampled = np.repeat(np.arange(500) % 2 == 1, np.diff(made.weights.indptr))
    latest = int(made.at.max())
    day = LastDay(split_at(made.weights[users], made.at[is_sampled], latest - DAY), False)
    model = Popularity().fit(day.split.train)
    tried = TrialModel(model, day, users, None, groups={}, seed=42, n_threads=1)
    found = tried.evaluate(choice.earlier.on(model, day.split, users), "second stage")

    newest = split_at(made.weights, made.at, latest - DAY)
    assert newest.at is not None
    previous = split_at(newest.train, newest.at, latest - 2 * DAY)
    booster = train(examples_of(proposer(made.metadata, previous), previous, 1), 42)
    stage = SecondStage(proposer(made.metadata.of_users(users), day.split), booster)
    lists = stage.top_k(20, user_rows=day.split.user_rows, n_threads=1).item_rows
    assert found.ndcg["new"].mean == pytest.approx(ndcg_by_hand(lists, day.split.test))
    assert found.ndcg["new"].mean > tried.evaluate().ndcg["new"].mean + 0.1
    assert found.metrics()["last_day_ranker"] == "second stage"
    assert tried.evaluate().metrics()["last_day_ranker"] == "model"


def test_gate_refuses_a_stage_that_learned_a_trend_which_ended(
    tmp_path, capsys, monkeypatch, lightgbm
):
    """Days of new items, then a day of old ones: the model's lists pass, the stage's do not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", "1")
    monkeypatch.setenv("MARQUEE_BATCH_MODEL", "popularity")
    files, _ = write_events(tmp_path, trend_that_ended())
    for mode, expected in (("off", 0), ("on", 3)):
        monkeypatch.setenv("MARQUEE_BATCH_SECOND_STAGE", mode)
        store = tmp_path / mode
        assert main(["refresh", *map(str, files), "--store", str(store)]) == expected
    error = capsys.readouterr().err
    assert "loss to popular: NDCG@20 of" in error
    assert "users on the last day, second stage 0." in error


def test_refresh_without_the_package_names_the_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history = write_history(tmp_path / "history")
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    monkeypatch.setenv("MARQUEE_BATCH_SECOND_STAGE", "on")
    assert main(["refresh", *map(str, inputs(history)), "--store", str(tmp_path / "store")]) == 1
    assert "install the extra `second-stage`" in capsys.readouterr().err
