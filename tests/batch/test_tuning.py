"""`python -m batch tune`, run as it is: what it tries, keeps, writes and says."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from batch.__main__ import main
from batch.settings import BatchSettings
from batch.tuning import command, study

N_USERS, N_ITEMS = 160, 40
DAY = 86_400


@pytest.fixture
def ratings(tmp_path, monkeypatch):
    """A ratings.csv of two tastes over 300 days, in a directory of its own."""
    rng = np.random.default_rng(3)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(N_USERS):
        for item in rng.permutation(N_ITEMS // 2)[:12] * 2 + user % 2:
            at = 1_600_000_000 + rng.integers(300 * DAY)
            lines.append(f"{user},{item},{rng.integers(1, 6)},{at}")
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", "1")
    return str(path)


def tune(capsys, events, *arguments):
    """Run it, and return what it prints as JSON and what it says meanwhile."""
    assert main(["tune", "--events", events, "--model", "item_knn", *arguments, "--json"]) == 0
    said = capsys.readouterr()
    return json.loads(said.out), said.err.splitlines()


def written(path="var/tune/best.toml"):
    return tomllib.loads(Path(path).read_text())


def trials_of(lines):
    """Return the trials' scores and parameters, without the time that they took."""
    return [(line.split()[1], line.split()[4], line.partition(" s ")[2]) for line in lines]


def test_the_defaults_are_tried_first_and_nothing_worse_is_written(ratings, capsys):
    """So nobody loses by tuning, on the side that was chosen by."""
    found, lines = tune(capsys, ratings, "--trials", "6")
    assert len(lines) == 6
    assert lines[0].endswith("defaults")
    assert found["validation"] >= found["validation_of_defaults"] > 0
    best = max(float(score) for _, score, _ in trials_of(lines))
    assert found["validation"] == best
    assert written()["parameters"] == found["parameters"]
    assert written()["model"] == "item_knn"
    assert written()["about"]["trials"] == 6


def test_defaults_that_nothing_beats_are_what_is_written(ratings, capsys):
    """One trial is the defaults, and a difference of nothing."""
    found, _ = tune(capsys, ratings, "--trials", "1")
    usual = BatchSettings()
    assert found["parameters"] == {name: getattr(usual, name) for name in found["parameters"]}
    assert (found["test_minus_defaults"], found["test_low"], found["test_high"]) == (0, 0, 0)


def test_an_interrupted_study_goes_on_as_if_nothing_had_been(ratings, capsys, monkeypatch):
    """Ctrl-C in the fourth trial: the same command finishes the study, trial for trial alike."""
    whole, lines = tune(capsys, ratings, "--trials", "6", "--out", "whole")
    assert len({line.partition(" s ")[2] for line in lines}) == 6  # each tries something else
    n_begun = 0
    on_validation = command._on_validation

    def stopped(*arguments):
        nonlocal n_begun
        n_begun += 1
        if n_begun == 4:
            raise KeyboardInterrupt
        return on_validation(*arguments)

    monkeypatch.setattr(command, "_on_validation", stopped)
    arguments = ["tune", "--events", ratings, "--model", "item_knn", "--trials", "6"]
    assert main(arguments) == 1
    before = capsys.readouterr().err.splitlines()
    assert not Path("var/tune/best.toml").exists()
    resumed, after = tune(capsys, ratings, "--trials", "6")
    assert [t[1:] for t in trials_of(before[:3] + after)] == [t[1:] for t in trials_of(lines)]
    assert resumed["study"] == whole["study"]
    assert resumed["parameters"] == whole["parameters"]


def test_a_killed_study_goes_on(ratings, capsys):
    """SIGKILL after two trials: they are there, and the third is tried again."""
    arguments = ["--events", ratings, "--model", "item_knn", "--trials", "400"]
    with subprocess.Popen(
        [sys.executable, "-m", "batch", "tune", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "MARQUEE_BATCH_N_THREADS": "1"},
    ) as process:
        kept = [process.stderr.readline() for _ in range(2)]
        process.kill()
        kept += process.stderr.readlines()
    n_kept = len(kept)
    found, lines = tune(capsys, ratings, "--trials", str(n_kept + 2))
    assert found["trials"] == n_kept + 2
    assert len(lines) <= 2  # one may have been finished and not yet said
    assert not any(line.endswith("defaults") for line in lines)


def test_a_finished_study_tries_nothing_again(ratings, capsys):
    """The same command once more only tells."""
    first, _ = tune(capsys, ratings, "--trials", "3")
    again, lines = tune(capsys, ratings, "--trials", "3")
    assert lines == []
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


@pytest.mark.parametrize(
    "change",
    [["--split", "last-out"], ["--metric", "recall"], ["--k", "7"], ["--sample", "100"],
     ["--seed", "7"], ["data"], ["setting"]],
    ids=lambda change: change[0].strip("-"),
)  # fmt: skip
def test_whatever_changes_the_figures_begins_another_study(ratings, capsys, monkeypatch, change):
    """Old trials are never mixed with those of another input."""
    first, _ = tune(capsys, ratings, "--trials", "1")
    if change == ["data"]:
        path = Path(ratings)
        path.write_text(path.read_text().replace(",5,", ",4,", 1))
    elif change == ["setting"]:
        monkeypatch.setenv("MARQUEE_BATCH_WEIGHT_WATCHED", "2.0")
    arguments = change if change[0].startswith("--") else []
    other, lines = tune(capsys, ratings, "--trials", "1", *arguments)
    assert other["study"] != first["study"]
    assert len(lines) == 1


def test_what_changes_no_figure_leaves_the_study(ratings, capsys, monkeypatch):
    """The same data elsewhere, on more threads."""
    first, _ = tune(capsys, ratings, "--trials", "1")
    elsewhere = Path("elsewhere.csv")
    elsewhere.write_text(Path(ratings).read_text())
    monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", "2")
    again, lines = tune(capsys, str(elsewhere), "--trials", "1")
    assert (again["study"], lines) == (first["study"], [])


def test_what_the_configuration_sets_is_not_touched(ratings, capsys, monkeypatch):
    """It would win over the tuned file, and so was never tried otherwise."""
    Path("marquee.toml").write_text("[batch]\nn_neighbours = 33\n")
    monkeypatch.setenv("MARQUEE_BATCH_HALF_LIFE_DAYS", "50")
    found, lines = tune(capsys, ratings, "--trials", "3")
    assert found["fixed"] == ["half_life_days", "n_neighbours"]
    assert set(found["parameters"]) == {"similarity", "weight_rating"}
    assert not any("n_neighbours" in line for line in lines)


def test_time_ends_a_run_after_a_first_trial(ratings, capsys, monkeypatch):
    """However short it is, there is something to go on from."""
    clock = iter(range(0, 10**6, 100))
    monkeypatch.setattr(study.time, "monotonic", lambda: next(clock))
    found, lines = tune(capsys, ratings, "--trials", "50", "--seconds", "1")
    assert (found["trials"], len(lines)) == (1, 1)


@pytest.mark.parametrize("model", ["auto", "als", "bpr"])
def test_every_model_is_tuned_by_its_own_parameters(ratings, capsys, monkeypatch, model):
    """Those of other models are left alone."""
    monkeypatch.setenv("MARQUEE_BATCH_N_FACTORS", "4")
    monkeypatch.setenv("MARQUEE_BATCH_BPR_ITERATIONS", "5")
    found, _ = tune(capsys, ratings, "--model", model, "--trials", "2", "--split", "last-out")
    mine = {"bpr_learning_rate", "bpr_regularization"}
    als = {"regularization", "alpha", "iterations", "weight_rating", "half_life_days"}
    assert set(found["parameters"]) == (mine if model == "bpr" else als)


def test_a_published_split_is_tuned_inside_of_its_training_side(tmp_path, monkeypatch, capsys):
    """Without ratings and times there is nothing to weigh them by."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    sides = {"train": [], "test": []}
    for user in range(60):
        items = rng.permutation(15)[:10] * 2 + user % 2
        sides["train"].append(f"{user} {' '.join(map(str, items[:7]))}")
        sides["test"].append(f"{user} {' '.join(map(str, items[7:]))}")
    for name, lines in sides.items():
        Path(name).write_text("\n".join(lines))
    found, _ = tune(capsys, "train", "--test", "test", "--split", "pairs", "--trials", "3")
    assert set(found["parameters"]) == {"n_neighbours", "similarity"}
    assert found["n_test_users"] == 60


def test_what_the_test_side_is_sure_to_be_worse_is_not_written(ratings, capsys, monkeypatch):
    """Chosen by luck: here, because it shrinks the most."""
    monkeypatch.setattr(command, "_on_validation", lambda _, settings, *__: settings.regularization)
    arguments = ("--model", "als", "--trials", "20", "--split", "last-out")
    found, _ = tune(capsys, ratings, *arguments)
    assert found["test_high"] < 0
    assert found["written"] is None
    assert not Path("var/tune/best.toml").exists()
    assert main(["tune", "--events", ratings, *arguments]) == 0
    assert "the defaults stand" in capsys.readouterr().out


def test_people_get_a_few_lines(ratings, capsys):
    """And how to make use of it."""
    assert main(["tune", "--events", ratings, "--model", "item_knn", "--trials", "2"]) == 0
    text = capsys.readouterr().out
    assert "item_knn: 2 trials" in text
    assert 'tuned = "var/tune/best.toml"' in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "popularity"], "popularity has no parameter that is left to tune"),
        (["--split", "pairs"], "--test"),
        (["--model", "bpr", "--split", "fold-in"], "bpr"),
        (["--out", "ratings.csv"], "cannot be used"),
    ],
    ids=["popularity", "pairs", "fold-in", "out"],
)
def test_what_cannot_be_done_is_said(ratings, capsys, arguments, message):
    """Exit status 1, the thing and the way out; no trace."""
    assert main(["tune", "--events", ratings, "--trials", "1", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_studies_that_cannot_be_read_are_named(ratings, capsys):
    """With what to do about it."""
    Path("var/tune").mkdir(parents=True)
    Path("var/tune/studies.db").write_text("no database\n" * 100)
    assert main(["tune", "--events", ratings, "--trials", "1"]) == 1
    said = capsys.readouterr().err
    assert "studies.db" in said
    assert "move this file away" in said


def test_without_optuna_it_says_how_to_get_it(ratings, capsys, monkeypatch):
    """Before anything is read."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", "--events", "never-read.csv"]) == 1
    assert "pip install 'optuna" in capsys.readouterr().err


def test_no_other_command_needs_optuna():
    """It is an extra."""
    code = "import sys, batch.__main__; sys.exit('optuna' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("extra", [["--trials", "0"], ["--sample", "x"], ["--metric", "rmse"]])
def test_wrong_usage_ends_with_2(ratings, extra):
    """As every command's."""
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--events", ratings, *extra])
    assert ended.value.code == 2
