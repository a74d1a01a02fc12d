"""Every figure of the online table equals the simulator's own report on the same traffic."""

import contextlib
import json

import numpy as np
import pytest

from batch.events.ingest import ingest
from batch.records.profiles import age_band
from batch.settings import BatchSettings
from benchmarks.harness.servers import MarqueeServer
from benchmarks.simulator.live.audience.new_users import with_new_users
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.report.figures import make_report
from benchmarks.simulator.live.requests.messages import LIMIT_MS, Address
from benchmarks.simulator.live.requests.traffic import NO_USER, TrafficMix
from benchmarks.simulator.live.run import RunOptions
from benchmarks.simulator.live.simulation import Simulation
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.ranking import best_of
from benchmarks.simulator.world.world import make_world
from stream.__main__ import main
from stream.online.figures import PERCENTILES
from tests.snapshots import make_snapshot

REQUEST = b",recommendation request "
N_USERS, N_LISTS = 1500, 1000  # users of the world, users with a list of their own
COMMON_GROUPS = {"F", "M", "18-24", "25-34", "35-44"}  # in the simulator and in profiles
SIMULATED = {  # name in the simulator's report, by the name in the online table
    "click_through": "click_through", "mrr": "mrr", "minutes": "minutes", "cost": "cost",
    "rating": "rating", "other_views": "own_views",
}  # fmt: skip


class LineFile:
    """A stream to a file; calls a function once when so many requests are logged."""

    n_dropped = 0

    def __init__(self, path, n_requests, end):
        self.n_sent, self.file = 0, path.open("wb")
        self.n_left, self.end = n_requests, end

    def send(self, lines):
        self.n_sent += len(lines)
        self.file.writelines(line + b"\n" for line in lines)
        n_before, self.n_left = self.n_left, self.n_left - sum(REQUEST in line for line in lines)
        if self.n_left <= 0 < n_before:
            self.end()

    def close(self):
        self.file.close()


@pytest.fixture(scope="module")
def world():
    return make_world(N_USERS, 90, 5, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, world):
    """A store whose generation was current before the run, by the simulated clock."""
    folder = tmp_path_factory.mktemp("online")
    folder.chmod(0o755)
    users = [str(user) for user in world.users.ids.tolist()]
    chances = Preferences(world).all_chances(np.arange(N_USERS))
    lists = np.array(world.items.ids)[best_of(chances, 20)].tolist()
    popular = np.array(world.items.ids)[np.argsort(-world.items.popularity)[:20]].tolist()
    about = {
        name: {"runtime": runtime, "cost": cost}
        for name, runtime, cost in zip(
            world.items.ids, world.items.runtimes.tolist(), world.items.costs.tolist(), strict=True
        )
    }
    everyone = with_new_users(world, 20).users
    profiles = {
        str(user): f"{age_band(age)}/{'M' if is_male else 'F'}"
        for user, age, is_male in zip(
            everyone.ids.tolist(), everyone.ages.tolist(), everyone.is_male, strict=True
        )
    }
    make_snapshot(
        folder / "store", dict(zip(users[:N_LISTS], lists, strict=False)), popular, about=about,
        profiles=profiles,
    )  # fmt: skip
    journal = folder / "store" / "JOURNAL"
    journal.write_text(journal.read_text().replace(journal.read_text()[:4], "2025", 1))
    return folder


@pytest.fixture(scope="module")
def run(folder, world):
    """The result and the report of a run; at its end the server is gone."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(MarqueeServer(folder / "store", folder, "--workers", "1"))
        options = RunOptions(
            [Address(*server.address)], seconds=6, mix=TrafficMix(100), seed=3, speed=36_000,
            log_format=LOG_FORMATS["2026"], views_per_user=5, finish_views=True,
        )  # fmt: skip
        stream = LineFile(folder / "events.log", 450, stack.close)
        result = Simulation(world, options).run(stream)
        stream.close()
    settings = BatchSettings(
        events=(str(folder / "events.log"),), quarantine=str(folder / "quarantine")
    )
    ingest(settings, folder / "events")
    return result, make_report(result)


@pytest.fixture
def online(folder, tmp_path, monkeypatch, capsys):
    """Return the parsed output of `python -m stream online`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARQUEE_ONLINE_MIN_GROUP_USERS", "1")
    places = ["--store", str(folder / "store"), "--events", str(folder / "events"), "--json"]

    def run_online(*options):
        assert main(["online", *places, *options]) == 0
        return json.loads(capsys.readouterr().out)

    return run_online


def test_every_figure_equals_the_simulators_report(run, online):
    """Numbers of requests, availability, latency, personalised share, and what users did."""
    result, report = run
    (server,) = report.servers
    (found,) = online()["figures"]
    assert found["n_requests"] == server.n_requests > 400
    assert found["n_requests"] - found["n_available"] == server.n_failed
    n_answered = server.n_requests - server.n_failed  # 1 - a share would differ in the last bit
    assert found["availability"] == n_answered / server.n_requests
    assert found["personalised"] == server.personalised
    assert 0.1 < server.personalised < 0.9
    assert 0.5 < found["availability"] < 1
    assert_equals_the_metrics(found, report, "all")
    records = result.requests.records()
    milliseconds = records["milliseconds"][records["user_row"] != NO_USER]
    whole = np.minimum(np.round(milliseconds.astype(np.float64)), LIMIT_MS)  # as in the lines
    for name, share in PERCENTILES.items():
        assert found["latency"][name] == pytest.approx(np.percentile(whole, share))
        assert found["latency"][name] == pytest.approx(
            server.percentiles.get(name, found["latency"][name]), abs=0.51
        )


@pytest.mark.parametrize("by", ["source", "group", "hour", "generation", "arm"])
def test_the_labels_share_the_requests_out(run, online, by):
    """Groups are those of the report; each other label has its part of the requests."""
    _, report = run
    everything, *labels = online("--by", by)["figures"]
    names = {one["label"] for one in labels}
    n_labels = 2 if by == "group" else 1  # age and gender
    for name in ("n_requests", "n_available", "n_clicks", "n_views", "n_ratings"):
        assert sum(one[name] for one in labels) == n_labels * everything[name] > 100
    if by == "source":
        (server,) = report.servers
        assert {one["label"]: one["n_requests"] for one in labels} == {
            **server.sources, "failed": server.n_failed,
        }  # fmt: skip
        assert names == {"list", "popular", "failed"}
    if by == "group":
        for one in labels:
            if one["label"] in COMMON_GROUPS:
                assert_equals_the_metrics(one, report, one["label"])
        assert {"F", "M", "25-34", "18-24"} < names
    if by in ("generation", "arm"):
        assert names == {"1"}


def assert_equals_the_metrics(found, report, group):
    values = {f.metric: f.interval.mean for f in report.figures if f.group == group}
    counts = {f.n_requests for f in report.figures if f.group == group}
    for name, simulated in SIMULATED.items():
        factor = 2 if name == "rating" else 1  # half stars in the lines of this edition
        assert found[name] == pytest.approx(factor * values[simulated], rel=1e-6), name
    assert counts == {found["n_requests"]}
