"""The report's numbers equal ones calculated by hand."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks.simulator.live.report.figures import make_report
from benchmarks.simulator.live.report.metrics import METRICS, metric_intervals, user_sums
from benchmarks.simulator.live.report.records import RECORD, RequestRecords
from benchmarks.simulator.live.report.text import as_text
from benchmarks.simulator.live.requests.grading import NOT_REFUSED
from benchmarks.simulator.live.requests.messages import TIMED_OUT, Address
from benchmarks.simulator.live.requests.traffic import TrafficMix
from benchmarks.simulator.live.run import Cost, RunOptions, RunResult
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.world import make_world

CLICK_THROUGH = next(metric for metric in METRICS if metric.name == "click_through")
SERVERS = [Address("a.example", 8080), Address("b.example", 8080)]


@pytest.fixture(scope="module")
def world():
    """Four users: a woman of 20, men of 30, 30 and 60."""
    world = make_world(4, 40, 1)
    users = dataclasses.replace(
        world.users, ages=np.array([20, 30, 30, 60], np.int32), is_male=np.array([0, 1, 1, 1], bool)
    )
    return dataclasses.replace(world, users=users)


def run_result(world, requests, servers=SERVERS[:1]):
    """Return the result of a run; requests are dicts of a record's fields."""
    recorded, records = RequestRecords(), np.zeros(len(requests), RECORD)
    for name in ("best", "popular", "ndcg"):
        records[name] = np.nan
    for record, request in zip(records, requests, strict=True):
        for name, value in request.items():
            names = {"failure": recorded.failures, "source": recorded.sources}.get(name)
            record[name] = names.code(value) if names else value
    recorded.add(records)
    options = RunOptions(servers, 10, TrafficMix(1), 0, 600, LOG_FORMATS["2022"])
    return RunResult(
        options, world, recorded, {TIMED_OUT: "user 9: too late"}, Cost(1, 1, 10), 7, 0
    )


REQUESTS = [
    {"user_row": 0, "milliseconds": 1, "source": "list", "rank": 1, "minutes": 100, "stars": 8,
     "cost": 0.1, "expected": 0.5, "best": 0.8, "popular": 0.2, "ndcg": 0.9},
    {"user_row": 0, "milliseconds": 3, "source": "list", "expected": 0.3},
    {"user_row": 1, "milliseconds": 5, "source": "popular", "rank": 4, "minutes": 20, "cost": 0.3,
     "expected": 0.2, "best": 0.6, "popular": 0.2, "ndcg": 0.5},
    {"user_row": 1, "milliseconds": 601, "late_ms": 300, "failure": TIMED_OUT, "own": True},
    {"user_row": -1, "milliseconds": 2},
    {"user_row": -1, "milliseconds": 2, "failure": NOT_REFUSED},
]  # fmt: skip


def figures(report, server="a.example:8080", group="all"):
    return {
        one.metric: one.interval
        for one in report.figures
        if (one.server, one.group) == (server, group)
    }


def test_every_metric_calculated_by_hand(world):
    """Four well-formed requests of two users, two clicks, one rating, two lists measured."""
    by_hand = {
        "click_through": 2 / 4,
        "mrr": (1 + 1 / 4) / 4,
        "minutes": 120 / 4,
        "cost": 0.4 / 2,
        "rating": 4.0,
        "own_views": 1 / 4,
        "expected_clicks": 1.0 / 4,
        "of_popular": 0.4 / 2,
        "of_shown": 0.7 / 2,
        "of_best": 1.4 / 2,
        "uplift": 0.3 / 1.0,
        "ndcg": 1.4 / 2,
    }
    found = figures(make_report(run_result(world, REQUESTS)))
    assert found.keys() == by_hand.keys()
    for name, value in by_hand.items():
        assert found[name].mean == pytest.approx(value, rel=1e-6), name
        assert found[name].low <= found[name].mean <= found[name].high, name


def test_groups_contain_only_their_own_users(world):
    """By gender and by band of ages."""
    report = make_report(run_result(world, REQUESTS))
    for group, clicks, n_users in (
        ("F", 0.5, 1),
        ("18-24", 0.5, 1),
        ("M", 0.5, 1),
        ("56-90", 0, 0),
    ):
        assert figures(report, group=group)["click_through"].mean == clicks
        assert {one.n_users for one in report.figures if one.group == group} == {n_users}
    assert figures(report, group="F")["minutes"].mean == 50
    assert figures(report, group="25-34")["minutes"].mean == 10


def test_figures_of_a_server(world):
    """A time-out and a malformed id that was not refused are failures."""
    report = make_report(run_result(world, REQUESTS))
    (server,) = report.servers
    assert (server.n_requests, server.n_failed, server.failures) == (4, 1, {TIMED_OUT: 1})
    assert (server.n_malformed, server.n_not_refused) == (2, 1)
    assert report.n_failed == 2
    assert server.sources == {"list": 2, "popular": 1}
    assert server.personalised == pytest.approx(2 / 3)
    assert server.percentiles["p50_ms"] == pytest.approx(4)
    assert server.percentiles["max_ms"] == pytest.approx(600)


def test_each_server_has_its_own_users(world):
    """Two servers are reported separately, with their difference."""
    requests = [
        {"user_row": user, "server": user // 2, "rank": user // 2, "milliseconds": 1}
        for user in range(4)
    ]
    report = make_report(run_result(world, requests, SERVERS))
    assert [one.n_requests for one in report.servers] == [2, 2]
    assert figures(report, "A a.example:8080")["click_through"].mean == 0
    assert figures(report, "B b.example:8080")["click_through"].mean == 1
    by_metric = {one.metric: one for one in report.differences}
    assert by_metric["click_through"].value == 1


def test_the_interval_has_its_nominal_coverage():
    """About 95 of 100 runs of 60 users cover the true click-through."""
    rng, n_covered, code = np.random.default_rng(3), 0, METRICS.index(CLICK_THROUGH)
    user = np.repeat(np.arange(60), 4)
    for seed in range(100):
        records = np.zeros(len(user), RECORD)
        records["rank"] = rng.random(len(user)) < rng.beta(2, 3, 60)[user]
        sums = user_sums(records, user, 60)
        interval = metric_intervals(sums, np.ones(60, bool), seed)[code]
        n_covered += interval.low <= 0.4 <= interval.high
    assert 88 <= n_covered <= 99


def test_text_and_json_have_the_same_numbers(world):
    """Both formats of one report."""
    report = make_report(run_result(world, REQUESTS))
    text, data = as_text(report), json.loads(json.dumps(report.as_json()))
    assert data["n_failed"] == 2
    assert data["servers"][0]["failures"] == {TIMED_OUT: 1}
    found = {one["metric"]: one["value"] for one in data["figures"] if one["group"] == "all"}
    assert found["click_through"] == 0.5
    for expected in (
        "3 of 4 (75.0000 %)",
        "1 × time-out, for example user 9: too late",
        "1 of these were sent late by the simulator itself",
        "1 of 2 refused",
        "click_through    0.5 (",
        "66.7%",
    ):
        assert expected in text


def test_a_run_without_requests_has_a_report(world):
    """No division by zero."""
    report = make_report(run_result(world, []))
    assert report.n_failed == 0
    assert {one.mean for one in figures(report).values()} == {0.0}
    assert "0 of 0" in as_text(report)
