"""The command `python -m batch tune`: trials, studies, the tuned file and the output."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from batch.__main__ import main
from batch.settings import BatchSettings
from batch.tuning import command

N_USERS, N_ITEMS = 160, 40
DAY = 86_400


@pytest.fixture
def ratings(tmp_path, monkeypatch):
    """Write a ratings.csv of two groups of users over 300 days, in a new directory."""
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
    """Run the command, and return its JSON and the lines of its trials."""
    assert main(["tune", "--events", events, "--model", "item_knn", *arguments, "--json"]) == 0
    output = capsys.readouterr()
    return json.loads(output.out), of_trials(output.err.splitlines())


def of_trials(lines):
    """Return the lines of trials; what the files were read as stands before them."""
    return [line for line in lines if line.startswith("trial ")]


def written(path="var/tune/best.toml"):
    return tomllib.loads(Path(path).read_text())


def trials_of(lines):
    """Return number, score and parameters of each trial, without its duration."""
    return [(line.split()[1], line.split()[4], line.partition(" s ")[2]) for line in lines]


def test_best_is_not_worse_than_the_defaults_on_the_validation_set(ratings, capsys):
    """The first trial uses the defaults."""
    found, lines = tune(capsys, ratings, "--trials", "6")
    assert len(lines) == 6
    assert lines[0].endswith("defaults")
    assert found["validation"] >= found["validation_of_defaults"] > 0
    best = max(float(score) for _, score, _ in trials_of(lines))
    assert found["validation"] == best
    assert written()["parameters"] == found["parameters"]
    assert written()["model"] == "item_knn"
    assert written()["about"]["trials"] == 6


def test_one_trial_writes_the_defaults(ratings, capsys):
    """The difference on the test set is 0."""
    found, _ = tune(capsys, ratings, "--trials", "1")
    defaults = BatchSettings()
    assert found["parameters"] == {name: getattr(defaults, name) for name in found["parameters"]}
    assert (found["test_minus_defaults"], found["test_low"], found["test_high"]) == (0, 0, 0)


def test_interrupted_study_continues_with_the_same_trials(ratings, capsys, monkeypatch):
    """After Ctrl-C in the fourth trial the same command finishes the study."""
    whole, lines = tune(capsys, ratings, "--trials", "6", "--out", "whole")
    assert len({line.partition(" s ")[2] for line in lines}) == 6  # all different
    n_started = 0
    on_validation = command._on_validation

    def interrupted(*arguments):
        nonlocal n_started
        n_started += 1
        if n_started == 4:
            raise KeyboardInterrupt
        return on_validation(*arguments)

    monkeypatch.setattr(command, "_on_validation", interrupted)
    arguments = ["tune", "--events", ratings, "--model", "item_knn", "--trials", "6"]
    assert main(arguments) == 1
    before = of_trials(capsys.readouterr().err.splitlines())
    assert not Path("var/tune/best.toml").exists()
    resumed, after = tune(capsys, ratings, "--trials", "6")
    assert [t[1:] for t in trials_of(before[:3] + after)] == [t[1:] for t in trials_of(lines)]
    assert resumed["study"] == whole["study"]
    assert resumed["parameters"] == whole["parameters"]


def test_killed_study_continues(ratings, capsys):
    """After SIGKILL the finished trials are stored, and the running one is repeated."""
    arguments = ["--events", ratings, "--model", "item_knn", "--trials", "400"]
    with subprocess.Popen(
        [sys.executable, "-m", "batch", "tune", *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "MARQUEE_BATCH_N_THREADS": "1"},
    ) as process:
        assert process.stderr is not None
        n_finished = 0
        for line in process.stderr:
            n_finished += line.startswith("trial ")
            if n_finished == 2:
                process.kill()
    found, lines = tune(capsys, ratings, "--trials", str(n_finished + 2))
    assert found["trials"] == n_finished + 2
    assert len(lines) <= 2  # one may have finished without its line
    assert not any(line.endswith("defaults") for line in lines)


def test_finished_study_runs_no_further_trial(ratings, capsys):
    """The same command prints the same result."""
    first, _ = tune(capsys, ratings, "--trials", "3")
    again, lines = tune(capsys, ratings, "--trials", "3")
    assert lines == []
    assert {**again, "seconds": 0} == {**first, "seconds": 0}


@pytest.mark.parametrize(
    "change",
    [["--split", "leave-last-out"], ["--metric", "recall"], ["--k", "7"], ["--sample", "100"],
     ["--seed", "7"], ["data"], ["setting"]],
    ids=lambda change: change[0].strip("-"),
)  # fmt: skip
def test_change_of_input_or_options_begins_another_study(ratings, capsys, monkeypatch, change):
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


def test_path_and_threads_do_not_change_the_study(ratings, capsys, monkeypatch):
    first, _ = tune(capsys, ratings, "--trials", "1")
    elsewhere = Path("elsewhere.csv")
    elsewhere.write_text(Path(ratings).read_text())
    monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", "2")
    again, lines = tune(capsys, str(elsewhere), "--trials", "1")
    assert (again["study"], lines) == (first["study"], [])


def test_configured_parameters_are_not_tuned(ratings, capsys, monkeypatch):
    """The configuration overrides the tuned file."""
    Path("marquee.toml").write_text("[batch]\nn_neighbours = 33\n")
    monkeypatch.setenv("MARQUEE_BATCH_HALF_LIFE_DAYS", "50")
    found, lines = tune(capsys, ratings, "--trials", "3")
    assert found["fixed"] == ["half_life_days", "n_neighbours"]
    assert set(found["parameters"]) == {"similarity", "weight_rating"}
    assert not any("n_neighbours" in line for line in lines)


def test_time_limit_ends_a_run_after_its_first_trial(ratings, capsys, monkeypatch):
    clock = iter(range(0, 10**6, 100))
    monkeypatch.setattr("batch.tuning.study.time.monotonic", lambda: next(clock))
    found, lines = tune(capsys, ratings, "--trials", "50", "--seconds", "1")
    assert (found["trials"], len(lines)) == (1, 1)


@pytest.mark.parametrize("model", ["als", "bpr"])
def test_only_parameters_of_the_model_are_tuned(ratings, capsys, monkeypatch, model):
    monkeypatch.setenv("MARQUEE_BATCH_N_FACTORS", "4")
    monkeypatch.setenv("MARQUEE_BATCH_BPR_ITERATIONS", "5")
    found, _ = tune(capsys, ratings, "--model", model, "--trials", "2", "--split", "leave-last-out")
    bpr = {"bpr_learning_rate", "bpr_regularization"}
    als = {"regularization", "alpha", "iterations", "weight_rating", "half_life_days"}
    assert set(found["parameters"]) == (bpr if model == "bpr" else als)


def test_published_split_is_tuned_within_its_training_side(tmp_path, monkeypatch, capsys):
    """Without ratings and times the weights are not tuned."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    sides: dict[str, list[str]] = {"train": [], "test": []}
    for user in range(60):
        items = rng.permutation(15)[:10] * 2 + user % 2
        sides["train"].append(f"{user} {' '.join(map(str, items[:7]))}")
        sides["test"].append(f"{user} {' '.join(map(str, items[7:]))}")
    for name, lines in sides.items():
        Path(name).write_text("\n".join(lines))
    found, _ = tune(capsys, "train", "--test", "test", "--split", "pairs", "--trials", "3")
    assert set(found["parameters"]) == {"n_neighbours", "similarity"}
    assert found["n_test_users"] == 60


def test_significantly_worse_parameters_are_not_written(ratings, capsys, monkeypatch):
    """Here the score is replaced by the regularization."""
    monkeypatch.setattr(command, "_on_validation", lambda _, settings, *__: settings.regularization)
    arguments = ("--model", "als", "--trials", "20", "--split", "leave-last-out")
    found, _ = tune(capsys, ratings, *arguments)
    assert found["test_high"] < 0
    assert found["written"] is None
    assert not Path("var/tune/best.toml").exists()
    assert main(["tune", "--events", ratings, *arguments]) == 0
    assert "the defaults stay in use" in capsys.readouterr().out


def test_output_without_json_is_text(ratings, capsys):
    """It names the setting that uses the result."""
    assert main(["tune", "--events", ratings, "--model", "item_knn", "--trials", "2"]) == 0
    text = capsys.readouterr().out
    assert "item_knn: 2 trials" in text
    assert 'tuned = "var/tune/best.toml"' in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "popularity"], "no tunable parameter of popularity is left"),
        (["--split", "pairs"], "--test"),
        (["--model", "bpr", "--split", "fold-in"], "bpr"),
        (["--out", "ratings.csv"], "cannot be used"),
    ],
    ids=["popularity", "pairs", "fold-in", "out"],
)
def test_invalid_input_is_reported(ratings, capsys, arguments, message):
    """Exit status 1 and one message; no traceback."""
    assert main(["tune", "--events", ratings, "--trials", "1", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_unreadable_studies_file_is_reported(ratings, capsys):
    """The error names the file and the remedy."""
    Path("var/tune").mkdir(parents=True)
    Path("var/tune/studies.db").write_text("no database\n" * 100)
    assert main(["tune", "--events", ratings, "--trials", "1"]) == 1
    error = capsys.readouterr().err
    assert "studies.db" in error
    assert "move this file away" in error


def test_missing_optuna_is_reported_with_its_installation(ratings, capsys, monkeypatch):
    """Before any input is read."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(["tune", "--events", "never-read.csv"]) == 1
    assert "pip install 'optuna" in capsys.readouterr().err


def test_other_commands_do_not_import_optuna():
    """It is an optional dependency."""
    code = "import sys, batch.__main__; sys.exit('optuna' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("extra", [["--trials", "0"], ["--sample", "x"], ["--metric", "rmse"]])
def test_wrong_usage_exits_with_2(ratings, extra):
    with pytest.raises(SystemExit) as ended:
        main(["tune", "--events", ratings, *extra])
    assert ended.value.code == 2
