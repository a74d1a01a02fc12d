"""The whole live simulator against the real server."""

import contextlib
import dataclasses
import http.client
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.resilience.server import Server
from benchmarks.simulator.__main__ import main
from benchmarks.simulator.history.strict import is_sound
from benchmarks.simulator.history.write import HistoryOptions, write_history
from benchmarks.simulator.live.audience.preferences import Preferences
from benchmarks.simulator.live.faults.active import FaultSchedule
from benchmarks.simulator.live.faults.specs import read_spec
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import TrafficMix
from benchmarks.simulator.live.run import RunOptions
from benchmarks.simulator.live.simulation import Simulation
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.ranking import best_of
from benchmarks.simulator.world.world import make_world
from store.pointer import current
from store.publish import publish, rollback, writing
from store.takedown import restore, take_down
from tests.snapshots import make_snapshot

ROOT = Path(__file__).resolve().parents[2]
WORLD = ["--users", "300", "--items", "80", "--days", "3", "--seed", "5", "--views-per-user", "5"]
TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


def refresh(folder, *, seed):
    command = [sys.executable, "-m", "batch", "refresh", "--events", "history/events",
               "--catalogue", "history/catalogue.jsonl", "--store", "store"]  # fmt: skip
    environment = {"PYTHONPATH": str(ROOT), "MARQUEE_BATCH_SEED": str(seed), "PATH": "/usr/bin"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)


@pytest.fixture(scope="module")
def world():
    return make_world(300, 80, 5, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, world):
    """A store of two generations, the first one current."""
    folder = tmp_path_factory.mktemp("live")
    folder.chmod(0o755)
    options = HistoryOptions(views_per_user=5, is_parquet=True)
    write_history(world, folder / "history", options)
    for seed in (1, 2):
        refresh(folder, seed=seed)
    rollback(folder / "store", "test")
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with Server(folder / "store", folder, "--workers", "1") as server:
        yield server


def run_of(server, **changed):
    options = RunOptions(
        [Address(*server.address)], seconds=1.5, mix=TrafficMix(200), seed=3, speed=6000,
        log_format=LOG_FORMATS["2026"], views_per_user=5,
    )  # fmt: skip
    return dataclasses.replace(options, **changed)


def popular_list(server):
    """Return the ids of the popular list that the server serves now."""
    host, port = server.address
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request("GET", "/recommend/no-such-user")
    ids = connection.getresponse().read().decode().split(",")
    connection.close()
    return ids


class Lines:
    """A stream that collects lines."""

    n_dropped = 0

    def __init__(self):
        self.n_sent, self.lines = 0, []

    def send(self, lines):
        self.n_sent += len(lines)
        self.lines += lines

    def close(self):
        pass


def test_every_request_succeeds_during_a_publish(server, folder):
    """Both generations are served, and the lines of the stream are valid."""
    log, report = folder / "live" / "events.log", folder / "report.json"
    live = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.simulator", "live", *WORLD, "--edition", "2026",
         "--server", f"http://127.0.0.1:{server.address[1]}", "--rate", "150", "--seconds", "100",
         "--speed", "6000", "--new-users", "0.2",
         "--stream", str(log), "--json", str(report)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_for(lambda: log.exists() and log.stat().st_size > 50_000)
        with writing(folder / "store"):
            publish(folder / "store", 2, "test")
        wait_for(lambda: server.said("serves generation 2"))
        size = log.stat().st_size
        wait_for(lambda: log.stat().st_size > 2 * size)
    finally:
        live.terminate()
        text, _ = live.communicate(timeout=60)
        rollback(folder / "store", "test")
    assert live.returncode == 0, text
    assert "(100 %) within 600 ms" in text
    assert current(folder / "store") == 1
    data = json.loads(report.read_text())
    (figures,) = data["servers"]
    assert figures["n_requests"] > 80
    assert figures["personalised"] > 0.7
    assert data["simulator"]["lines_lost"] == 0
    lines = log.read_bytes().splitlines()
    assert len(lines) == data["simulator"]["lines"]
    assert [line for line in lines if not is_sound(line)] == []
    matches = [TIME.match(line) for line in lines]
    seconds = [match[0].ljust(19, b"0") for match in matches if match]
    assert len(seconds) == len(lines)
    assert seconds == sorted(seconds)
    accounts = {line.split(b",")[1] for line in lines if line.endswith(b"GET /create_account")}
    first: dict[bytes, bytes] = {}
    for line in lines:
        first.setdefault(line.split(b",")[1], line)
    assert all(first[user].endswith(b"GET /create_account") for user in accounts)
    for kind in (b"GET /data/m/", b"GET /rate/", b"recommendation request", b"GET /create_account"):
        assert sum(kind in line for line in lines) > 0, kind


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def simulate(world, options):
    """Return the result and the lines of a run."""
    stream = Lines()
    return Simulation(world, options).run(stream), stream.lines


def test_the_same_seed_gives_the_same_users_and_lines(server, world):
    """Except for milliseconds; another seed gives others."""
    lines = []
    for seed in (3, 3, 4):
        result, written = simulate(world, run_of(server, seed=seed))
        assert not any(result.requests.records()["failure"])
        lines.append([re.sub(rb"\d+ ?ms$|\.\d+(?=,\d+,rec)", b"", line) for line in written])
    assert lines[0] == lines[1]
    assert lines[0] != lines[2]


def test_views_are_of_shown_items_or_own_choices(server, world):
    """Each click and each own choice begins a view."""
    result, lines = simulate(world, run_of(server))
    records = result.requests.records()
    n_clicks, n_own = (records["rank"] > 0).sum(), records["own"].sum()
    assert n_clicks > 50
    assert (records["minutes"][records["rank"] > 0] > 0).all()
    begun = {line.split(b",", 1)[1] for line in lines if line.endswith(b"/0.mpg")}
    assert 0.8 * (n_clicks + n_own) < len(begun) <= n_clicks + n_own


def test_answers_with_a_taken_down_item_are_counted(server, world, folder):
    """The count is 0 after a real takedown, and not before."""
    popular = int(world.items.popularity.argmax())
    name = world.items.ids[popular]
    assert name in popular_list(server)
    for is_taken_down in (False, True):
        if is_taken_down:
            take_down(folder / "store", [name], "test")
            wait_for(lambda: name not in popular_list(server))
        simulation = Simulation(world, run_of(server))
        simulation.takedowns.since[popular] = time.monotonic()
        result = simulation.run()
        assert not any(result.requests.records()["failure"])
        assert (simulation.takedowns.n_shown == 0) == is_taken_down
    restore(folder / "store", [name], "test")


def test_faults_affect_traffic_and_users(server, world):
    """Three times the traffic for a while, and one film that becomes very popular."""
    item = world.items.ids[int(world.items.popularity.argmin())]
    specs = ["0.5s traffic factor=3 for=0.5s", f"now viral item={item} factor=5000"]
    options = run_of(server, mix=TrafficMix(200, is_constant_rate=True))
    simulation, stream = Simulation(world, options), Lines()
    faults = FaultSchedule(simulation.world, [read_spec(spec) for spec in specs])
    result = simulation.run(stream, faults)
    assert len(result.requests.records()) == 100 + 300 + 100
    views = [line for line in stream.lines if line.endswith(b"/0.mpg")]
    assert np.mean([f"/{item}/".encode() in line for line in views]) > 0.2


def test_two_servers_are_compared(server, world, capsys):
    """The same server twice: users are split, and no figure differs significantly."""
    url = f"http://127.0.0.1:{server.address[1]}"
    status = main(["live", *WORLD, "--server", url, "--server", url, "--seconds", "2"])
    text = capsys.readouterr().out
    assert status == 0, text
    row = next(
        line for line in text.splitlines() if line.startswith("click_through") and "no" in line
    )
    assert row.split()[-1] == "no"


def test_the_better_of_two_servers_is_found(world, tmp_path, capsys):
    """One serves the best lists, the other unpopular items."""
    users = [str(user) for user in world.users.ids.tolist()]
    chances = Preferences(world).all_chances(np.arange(len(users)))
    with contextlib.ExitStack() as servers:
        urls = []
        for name, scores in (("a", -chances), ("b", chances)):
            (tmp_path / name).mkdir()
            lists = np.array(world.items.ids)[best_of(scores, 20)].tolist()
            make_snapshot(tmp_path / name / "store", dict(zip(users, lists, strict=True)), lists[0])
            options = (tmp_path / name / "store", tmp_path / name, "--bare", "--workers", "1")
            server = servers.enter_context(Server(*options))
            urls += ["--server", f"127.0.0.1:{server.address[1]}"]
        arguments = [*WORLD, *urls, "--seconds", "2", "--json", str(tmp_path / "new" / "r.json")]
        assert main(["live", *arguments]) == 0, capsys.readouterr().out
    report = json.loads((tmp_path / "new" / "r.json").read_text())
    differences = {one["metric"]: one for one in report["differences"]}
    for metric in ("click_through", "mrr", "minutes", "expected_clicks"):
        assert differences[metric]["low"] > 0, metric
        assert differences[metric]["p_value"] < 0.001, metric
    uplift = [one["value"] for one in report["figures"]
              if (one["group"], one["metric"]) == ("all", "uplift")]  # fmt: skip
    assert uplift[0] < 0 < uplift[1]
    assert "yes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--server", "ftp://x:1"], "must be as http://127.0.0.1:8080"),
        (["--server", "http://x"], "must be as http://127.0.0.1:8080"),
        (["--server", "http://x:99999"], "must be as http://127.0.0.1:8080"),
        (["--server", "http://x:1/path"], "must be as http://127.0.0.1:8080"),
        (["--server", "a:1", "--server", "b:1", "--server", "c:1"], "twice for an A/B test"),
        (["--server", "a:1", "--rate", "0"], "must be a number above 0"),
        (["--server", "a:1", "--seconds", "nan"], "must be a number above 0"),
        (["--server", "a:1", "--apis", "70000"], "must be a port"),
        (["--server", "a:1", "--stream", "f", "--kafka", "b:1"], "not allowed with"),
        ([], "--server"),
    ],
    ids=["scheme", "no-port", "port", "path", "three", "rate", "seconds", "apis", "sinks", "none"],
)
def test_wrong_usage_is_refused_with_a_reason(arguments, message, capsys):
    """Before any request is sent."""
    with pytest.raises(SystemExit) as end:
        main(["live", *arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--even"], "--constant-rate"),
        (["--newcomers", "0.1"], "--new-users"),
        (["--odd", "0.1"], "--api-defects"),
        (["--wandering", "0.1"], "--random-views"),
        (["--trouble", "now traffic"], "--fault"),
        (["--trouble-port", "0"], "--fault-port"),
        (["--truth", "file"], "--fault-log"),
    ],
    ids=["even", "newcomers", "odd", "random", "trouble", "trouble-port", "truth"],
)
def test_a_renamed_option_is_refused_with_its_new_name(old, new, capsys):
    with pytest.raises(SystemExit) as end:
        main(["live", "--server", "a:1", *old])
    assert end.value.code == 2
    assert f"error: {old[0]}: renamed; use {new}\n" in capsys.readouterr().err


def test_renamed_options_are_not_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["live", "--help"])
    text = capsys.readouterr().out
    assert "--fault-log" in text
    assert "--trouble" not in text


def test_a_stream_that_cannot_be_written_is_named(tmp_path, capsys):
    """The path is a directory."""
    assert main(["live", *WORLD, "--server", "127.0.0.1:1", "--stream", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_without_a_server_every_request_fails(capsys):
    """No server listens on port 1; report and exit status show the failures."""
    assert main(["live", *WORLD, "--server", "127.0.0.1:1", "--seconds", "0.5"]) == 1
    text = capsys.readouterr().out
    assert "× refused, for example user" in text
    assert "succeeded     0 of" in text
