"""The hours that are kept: the same whenever they are computed, and the ways to read them."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from prometheus_client import generate_latest

from store.arms import start_experiment
from stream.__main__ import main
from stream.errors import StreamError
from stream.experiments.figures import ArmFigures, ExperimentFigures
from stream.experiments.looks import ExperimentLook, identity_of, keep_look
from stream.online.access_log import LoggedRequests
from stream.online.compute import open_hours, update
from stream.online.events import DayFiles
from stream.online.figures import METRICS, by_all, by_source, sums_by_label
from stream.online.interface import InterfaceHours, count_by_hour
from stream.online.metrics import OnlineGauges
from stream.online.served_lists import ServedLists
from stream.online.settings import OnlineSettings
from stream.online.users import user_figures
from tests.experiments import experiment_of
from tests.serve.server import ROOT, wait_until
from tests.snapshots import make_snapshot
from tests.stream.online_events import answer, seconds, view, write_events

LISTS = {f"u{number}": [f"i{number}", "i8", "i9"] for number in range(8)}
POPULAR = ["i9", "i8", "i7"]
ABOUT = {f"i{number}": {"runtime": 60 + number, "cost": number / 10} for number in range(10)}
BEGIN = seconds("2026-03-01T00:00")
HOUR = 3600


@pytest.fixture
def store(tmp_path):
    store = tmp_path / "store"
    make_snapshot(store, LISTS, POPULAR, about=ABOUT, profiles={"u1": "25-34/F", "u2": "25-34/M"})
    journal = (store / "JOURNAL").read_text()
    (store / "JOURNAL").write_text("2025" + journal[4:])
    return store


def settings_of(tmp_path, **changed):
    return OnlineSettings(path=str(tmp_path / "online"), **{"click_hours": 6.0, **changed})


def updated(tmp_path, store, settings):
    """Update the hours, and return them."""
    hours = open_hours(settings)
    with DayFiles(tmp_path / "events") as events, ServedLists(store) as served:
        update(hours, events, served, settings)
    return hours


def rows_of(hours, since=0, until=1 << 40):
    return [row for table in hours.tables(since, until) for row in table.to_pylist()]


def made_days(seed, n_days, n_requests=60):
    """Return rows of answers, views and ratings over days, in order of time."""
    rng = random.Random(seed)
    rows: dict[str, list[tuple]] = {"answers": [], "views": [], "ratings": []}
    for at in sorted(rng.sample(range(BEGIN, BEGIN + n_days * 86_400), n_requests * n_days)):
        user = f"u{rng.randrange(12)}"
        items = LISTS.get(user, POPULAR)
        if rng.random() < 0.1:
            failure = {"result": "timed out", "status": 0}
            rows["answers"].append(answer(user, at, None, 600, **failure))
            continue
        rows["answers"].append(answer(user, at, ",".join(items), rng.randrange(1, 50)))
        if rng.random() < 0.6:
            item, pause = rng.choice([*items, "x"]), rng.randrange(1, 7 * HOUR)
            minutes = rng.randrange(1, 80)
            midnight = (at + pause) // 86_400 * 86_400 + 86_400
            minutes = min(minutes, max((midnight - at - pause) // 60, 1))
            rows["views"].append(view(user, item, at + pause, minutes))
            rated_at = at + pause + 60 * minutes
            rows["ratings"].append((user, item, float(rng.randint(1, 5)), rated_at))
    return rows


TIME_OF = {"answers": 1, "views": 4, "ratings": 3}


def test_late_events_within_the_bound_change_nothing_in_the_end(tmp_path, store):
    """Events arrive up to six hours late in eight segments; the end equals one update of all."""
    rows, rng = made_days(5, 4, n_requests=25), random.Random(1)
    settings = settings_of(tmp_path)
    arrivals = sorted(
        (row[TIME_OF[kind]] + rng.randrange(6 * HOUR), kind, row)
        for kind, made in rows.items()
        for row in made
    )
    n_closed = []
    for segment in range(8):
        some = arrivals[len(arrivals) * segment // 8 : len(arrivals) * (segment + 1) // 8]
        by_kind = {kind: [row for _, name, row in some if name == kind] for kind in rows}
        write_events(tmp_path / "events", segment, **{k: v for k, v in by_kind.items() if v})
        hours = updated(tmp_path, store, settings)
        n_closed.append(hours.closed_until)
    assert n_closed == sorted(n_closed)
    assert BEGIN < n_closed[-1] < BEGIN + 3 * 86_400
    at_once = updated(tmp_path, store, settings_of(tmp_path / "at_once"))  # the same events
    assert rows_of(open_hours(settings)) == rows_of(at_once) != []
    too_late = answer("u1", BEGIN + 1, "i1,i8,i9")  # the twin: the hour is closed
    write_events(tmp_path / "events", 8, answers=[too_late])
    assert rows_of(updated(tmp_path, store, settings)) == rows_of(at_once)


@pytest.mark.parametrize(("day", "ranks", "minutes"), [(0, [1, 0], [9, 0]), (1, [1, 1], [5, 9])])
def test_a_second_view_of_an_item_on_one_day_is_part_of_the_first(
    tmp_path, store, day, ranks, minutes
):
    """A click of its own on the next day."""
    begins = BEGIN + 10 * HOUR, BEGIN + 13 * HOUR + day * 86_400
    answers = [answer("u1", at, "i1,i8,i9") for at in begins]
    views = [view("u1", "i1", at + 60, n) for at, n in zip(begins, (5, 9), strict=True)]
    write_events(tmp_path / "events", 1, answers=answers, views=views)
    rows = rows_of(updated(tmp_path, store, settings_of(tmp_path)))
    assert [row["rank"] for row in rows] == ranks
    assert [row["minutes"] for row in rows] == minutes


def test_closed_hours_outlast_their_events(tmp_path, store):
    """Open ones are computed anew: their events are gone."""
    settings = settings_of(tmp_path)
    write_events(tmp_path / "events", 1, **made_days(5, 4))
    hours = updated(tmp_path, store, settings)
    before = rows_of(hours, until=hours.closed_until)
    shutil.rmtree(tmp_path / "events" / "answers" / "date=2026-03-01")
    shutil.rmtree(tmp_path / "events" / "views" / "date=2026-03-01")
    hours = updated(tmp_path, store, settings)
    assert rows_of(hours, until=hours.closed_until) == before != []
    names = [path.relative_to(tmp_path / "online") for _, path in hours.hours(0, 1 << 40)]
    assert str(names[0]).startswith("date=2026-03-01/hour-")


def test_a_day_is_computed_again_only_after_its_events_changed(tmp_path, store):
    """A file that was put in its place stays until then."""
    settings = settings_of(tmp_path)
    write_events(tmp_path / "events", 1, **made_days(5, 1))
    _, path = next(updated(tmp_path, store, settings).hours(0, 1 << 40))
    made = path.read_bytes()
    for is_changed in (False, True):
        path.write_bytes(b"another file")
        if is_changed:
            late = answer("u1", BEGIN + 86_399, "i1,i8,i9")
            write_events(tmp_path / "events", 2, answers=[late])
        updated(tmp_path, store, settings)
        assert (path.read_bytes() == made) == is_changed


def test_parts_of_the_users_make_the_same_rows(tmp_path, store):
    """However many requests are held at a time."""
    write_events(tmp_path / "events", 1, **made_days(6, 2))
    few, many = (
        rows_of(updated(tmp_path, store, settings_of(tmp_path / name, part_requests=n)))
        for name, n in (("few", 7), ("many", 10_000))
    )
    assert few == many != []


def test_a_time_in_the_future_closes_nothing(tmp_path, store):
    """A broken line of 2099 is not the newest event."""
    made = made_days(5, 1)
    made["answers"].append(answer("u1", seconds("2099-01-01T00:00"), "i1"))
    write_events(tmp_path / "events", 1, **made)
    assert updated(tmp_path, store, settings_of(tmp_path)).closed_until < BEGIN


def test_other_settings_are_refused_until_the_directory_is_removed(tmp_path, store):
    """What is kept depends on them."""
    write_events(tmp_path / "events", 1, **made_days(5, 1))
    updated(tmp_path, store, settings_of(tmp_path))
    with pytest.raises(StreamError, match=r"another click_hours of .online.; set it back, or"):
        open_hours(settings_of(tmp_path, click_hours=12.0))
    (tmp_path / "online" / "STATE").write_text("{")
    with pytest.raises(StreamError, match=r"STATE: cannot be read: .*; remove the directory"):
        open_hours(settings_of(tmp_path))


def test_a_damaged_hour_is_named(tmp_path, store):
    write_events(tmp_path / "events", 1, **made_days(5, 1))
    hours = updated(tmp_path, store, settings_of(tmp_path))
    _, path = next(hours.hours(0, 1 << 40))
    path.write_bytes(b"PAR1")
    with pytest.raises(StreamError, match="cannot be read"):
        rows_of(hours)


@pytest.mark.parametrize(
    ("row", "is_available"),
    [
        (answer("u1", BEGIN, "i1,i8,i9", 600), True),
        (answer("u1", BEGIN, "i1,i8,i9", 601), False),
        (answer("u1", BEGIN, "i1,i8,i9", 5, 400), False),
        (answer("u1", BEGIN, None, 5, 200, "[i1, i2]"), False),
        (answer("u1", BEGIN, ",".join(["i1"] * 20)), True),
        (answer("u1", BEGIN, ",".join(["i1"] * 21)), False),
    ],
)
def test_availability_by_the_rules_of_the_graders(tmp_path, store, row, is_available):
    write_events(tmp_path / "events", 1, answers=[row])
    (found,) = rows_of(updated(tmp_path, store, settings_of(tmp_path)))
    assert found["is_available"] == is_available


def log_line(at, path, status=200, source="list", generation="1", milliseconds=2):
    time = f"{np.datetime64(at, 's')}+00:00"
    fields = {"time": time, "client": "::1", "request": f"GET {path} HTTP/1.1", "status": status,
              "bytes": 9, "seconds": milliseconds / 1000, "source": source,
              "generation": generation}  # fmt: skip
    return json.dumps(fields) + "\n"


def test_the_access_log_stands_in_for_answers(tmp_path, store):
    """The same requests by either way: equal rows, but for lists that no snapshot has."""
    rows = made_days(7, 2)
    write_events(tmp_path / "events", 1, **rows)
    settings = settings_of(tmp_path)
    by_answers = rows_of(updated(tmp_path, store, settings))
    shutil.rmtree(tmp_path / "events" / "answers")
    log = tmp_path / "access.log"
    lines = [
        log_line(at, f"/recommend/{user}", 200, "list" if user in LISTS else "popular",
                 milliseconds=milliseconds)
        if items else log_line(at, f"/recommend/{user}", 504, "", "", milliseconds)
        for user, at, _, _, items, _, milliseconds in rows["answers"]
    ]  # fmt: skip
    (tmp_path / "access.log.2").write_text("".join(lines[:50]))
    (tmp_path / "access.log.1").write_text("".join(lines[50:70]) + '{"time": "torn\n')
    log.write_text("".join(lines[70:]) + log_line(BEGIN, "/healthz") + '{"ti')
    by_log = rows_of(updated(tmp_path, store, settings_of(tmp_path / "log", access_log=str(log))))
    unknown = {"generation", "segment"}  # of failed requests
    for expected, found in zip(by_answers, by_log, strict=True):
        skipped = set() if expected["is_available"] else unknown
        assert {k: v for k, v in found.items() if k not in skipped} == {
            k: v for k, v in expected.items() if k not in skipped
        }


def test_the_interface_is_counted_by_hour_and_outlasts_the_log(tmp_path):
    """Malformed ids, users without a list, and paths that do not exist."""
    log = tmp_path / "access.log"
    log.write_text(
        "".join(log_line(BEGIN + number, "/recommend/7") for number in range(6))
        + log_line(BEGIN, "/recommend/8", source="popular")
        + log_line(BEGIN, "/recommend/a%20b", 400, "")
        + log_line(BEGIN + HOUR, "/wp-login.php", 404, "")
        + log_line(BEGIN + HOUR, "/recommend/7", 405, "")
    )
    settings = settings_of(tmp_path, access_log=str(log))
    kept = InterfaceHours(tmp_path)
    kept.update(count_by_hour(LoggedRequests(settings).lines))
    log.write_text(log_line(BEGIN + HOUR, "/wp-login.php", 404, ""))
    kept = InterfaceHours(tmp_path)
    kept.update(count_by_hour(LoggedRequests(settings).lines))
    assert kept.total(BEGIN, BEGIN + HOUR) == (8, 8, 1, 1, 0)
    assert kept.total(0, BEGIN + 2 * HOUR) == (10, 9, 1, 1, 2)
    assert kept.total(0, 1 << 40).shares()["unexpected_paths"] == 0.2


def test_figures_by_user_and_arm(tmp_path, store):
    """Each user once, with the arm that the function gives; sums are those of the table."""
    write_events(tmp_path / "events", 1, **made_days(8, 3))
    hours = updated(tmp_path, store, settings_of(tmp_path))

    def arm_of_user(user_ids):
        return np.array([int(user[1:]) % 2 for user in user_ids], np.int32)

    found = user_figures(hours.tables(0, 1 << 40), arm_of_user)
    assert list(found.user_ids) == sorted(f"u{number}".encode() for number in range(12))
    assert found.arm.tolist() == arm_of_user(found.user_ids).tolist()
    total = sums_by_label(hours.tables(0, 1 << 40), by_all, 600)["all"]
    for name in ("n_requests", "n_clicks", "reciprocal_rank", "minutes", "cost", "n_shown"):
        assert getattr(found, name).sum() == pytest.approx(total.total(name))
    assert total.total("n_clicks") > 20


def test_groups_of_few_users_are_named_and_not_shown(tmp_path, store, monkeypatch, capsys):
    """One woman is below the limit of 2; the users without a profile are not."""
    write_events(tmp_path / "events", 1, **made_days(8, 3))
    monkeypatch.setenv("MARQUEE_ONLINE_MIN_GROUP_USERS", "2")
    monkeypatch.setenv("MARQUEE_ONLINE_PATH", str(tmp_path / "online"))
    monkeypatch.chdir(tmp_path)
    verb = ["online", "--store", str(store), "--events", str(tmp_path / "events"), "--by", "group"]
    assert main([*verb, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["suppressed"] == ["F", "M"]
    figures = {one["label"]: one for one in found["figures"]}
    assert figures.keys() == {"all", "25-34", "unknown"}
    low, high = figures["all"]["intervals"]["click_through"]
    assert low < figures["all"]["click_through"] < high
    assert main(verb) == 0
    text = capsys.readouterr().out
    assert "too few users: F, M" in text
    value, margin = figures["all"]["click_through"], (high - low) / 2
    assert f"{value:.4g} ±{margin:.2g}" in text


def test_the_gauges_are_the_figures(tmp_path, store):
    """On a real port, for each label; a label that is gone disappears."""
    write_events(tmp_path / "events", 1, **made_days(9, 1))
    hours = updated(tmp_path, store, settings_of(tmp_path))
    figures = sums_by_label(hours.tables(0, 1 << 40), by_source, 600)
    gauges = OnlineGauges()
    gauges.set({"source": figures}, {"malformed": 0.25}, BEGIN)
    text = generate_latest(gauges.registry).decode()
    for label, sums in figures.items():
        for metric in METRICS:
            line = f'marquee_online_{metric.name}{{by="source",label="{label}"}} '
            value = sums.value(metric)
            assert (value is None) == (line not in text)
            assert value is None or f"{line}{value!r}\n" in text
    assert 'marquee_online_interface_share{kind="malformed"} 0.25' in text
    gauges.set({"source": {}}, {}, BEGIN)
    assert 'label="list"' not in generate_latest(gauges.registry).decode()


def test_the_command_sets_gauges_until_sigterm(tmp_path, store):
    """On a real port, once there are events. Before, it logs once that it waits for them.

    Once they are gone, it logs errors. The last look at the experiment is among them.
    """
    experiment = experiment_of(1, 1)
    start_experiment(store, experiment, "test")
    arms = [ArmFigures(arm.name, 4, 9, None, None, None, 0.0) for arm in experiment.arms]
    figures = ExperimentFigures("2026-03-01T21:00:00", 0.2, 5000, True, arms, [], None, [], 0.5)
    (tmp_path / "var" / "online" / "experiments").mkdir(parents=True)
    keep_look(
        tmp_path / "var" / "online", experiment,
        ExperimentLook(
            experiment=identity_of(experiment), at=figures.until, elapsed=0.2, n_planned=5000,
            n_users=[4, 4], information={}, verdicts={}, outcome="continued",
            figures=figures.as_json(),
        ),
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "stream", "online", "--follow", "--store", str(store),
               "--events", str(tmp_path / "events")]  # fmt: skip
    environment = {
        "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"],
        "MARQUEE_ONLINE_METRICS_PORT": str(port), "MARQUEE_ONLINE_POLL_SECONDS": "0.2",
    }  # fmt: skip
    log = tmp_path / "online.log"
    with log.open("w") as output:
        watch = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=output)
    try:
        wait_until(lambda: "INFO waiting for the first answer" in log.read_text(), 60)
        write_events(tmp_path / "events", 1, **made_days(9, 1))
        wait_until(lambda: 'by="source",label="list"' in scraped(port), 60)
        ratio = 'marquee_online_experiment_sample_ratio_p{experiment="test"} 0.5'
        wait_until(lambda: ratio in scraped(port), 60)
        assert log.read_text().count("waiting for the first answer") == 1
        assert "ERROR" not in log.read_text()
        (tmp_path / "events").rename(tmp_path / "gone")
        wait_until(lambda: log.read_text().count("next try in 0.2 s") > 1, 60)
    finally:
        watch.terminate()
    assert watch.wait(60) == 0


def scraped(port):
    """Return the text of the gauges, empty while the port is not open."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answered:
            return answered.read().decode()
    except OSError:
        return ""


def test_the_command_compares_generations(tmp_path, store, monkeypatch, capsys):
    """Generation 2 shows what users watch; the difference and its side effects are printed."""
    make_snapshot(store, {user: ["i9", "i8"] for user in LISTS}, POPULAR, about=ABOUT)
    lines = (store / "JOURNAL").read_text().splitlines()
    second = "2026-03-02T00:00:00+00:00" + lines[1][len("2026-03-02T00:00:00+00:00") :]
    (store / "JOURNAL").write_text(f"{lines[0]}\n{second}\n")
    answers, views = [], []
    for day, items in ((0, "{},i8,i9"), (1, "i9,i8")):
        for number in range(80):
            at = BEGIN + 86_400 * day + 300 * (number + 2)
            user = f"u{number % 8}"
            answers.append(answer(user, at, items.format(f"i{number % 8}")))
            views += [view(user, "i9", at + 9, 3)] if day and number < 8 else []
    write_events(tmp_path / "events", 1, answers=answers, views=views)
    monkeypatch.setenv("MARQUEE_ONLINE_PATH", str(tmp_path / "online"))
    monkeypatch.chdir(tmp_path)
    places = ["--store", str(store), "--events", str(tmp_path / "events")]
    assert main(["online", *places, "--before", "1", "--after", "2", "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    found = {(one["label"], one["metric"]): one for one in changes}
    click = found["all", "click_through"]
    assert (click["before"], click["after"], click["n_after"]) == (0, 0.1, 80)
    assert click["low"] == click["high"] == 0.1  # each user has one click in ten requests
    assert found["all", "availability"]["after"] == 1
    assert ("F", "minutes") not in found  # one user gives no interval
    assert main(["online", *places, "--before", "1", "--after", "2"]) == 0
    assert "click_through" in capsys.readouterr().out
    assert main(["online", *places, "--before", "1", "--after", "7"]) == 1
    assert "generation 7: answered no request" in capsys.readouterr().err
    assert main(["online", *places, "--since", "2026-03-02T00:00", "--by", "hour"]) == 0
    text = capsys.readouterr().out
    assert "2026-03-02T00" in text
    assert "2026-03-01T00" not in text.splitlines()[2]
    with pytest.raises(SystemExit):
        main(["online", *places, "--before", "1"])


def test_without_events_the_command_names_what_is_missing(tmp_path, store, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["online", "--store", str(store), "--events", str(tmp_path / "none")]) == 1
    assert "access.log: cannot be read" in capsys.readouterr().err
