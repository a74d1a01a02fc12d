"""Quality by group: a group that is served worse is found, equal ones raise no alarm."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from stream.__main__ import main
from stream.online.compute import open_hours
from stream.online.figures import METRICS
from stream.online.hours import HOUR
from stream.online.settings import OnlineSettings
from stream.watch.groups import differences, groups_of_users, period_begin
from tests.stream.online_events import seconds, view, write_events

DAY = 86_400
BEGIN = period_begin(seconds("2026-03-20T00:00"), 28)
METRIC = {metric.name: metric for metric in METRICS}
N_USERS, N_RUNS, N_LOOKS, ALPHA = 800, 40, 28, 0.05


class Service:
    """Users of two ages and genders, who come again; their clicks and minutes by day."""

    def __init__(self, rng, *, share_of_f=1.0):
        self.rng = rng
        segments = ["18-24/F", "18-24/M", "25-34/F", "25-34/M"]
        self.segment = np.array(segments, object)[rng.integers(4, size=N_USERS)]
        is_f = np.array([name.endswith("F") for name in self.segment])
        self.rate = rng.beta(2, 4, N_USERS) * np.where(is_f, share_of_f, 1)
        self.activity = rng.beta(1, 3, N_USERS)

    def day(self):
        """Return (3, n_users) requests, clicks and minutes of a day."""
        comes = self.rng.random(N_USERS) < self.activity
        n_requests = comes * (1 + self.rng.poisson(1.0, N_USERS))
        n_clicks = self.rng.binomial(n_requests, self.rate)
        return np.array([n_requests, n_clicks, n_clicks * self.rng.lognormal(3, 1, N_USERS)])


def found_in_28_looks(service):
    """Return what is ever found at daily looks, as metric, group and decision."""
    total, found = np.zeros((3, N_USERS)), set()
    ids = np.arange(N_USERS, dtype=np.uint64)
    users = pd.DataFrame({"user": ids, "segment": service.segment})
    groups = groups_of_users(users, ids[:0])
    for _ in range(N_LOOKS):
        total += service.day()
        users[["n_requests", "n_clicks", "minutes"]] = total.T
        comes = total[0] > 0
        there = {name: is_in[comes] for name, is_in in groups.items()}
        for name in ("click_through", "minutes"):
            for group, one in differences(users[comes], there, METRIC[name], 50, ALPHA):
                found |= {(name, group, one.decision)} if one.decision != "n.s." else set()
    return found


def test_equal_groups_over_28_daily_looks_are_found_different_in_less_than_alpha():
    """Two metrics of four groups, with the same users day after day."""
    found = [found_in_28_looks(Service(np.random.default_rng(seed))) for seed in range(N_RUNS)]
    assert sum(map(bool, found)) < ALPHA * N_RUNS


def test_a_group_that_is_served_worse_is_found():
    """A third fewer clicks of one gender, in each of five services; ages are equal."""
    for seed in range(5):
        found = found_in_28_looks(Service(np.random.default_rng(seed), share_of_f=0.67))
        assert ("click_through", "F", "lower") in found
        assert ("click_through", "M", "higher") in found
        assert {group for _, group, _ in found} == {"F", "M"}


def write_hours(folder, service, n_days):
    """Keep the requests of some days, and of users with views two days before the period."""
    hours = open_hours(OnlineSettings(path=str(folder)))
    early = {"user": np.arange(0, N_USERS, 2), "n_other_views": np.full(N_USERS // 2, 5)}
    for number, columns in [
        (-2, early),
        *((number, requests(service)) for number in range(n_days)),
    ]:
        users = columns.pop("user")
        columns |= {
            "user_id": np.array([f"u{user}" for user in users], object),
            "at": BEGIN + number * DAY + 21_600 * (np.arange(len(users)) % 4),
            "source": np.full(len(users), "list", object), "segment": service.segment[users],
            "is_available": np.ones(len(users), np.bool_),
        }  # fmt: skip
        made = [
            pa.array(columns.get(one.name, np.zeros(len(users)))).cast(one.type) for one in HOUR
        ]
        begin = BEGIN + number * DAY
        hours.write(pa.table(made, schema=HOUR), begin, begin + DAY)
    hours.close(0)


def requests(service):
    """Return columns of the requests of a day; a click has the minutes of its user's mean."""
    n_requests, n_clicks, minutes = service.day()
    n_requests = n_requests.astype(int)
    users = np.repeat(np.arange(N_USERS), n_requests)
    place = np.arange(len(users)) - np.repeat(np.cumsum(n_requests) - n_requests, n_requests)
    is_click = (place < n_clicks[users]).astype(int)
    mean = minutes / np.maximum(n_clicks, 1)
    return {"user": users, "rank": is_click, "n_views": is_click, "minutes": mean[users] * is_click}


@pytest.mark.parametrize("share_of_f", [0.4, 1.0])
def test_the_command_names_groups_that_are_worse_and_those_of_few_users(
    tmp_path, capsys, share_of_f
):
    """Exit status 1 for the alarm; users with views before the period are `known`."""
    service = Service(np.random.default_rng(8), share_of_f=share_of_f)
    service.segment[:30] = "65+/M"
    write_hours(tmp_path / "online", service, 8)
    end = BEGIN + 8 * DAY
    views = [view(f"u{n % 90}", "a", BEGIN + 600 * n, 3) for n in range(8 * 144)]
    write_events(tmp_path / "events", 1, views=views)
    config = tmp_path / "marquee.toml"
    config.write_text(
        f'[online]\npath = "{tmp_path}/online"\n[watch]\nfolder = "{tmp_path}/kept"\n'
        "max_unknown_share = 1.0\n"
    )
    places = ["--config", str(config), "--store", str(tmp_path / "store"), "--json"]
    at = str(np.datetime64(end, "s"))
    status = main(["watch", *places, "--events", str(tmp_path / "events"), "--at", at])
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = {(one["name"], one["of"]): one for one in figures}
    assert status == int(share_of_f < 1)
    alarms = {one["of"] for one in figures if one["is_alarm"]}
    assert alarms == ({"F"} if share_of_f < 1 else set())
    value, gap = found["click_through", "F"], found["click_through_gap", "F"]
    assert value["low"] < value["value"] < value["high"]
    assert (gap["high"] < gap["limit"] == -0.2) == (share_of_f < 1)
    assert ("click_through", "65+") not in found
    assert ("minutes_gap", "65+") not in found
    assert found["suppressed", "groups of the period"]["note"] == "fewer than 50 users: 65+"
    n_known = int(found["click_through_gap", "known"]["note"].split()[1])
    assert 200 < n_known <= N_USERS / 2
