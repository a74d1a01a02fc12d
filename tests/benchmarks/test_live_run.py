"""The whole live simulator against the real server."""

import contextlib
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
from benchmarks.simulator.live.audience.preferences import Wants
from benchmarks.simulator.live.faults.active import Trouble
from benchmarks.simulator.live.faults.specs import read_order
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.requests.traffic import Mix
from benchmarks.simulator.live.run import Run
from benchmarks.simulator.live.simulation import Play
from benchmarks.simulator.log_formats import EDITIONS
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
    options = {"servers": [Address(*server.address)], "seconds": 1.5, "mix": Mix(200), "seed": 3,
               "speed": 6000, "edition": EDITIONS["2026"], "views_per_user": 5}  # fmt: skip
    return Run(**options | changed)


class Lines:
    """A stream that keeps what it is sent."""

    n_dropped = 0

    def __init__(self):
        self.n_sent, self.lines = 0, []

    def send(self, lines):
        self.n_sent += len(lines)
        self.lines += lines

    def close(self):
        pass


def test_live_users_and_a_publish_in_their_midst(server, folder):
    """Every request succeeds, both generations are served, and the stream is sound."""
    log, report = folder / "live" / "events.log", folder / "report.json"
    live = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.simulator", "live", *WORLD, "--edition", "2026",
         "--server", f"http://127.0.0.1:{server.address[1]}", "--rate", "150", "--seconds", "100",
         "--speed", "6000", "--newcomers", "0.2",
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
    (answered,) = data["servers"]
    assert answered["n_requests"] > 80
    assert answered["personalised"] > 0.7
    assert data["simulator"]["lines_lost"] == 0
    lines = log.read_bytes().splitlines()
    assert len(lines) == data["simulator"]["lines"]
    assert [line for line in lines if not is_sound(line)] == []
    seconds = [TIME.match(line)[0].ljust(19, b"0") for line in lines]
    assert seconds == sorted(seconds)
    accounts = {line.split(b",")[1] for line in lines if line.endswith(b"GET /create_account")}
    first = {}
    for line in lines:
        first.setdefault(line.split(b",")[1], line)
    assert all(first[user].endswith(b"GET /create_account") for user in accounts)
    for kind in (b"GET /data/m/", b"GET /rate/", b"recommendation request", b"GET /create_account"):
        assert sum(kind in line for line in lines) > 0, kind


def wait_for(what):
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def played(world, run, **trouble):
    stream, play = Lines(), Play(world, run)
    return play, play.play(stream, **trouble), stream.lines


def test_the_same_seed_gives_the_same_users_and_lines(server, world):
    """All but the milliseconds; another seed gives others."""
    lines = []
    for seed in (3, 3, 4):
        _, done, told = played(world, run_of(server, seed=seed))
        assert not any(done.tally.records()["failure"])
        lines.append([re.sub(rb"\d+ ?ms$|\.\d+(?=,\d+,rec)", b"", line) for line in told])
    assert lines[0] == lines[1]
    assert lines[0] != lines[2]


def test_what_is_watched_was_shown_or_wanted(server, world):
    """Every click is of an item in that user's list, and minutes follow the request."""
    _, done, lines = played(world, run_of(server))
    records = done.tally.records()
    n_clicks, n_own = (records["rank"] > 0).sum(), records["own"].sum()
    assert n_clicks > 50
    assert (records["minutes"][records["rank"] > 0] > 0).all()
    begun = {line.split(b",", 1)[1] for line in lines if line.endswith(b"/0.mpg")}
    assert 0.8 * (n_clicks + n_own) < len(begun) <= n_clicks + n_own


def test_an_item_that_must_have_vanished_is_noticed(server, world, folder):
    """It is, where it is still shown; and after a takedown it is not."""
    popular = int(world.items.popularity.argmax())
    name = world.items.ids[popular]
    for is_taken_down in (False, True):
        if is_taken_down:
            take_down(folder / "store", [name], "test")
            time.sleep(1)
        play = Play(world, run_of(server))
        play.withheld.since[popular] = time.monotonic()
        done = play.play()
        assert not any(done.tally.records()["failure"])
        assert (play.withheld.n_shown == 0) == is_taken_down
    restore(folder / "store", [name], "test")


def test_trouble_reaches_traffic_and_users(server, world):
    """Three times the traffic for a while, and one film that everybody wants."""
    item = world.items.ids[int(world.items.popularity.argmin())]
    orders = ["0.5s traffic factor=3 for=0.5s", f"now viral item={item} factor=5000"]
    run = run_of(server, mix=Mix(200, is_even=True))
    play, stream = Play(world, run), Lines()
    done = play.play(stream, Trouble(play.world, [read_order(order) for order in orders]))
    assert len(done.tally.records()) == 100 + 300 + 100
    views = [line for line in stream.lines if line.endswith(b"/0.mpg")]
    assert np.mean([f"/{item}/".encode() in line for line in views]) > 0.2


def test_two_servers_are_compared(server, world, capsys):
    """The same server twice: users are split, and no figure differs for sure."""
    url = f"http://127.0.0.1:{server.address[1]}"
    status = main(["live", *WORLD, "--server", url, "--server", url, "--seconds", "2"])
    text = capsys.readouterr().out
    assert status == 0, text
    row = next(
        line for line in text.splitlines() if line.startswith("click_through") and "no" in line
    )
    assert row.split()[-1] == "no"


def test_the_better_of_two_servers_is_found(world, tmp_path, capsys):
    """One serves the best lists, the other what hardly anybody wants; the report names it."""
    users = [str(user) for user in world.users.ids.tolist()]
    chances = Wants(world).all_chances(np.arange(len(users)))
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
    ("arguments", "said"),
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
def test_wrong_usage_is_refused_with_a_reason(arguments, said, capsys):
    """Before anything is asked."""
    with pytest.raises(SystemExit) as end:
        main(["live", *arguments])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_a_stream_that_cannot_be_written_is_named(tmp_path, capsys):
    """It is no file but a directory."""
    assert main(["live", *WORLD, "--server", "127.0.0.1:1", "--stream", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_server_that_is_not_there_fails_every_request(capsys):
    """Nothing listens on port 1; the report says so, and so does the exit status."""
    assert main(["live", *WORLD, "--server", "127.0.0.1:1", "--seconds", "0.5"]) == 1
    text = capsys.readouterr().out
    assert "× refused, as user" in text
    assert "succeeded     0 of" in text
