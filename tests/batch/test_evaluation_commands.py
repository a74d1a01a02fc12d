"""The commands `python -m batch evaluate` and `compare`."""

import json

import numpy as np
import pytest

from batch.__main__ import main
from batch.evaluation.data import read_split
from batch.settings import MODELS, BatchSettings

N_USERS, N_ITEMS = 240, 40


@pytest.fixture
def ratings(tmp_path, monkeypatch):
    """Write a ratings.csv of two groups of users with their own items, in a new directory."""
    rng = np.random.default_rng(3)
    lines = ["userId,movieId,rating,timestamp"]
    for user in range(N_USERS):
        items = rng.permutation(N_ITEMS // 2)[:12] * 2 + user % 2
        lines += [
            f"{user},{item},{rng.integers(3, 6)},{1_600_000_000 + rng.integers(10**6)}"
            for item in items
        ]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_BATCH_N_FACTORS", "8")
    monkeypatch.setenv("MARQUEE_BATCH_N_THREADS", "1")
    return path


@pytest.fixture
def profiles(tmp_path):
    """Write profiles of half of the users, of two genders and ages."""
    lines = [f"{user},{20 + 20 * (user % 4 > 1)},{'FM'[user % 2]}" for user in range(N_USERS // 2)]
    path = tmp_path / "users.csv"
    path.write_text("user_id,age,gender\n" + "\n".join(lines) + "\n")
    return path


def as_json(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("split", ["time", "leave-last-out", "fold-in"])
def test_als_is_significantly_better_than_popularity(ratings, capsys, split):
    """On every split."""
    found = as_json(
        capsys, "compare", "--events", str(ratings), "--split", split, "--k", "8",
        "--models", "popularity", "als",
    )  # fmt: skip
    popularity, als = found["models"]
    assert (found["split"], found["k"]) == (split, 8)
    assert als["metrics"]["recall"]["mean"] > 1.3 * popularity["metrics"]["recall"]["mean"]
    assert als["minus_first"]["ndcg"]["low"] > 0
    difference = als["metrics"]["ndcg"]["mean"] - popularity["metrics"]["ndcg"]["mean"]
    assert als["minus_first"]["ndcg"]["mean"] == pytest.approx(difference)


def test_interval_of_a_paired_difference_is_narrower(ratings, capsys):
    """Than the mean width of the two models' intervals."""
    events = ("--events", str(ratings), "--split", "leave-last-out")
    found = as_json(capsys, "compare", *events, "--models", "rp3beta", "item_knn")
    first, other = found["models"]

    def width(row):
        return row["ndcg"]["high"] - row["ndcg"]["low"]

    widths = width(first["metrics"]), width(other["metrics"])
    assert width(other["minus_first"]) < 0.9 * sum(widths) / 2


def test_compare_reports_time_and_size_of_each_model(ratings, capsys):
    found = as_json(capsys, "compare", "--events", str(ratings), "--k", "5")
    assert [row["model"] for row in found["models"]] == list(MODELS)
    for row in found["models"]:
        assert row["train_seconds"] > 0
        assert row["inference_seconds"] > 0
        assert row["disk_bytes"] >= row["memory_bytes"] > 0
    als = next(row for row in found["models"] if row["model"] == "als")
    assert als["memory_bytes"] == (N_USERS + N_ITEMS) * 8 * 4


def test_evaluate_reports_every_subgroup(ratings, profiles, capsys):
    """Ages, genders and activity of the evaluated users, each with intervals."""
    found = as_json(
        capsys, "evaluate", "--events", str(ratings), "--profiles", str(profiles),
        "--split", "leave-last-out", "--model", "als",
    )  # fmt: skip
    sizes = {name: row["n_users"] for name, row in found["groups"].items()}
    assert sizes == {
        "all": N_USERS, "age 18-24": 60, "age 35-44": 60, "gender F": 60, "gender M": 60,
        "activity 5–19": N_USERS,
    }  # fmt: skip
    for row in found["groups"].values():
        assert row["ndcg"]["low"] <= row["ndcg"]["mean"] <= row["ndcg"]["high"]
    assert set(found["of_lists"]) == {
        "coverage", "novelty", "popularity_correlation", "personalization",
    }  # fmt: skip


def test_output_without_json_is_markdown_tables(ratings, profiles, capsys):
    assert main(["evaluate", "--events", str(ratings), "--profiles", str(profiles)]) == 0
    text = capsys.readouterr().out
    assert "| auto @20 " in text
    assert "| gender F " in text
    assert main(["compare", "--events", str(ratings), "--models", "als", "bpr"]) == 0
    text = capsys.readouterr().out
    assert "| model " in text
    assert "minus als" in text


def test_published_split_is_evaluated(tmp_path, monkeypatch, capsys):
    """--test names the file of its test side."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    sides: dict[str, list[str]] = {"train": [], "test": []}
    for user in range(60):
        items = rng.permutation(15)[:10] * 2 + user % 2
        sides["train"].append(f"{user} {' '.join(map(str, items[:7]))}")
        sides["test"].append(f"{user} {' '.join(map(str, items[7:]))}")
    for name, lines in sides.items():
        (tmp_path / name).write_text("\n".join(lines))
    found = as_json(
        capsys, "evaluate", "--events", "train", "--test", "test", "--split", "pairs",
        "--model", "item_knn",
    )  # fmt: skip
    assert (found["n_train"], found["n_test"], found["n_users"]) == (420, 180, 60)
    assert found["groups"]["all"]["recall"]["mean"] > 0.9


def test_published_split_has_lightgcn_s_metrics(tmp_path, monkeypatch, capsys):
    """Recall@20 divides by all test items, NDCG@20 has the ideal of min(20, test items).

    User u of 30 has the items 0 to 29 - u, so that each list has the next items in order.
    """
    monkeypatch.chdir(tmp_path)
    test_items = {29: range(1, 30), 28: [2, 4, 29], 5: [26]}
    train = [f"{user} {' '.join(map(str, range(30 - user)))}" for user in range(30)]
    (tmp_path / "train.txt").write_text("\n".join(train))
    test = [f"{user} {' '.join(map(str, items))}" for user, items in test_items.items()]
    (tmp_path / "test.txt").write_text("\n".join([*test, "4"]))  # user 4 has no test item
    found = as_json(
        capsys, "evaluate", "--events", "train.txt", "--test", "test.txt", "--split", "pairs",
        "--model", "popularity",
    )  # fmt: skip
    assert (found["n_users"], found["n_left_out"]) == (3, 0)
    every = found["groups"]["all"]
    second = 1 / np.log2(3)
    assert every["recall"]["mean"] == pytest.approx((20 / 29 + 2 / 3 + 1) / 3)
    assert every["ndcg"]["mean"] == pytest.approx((1 + 1.5 / (1.5 + second) + second) / 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--split", "time"], "events: none given"),
        (["evaluate", "--events", "ratings.csv", "--split", "pairs"], "--test"),
        (["compare", "--events", "ratings.csv", "--test", "ratings.csv"], "--test"),
        (["compare", "--events", "ratings.csv", "--split", "fold-in", "--models", "bpr"], "bpr"),
        (["evaluate", "--events", "none.csv"], "no such file"),
    ],
)
def test_invalid_input_is_reported(ratings, capsys, arguments, message):
    """Exit status 1 and one message that begins with the command; no traceback."""
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert f"{arguments[0]} failed: " in error
    assert message in error


@pytest.mark.parametrize("extra", [["--k", "0"], ["--model", "best"], ["--split", "never"]])
def test_wrong_usage_exits_with_2(ratings, extra):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--events", str(ratings), *extra])
    assert ended.value.code == 2


@pytest.mark.parametrize("verb", ["evaluate", "compare", "tune"])
def test_renamed_split_is_refused_with_its_new_name(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--events", "ratings.csv", "--split", "last-out"])
    assert ended.value.code == 2
    assert "last-out: renamed; use leave-last-out" in capsys.readouterr().err


def test_interaction_has_the_time_of_its_first_event(tmp_path):
    """In a log: the first minute viewed, or an earlier rating."""
    log = tmp_path / "events.log"
    lines = [
        "2022-11-14T12:00:00,1,GET /data/m/alien+1979/1.mpg",
        "2022-11-14T12:30:00,1,GET /data/m/alien+1979/31.mpg",
        "2022-11-14T13:00:00,1,GET /rate/alien+1979=5",
        "2022-11-14T09:00:00,2,GET /rate/alien+1979=4",
        "2022-11-14T10:00:00,2,GET /data/m/alien+1979/1.mpg",
        "2022-11-14T15:00:00,1,GET /data/m/heat+1995/1.mpg",
        "2022-11-14T16:00:00,2,GET /data/m/heat+1995/1.mpg",
    ]
    log.write_text("\n".join(lines) + "\n")
    settings = BatchSettings(events=(str(log),), quarantine=str(tmp_path / "q"))
    _, data = read_split("leave-last-out", settings, None)
    assert data.at is not None
    hours = [at % 86_400 / 3600 for at in data.at.tolist()]
    assert data.user_ids == ["1", "2"]
    assert hours == [12, 15, 9, 16]
