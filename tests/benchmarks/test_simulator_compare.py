"""`compare` prints the statistics of a history beside those of real files."""

import itertools
import json

import numpy as np
import pytest

from benchmarks.simulator.__main__ import main
from benchmarks.simulator.history.statistics import SAME_PAIRS


def figures(capsys):
    """Return the printed figures by (peer, metric), and the table."""
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    return {(row["peer"], row["metric"]): row for row in rows}, printed.err


def test_statistics_of_a_file_counted_by_hand(tmp_path, capsys):
    """Views, shares, minutes and stars of seven lines."""
    log = tmp_path / "known.log"
    log.write_text(
        "".join(
            f"2026-01-01T{hour:02d}:00,{user},GET /data/m/heat+1995/{minute}.mpg\n"
            for user, hour, minute in ((1, 4, 0), (1, 4, 1), (1, 5, 2), (2, 6, 9))
        )
        + "2026-01-01T04:01,2,GET /data/m/alien+1979/40.mpg\n"
        + "2026-01-01T04:01,1,GET /rate/heat+1995=4\n2026-01-01T04:01,2,GET /rate/heat+1995=1\n"
    )
    assert main(["compare", str(log), "--users", "300", "--items", "50"]) == 0
    found, table = figures(capsys)
    real = {metric: row["peer_value"] for (_, metric), row in found.items()}
    assert real["users"] == real["items"] == 2
    assert real["views"] == 3
    assert real["users with 1 view"] == real["users with 2 views"] == 0.5
    assert real["views of the top 1 item"] == pytest.approx(2 / 3)
    assert real["minute of a line, mean"] == pytest.approx(52 / 5)
    assert real["rating, mean"] == 2.5
    assert real["ratings of 4"] == 0.5
    assert "known.log" in table
    assert "| users " in table


@pytest.mark.parametrize("n_groups", [1, 2, 4])
def test_items_that_go_together_are_found(tmp_path, capsys, n_groups):
    """40 items in 1, 2 or 4 groups; users of two items have each pair of a group equally often."""
    groups = np.split(np.arange(40), n_groups)
    pairs = [pair for group in groups for pair in itertools.combinations(group, 2)]
    users = [pair for pair in pairs for _ in range(10)]
    views = tmp_path / "views.tsv"
    views.write_text(
        "".join(f"{user}\tfilm{item}\n" for user, pair in enumerate(users) for item in pair)
        + "".join(f"{user}\tfilm{item}\n" for user in (10**6, 10**6 + 1) for item in range(30))
    )
    assert main(["compare", str(views), "--users", "20", "--items", "20"]) == 0
    same = 9 / (10 * len(pairs) - 1)  # probability that another user has the same pair
    assert f"| {same * 40 * 39 / 2:.4f}" in capsys.readouterr().err


def test_an_existing_history_equals_itself(tmp_path, capsys):
    """Every ratio is 1, and all statistics are there, hours of the day too."""
    size = ["--users", "500", "--items", "200", "--days", "3"]
    assert main(["history", *size, "--out", str(tmp_path)]) == 0
    capsys.readouterr()
    events = tmp_path / "events"
    assert main(["compare", str(events), "--history", str(tmp_path)]) == 0
    found, _ = figures(capsys)
    assert {row["ratio"] for row in found.values() if row["peer_value"]} == {1.0}
    assert sum("o'clock" in metric for _, metric in found) == 6


def test_a_missing_file_is_one_clear_error(tmp_path, capsys):
    """Exit 1, no traceback."""
    assert main(["compare", str(tmp_path / "no"), "--users", "20", "--items", "20"]) == 1
    assert str(tmp_path / "no") in capsys.readouterr().err


def test_the_defaults_look_like_the_real_service(shared_data, capsys):
    """Items by rank, views per user, minutes, stars and hours within a quarter of the real ones."""
    stream = shared_data / "stream"
    real = {
        "views-290k-users.tsv.gz": [
            *("views per user", "users with 1 view", "users with 2 views", "users with 3 views"),
            *("views of the top 1 item", "views of the top 10 items"),
            *("views of the top 100 items", "views of the top 1,000 items", SAME_PAIRS),
        ],
        "kafka-2022-11-noisy-50k.log": [
            *("minute of a line, mean", "minute of a line, 25% below"),
            *("minute of a line, 50% below", "minute of a line, 75% below", "rating, mean"),
            *("minute of a line, 95% below", "ratings of 3", "ratings of 4", "ratings of 5"),
        ],
        "ratings.csv": [f"from {h:02d} to {h + 4:02d} o'clock" for h in range(0, 24, 4)],
    }
    paths = [
        *(stream / name for name in list(real)[:2]),
        shared_data / "ml-latest-small/ratings.csv",
    ]
    size = ["--users", "20000", "--items", "25000"]
    assert main(["compare", *map(str, paths), *size]) == 0
    found, _ = figures(capsys)
    ratios = {(peer, name): found[peer, name]["ratio"] for peer in real for name in real[peer]}
    assert {name: ratio for name, ratio in ratios.items() if not 0.75 < ratio < 1.25} == {}
