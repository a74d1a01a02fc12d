"""The watch: divergences, volumes and concentration by hand, and a planted change end to end."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.events.ingest import ingest
from batch.settings import BatchSettings
from stream.__main__ import main
from stream.online.served_lists import ServedLists, generations_of_arms
from stream.user_hashes import N_GROUPS, user_hashes
from stream.watch.calibration import PairSample, calibration, genre_shares
from stream.watch.divergence import drift, jensen_shannon, psi
from stream.watch.figures import Figure
from stream.watch.history import keep_figures, kept_figures
from stream.watch.metrics import WatchMetrics
from stream.watch.shown import ItemCounts, concentration, gini
from stream.watch.volume import unusual_hour
from tests.snapshots import make_snapshot
from tests.stream.online_events import answer, seconds, table

DAY_HOURS = 24


def test_psi_and_jensen_shannon_are_those_of_the_formulas():
    """Shares .5/.5 against .25/.75, with so many events that the pseudo-counts vanish."""
    one, other = np.array([5e8, 5e8]), np.array([2.5e8, 7.5e8])
    assert psi(one, other) == pytest.approx(0.25 * np.log(2) - 0.25 * np.log(2 / 3))
    middle = np.array([0.375, 0.625])
    bits = 0.5 * (0.5 * np.log2(0.5 / middle)).sum() + 0.5 * (
        np.array([0.25, 0.75]) @ np.log2(np.array([0.25, 0.75]) / middle)
    )
    assert jensen_shannon(one, other) == pytest.approx(bits)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=9))
def test_a_distribution_does_not_differ_from_itself(counts):
    """Both divergences are 0 for equal counts, and disjoint ones are one bit apart."""
    same = np.array(counts)
    assert psi(same, same) == 0
    assert jensen_shannon(same, same) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(np.array([10**9, 0]), np.array([0, 10**9])) == pytest.approx(1, abs=1e-6)


def _days(rng, last_shares, n_days=15, n_events=400):
    """Return counts of days in which each user has one bin for all events of a day."""
    usual = np.array([0.5, 0.3, 0.2])
    counts = np.zeros((n_days, N_GROUPS, 3), np.int64)
    for day in range(n_days):
        shares = last_shares if day == n_days - 1 else usual
        np.add.at(counts[day], (rng.integers(0, N_GROUPS, n_events),
                                rng.choice(3, n_events, p=shares)), 5)  # fmt: skip
    return counts


def test_a_drift_is_told_from_chance():
    """Without a change hardly an interval lies above the usual; with one all do."""
    rng = np.random.default_rng(1)
    same = [drift(_days(rng, [0.5, 0.3, 0.2])) for _ in range(20)]
    other = [drift(_days(rng, [0.2, 0.3, 0.5])) for _ in range(20)]
    assert sum(bool(found and found.psi_low > found.usual_psi) for found in same) <= 1
    assert all(found and found.psi_low > max(found.usual_psi, 0.1) for found in other)
    assert drift(np.zeros((3, N_GROUPS, 2), np.int64)) is None


def test_the_unusual_hour_is_found_among_the_same_hours_of_the_week():
    """Sundays are busy each week: that is usual; one silent hour is not."""
    rng = np.random.default_rng(2)
    week = np.tile(np.arange(DAY_HOURS) * 20 + 100, 7)
    week[-DAY_HOURS:] *= 3
    hours = rng.poisson(np.tile(week, 5))
    usual = unusual_hour(hours)
    assert usual
    assert abs(usual.z) < 5
    hours[-4] = 0
    found = unusual_hour(hours)
    assert found
    assert (found.hour, found.n_events) == (20, 0)
    assert found.z < -6


def test_without_three_earlier_days_no_hour_is_unusual():
    """The days before the first event do not count as days without events."""
    hours = np.zeros(29 * DAY_HOURS, np.int64)
    hours[-3 * DAY_HOURS :] = 50
    assert unusual_hour(hours) is None
    hours[-4 * DAY_HOURS :] = 50
    found = unusual_hour(hours)
    assert found
    assert found.z == 0


def test_concentration_by_hand():
    """One item of four, all of them, and a list of the second most watched one."""
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(3 / 4)
    assert gini(np.array([2, 2, 2, 2])) == pytest.approx(0)
    watched = np.array([1, 40, 30, 9])
    found = concentration(np.array([0, 0, 6, 2]), watched)
    assert found
    assert found.coverage == 0.5
    assert found.mean_rank == pytest.approx((2 * 6 + 3 * 2) / 8)
    assert found.top_share == 0  # the most watched tenth is one item
    assert found.correlation == pytest.approx(np.corrcoef([0, 0, 6, 2], watched)[0, 1])
    assert concentration(np.zeros(4, np.int64), watched) is None


def test_calibration_by_hand():
    """Half comedies watched, only dramas shown: C_KL of Steck with alpha .01."""
    genres = genre_shares([("Comedy",), ("Drama",), ("Comedy", "Drama"), ()])
    sample = PairSample()
    ids = pa.chunked_array([pa.array(["u1"] * 6 + ["u2"] * 6).dictionary_encode()])
    users = user_hashes(ids)
    sample.add("watched", users, np.array([0, 1, 2, 2, 2, 2] * 2))
    sample.add("shown 7", users[[0, 6]], np.array([1, 2]))
    p, q_drama = np.array([0.5, 0.5]), np.array([0.005, 0.995])
    one = float((p * np.log(p / q_drama)).sum())
    found = calibration(sample, "shown 7", genres)
    assert found
    assert found.value == pytest.approx((one + 0) / 2, abs=1e-6)
    assert calibration(sample, "shown 8", genres) is None


def test_shown_items_belong_to_the_generation_of_the_users_arm(tmp_path):
    """Two arms answer at the same time; a failed request counts nothing."""
    store = tmp_path / "store"
    make_snapshot(store, {"u1": ["a", "b"], "u2": ["b", "a"]}, ["c", "d"])
    make_snapshot(store, {"u1": ["c", "a"], "u2": ["d", "a"]}, ["c", "d"], arm="b", flip=False)
    at = seconds("2100-01-01T12:00")
    given = [("u1", "a,b"), ("u2", "d,a"), ("u2", "d,a"), ("u1", None), ("u9", "c,d")]
    answers = table("answers", [answer(user, at, items) for user, items in given])
    with ServedLists(store, 0, generations_of_arms(store)) as served:
        counts = ItemCounts(["a", "b", "c", "d"], served)
        counts.add_answers(answers)
    found = {generation: shown.tolist() for generation, shown in counts.shown.items()}
    assert found == {1: [1, 1, 1, 1], 2: [2, 0, 0, 2]}
    with ServedLists(store) as served:  # the twin: without arms all is of the current generation
        counts = ItemCounts(["a", "b", "c", "d"], served)
        counts.add_answers(answers)
    assert {1} == counts.shown.keys()


def test_a_sample_of_pairs_keeps_whole_users():
    """Above the limit only users of some random groups stay, each with all pairs."""
    sample = PairSample(max_pairs=3_000)
    rng = np.random.default_rng(3)
    hashes = np.repeat(rng.integers(0, 2**63, 1000).astype(np.uint64), 10)
    for part in np.split(hashes, 10):
        sample.add("watched", part, np.zeros(len(part), np.int64))
    users, _ = sample.pairs("watched")
    assert 500 < len(users) <= 3_000
    assert set(np.unique(users, return_counts=True)[1]) == {10}


def test_torn_looks_are_left_out_and_old_months_removed(tmp_path):
    """What a crash left of a line is skipped; months beyond keep_days go."""
    figures = [Figure("drift", "views: hour", 0.25, 0.2, 0.3, 0.2, is_alarm=False, note="é")]
    january, march = 1_767_225_600, 1_772_323_200
    keep_figures(tmp_path, january, figures, keep_days=0)
    keep_figures(tmp_path, march, figures, keep_days=0)
    with (tmp_path / "2026-03.jsonl").open("a") as file:
        file.write('{"at": "2026-03-01T0')
    looks = list(kept_figures(tmp_path))
    assert [look["at"][:7] for look in looks] == ["2026-01", "2026-03"]
    assert looks[0]["figures"] == [figures[0].as_json()]
    keep_figures(tmp_path, march, figures, keep_days=20)
    assert not (tmp_path / "2026-01.jsonl").exists()


def test_the_history_of_a_figure_is_printed(tmp_path, capsys):
    """Of two looks of one time the last counts; an unknown name is an error."""
    config = tmp_path / "marquee.toml"
    config.write_text(f'[watch]\nfolder = "{tmp_path}/kept"\n')
    verb = ["watch", "--config", str(config), "--history"]
    assert main(verb) == 1
    assert "has no looks; run `python -m stream watch`" in capsys.readouterr().err
    for hour, value in ((2, 0.5), (0, 0.1), (1, 9.0), (1, 0.25)):
        figures = [Figure("gini", "views", value, is_alarm=value > 0.4), Figure("volume", "", 2.0)]
        keep_figures(tmp_path / "kept", 1_767_225_600 + 3600 * hour, figures, keep_days=0)
    assert main([*verb, "gini"]) == 0
    text = "gini  views  ▁▄█  0.5  0.1 to 0.5  1 alarm in 3 looks\n"
    assert capsys.readouterr().out == text
    assert main([*verb, "--json"]) == 0
    gini_views, volume = map(json.loads, capsys.readouterr().out.splitlines())
    assert [look["value"] for look in gini_views["looks"]] == [0.1, 0.25, 0.5]
    assert (volume["name"], len(volume["looks"])) == ("volume", 3)
    assert main([*verb, "giny"]) == 1
    assert "has no looks with a figure giny" in capsys.readouterr().err


def test_every_figure_is_a_gauge_with_its_interval():
    """A figure that is gone is no gauge any more."""
    metrics = WatchMetrics()
    metrics.show(7, [Figure("unknown", "items", 0.25, 0.2, 0.3, is_alarm=True)])
    labels = {"name": "unknown", "of": "items"}
    sample = metrics.registry.get_sample_value
    assert sample("marquee_watch_value", labels) == 0.25
    assert sample("marquee_watch_alarm", labels) == 1
    assert sample("marquee_watch_interval", {**labels, "end": "low"}) == 0.2
    metrics.show(8, [Figure("volume", "views", 3.0)])
    assert sample("marquee_watch_interval", {**labels, "end": "low"}) is None
    assert sample("marquee_watch_value", {"name": "volume", "of": "views"}) == 3


def _log(tmp_path, *, is_changed):
    """Write 12 days of events; on the last one a new item is half of all views, or it is not."""
    rng = np.random.default_rng(5)
    lines = []
    for day in range(1, 13):
        for hour in range(DAY_HOURS):
            for view in range(30):
                item = f"film+{rng.integers(40)}"
                if is_changed and day == 12 and view % 2:
                    item = "planted+2026"
                time = f"2026-03-{day:02}T{hour:02}:{rng.integers(60):02}:{rng.integers(1, 60):02}"
                lines.append(f"{time},{rng.integers(1, 400)},GET /data/m/{item}/{view}.mpg")
    lines.append("2106-02-07T06:28:15,1,GET /data/m/film+1/1.mpg")  # a broken time
    (tmp_path / "events.log").write_text("\n".join(lines) + "\n")
    settings = BatchSettings(
        events=(str(tmp_path / "events.log"),), quarantine=str(tmp_path / "quarantine")
    )
    ingest(settings, tmp_path / "events")


@pytest.mark.parametrize("is_changed", [True, False])
def test_a_planted_item_is_an_alarm_and_usual_days_are_none(tmp_path, capsys, is_changed):
    """The command ends with 1 and names item and drift; on usual days it ends with 0."""
    _log(tmp_path, is_changed=is_changed)
    config = tmp_path / "marquee.toml"
    config.write_text(
        f'[batch]\nquarantine = "{tmp_path}/quarantine"\n[watch]\nfolder = "{tmp_path}/kept"\n'
        "max_unknown_share = 1.0\n"
    )
    status = main(
        ["watch", "--config", str(config), "--store", str(tmp_path / "store"),
         "--events", str(tmp_path / "events"), "--json"]
    )  # fmt: skip
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    alarms = {(figure["name"], figure["of"]) for figure in figures if figure["is_alarm"]}
    assert status == int(is_changed)
    assert ("drift", "views: item") in alarms or not is_changed
    (look,) = kept_figures(tmp_path / "kept")
    assert look["at"] == "2026-03-12T23:00:00"  # the last hour is not over
    assert look["figures"] == figures


def test_without_events_the_error_says_what_to_do(tmp_path, capsys):
    """Nothing to look at is not "no alarm"."""
    assert main(["watch", "--events", str(tmp_path), "--store", str(tmp_path)]) == 1
    assert "has no events; start `python -m stream collect`" in capsys.readouterr().err
