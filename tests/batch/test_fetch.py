"""`python -m batch fetch` against the simulator's APIs, over real HTTP."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.__main__ import main
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.apis.lookup import (
    ItemLookup,
    UserLookup,
    item_defects,
    user_defects,
)
from benchmarks.simulator.live.apis.process import Apis
from benchmarks.simulator.live.apis.server import ApiOptions
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.world import make_world
from store.snapshot import open_snapshot

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE_SECONDS = 30
_SECOND = 2 * DAY_SECONDS  # all users and items exist then
WORLD = make_world(n_users=600, n_items=400, seed=3, n_days=2)
USERS = [str(user) for user in WORLD.users.ids]
ITEMS = list(WORLD.items.ids)
OPTIONS = ApiOptions(per_second=1e6, burst=1_000_000, defect_share=0.05)
FORMAT = OPTIONS.log_format


@pytest.fixture(scope="module")
def shared_apis():
    with Apis(WORLD, OPTIONS) as apis:
        apis.set_clock(_SECOND)
        yield apis


@pytest.fixture
def apis(shared_apis, tmp_path, monkeypatch):
    """APIs that work, and a working directory whose settings name them."""
    monkeypatch.chdir(tmp_path)
    use(shared_apis, monkeypatch)
    yield shared_apis
    shared_apis.set_outage("")


def use(apis, monkeypatch, **settings):
    """Name the APIs and other settings in the environment."""
    base = f"http://{apis.host}:{apis.port}"
    settings = {"user_url": f"{base}/user", "movie_url": f"{base}/movie", "rate": 500} | settings
    for name, value in settings.items():
        monkeypatch.setenv(f"MARQUEE_FETCH_{name.upper()}", str(value))


def write_events(users=USERS, items=ITEMS):
    """Write events that name these users and items, and return the file."""
    n = max(len(users), len(items))
    columns = {"user_id": (users * n)[:n], "item_id": (items * n)[:n]}
    pq.write_table(pa.table(columns), "events.parquet")
    return Path("events.parquet")


def fetch(capsys, status=0):
    """Run the command on the events, and return its summary and its messages."""
    assert main(["fetch", "--events", "events.parquet", "--json"]) == status
    output = capsys.readouterr()
    return json.loads(output.out), output.err


def cached(name):
    return {row["id"]: row for row in pq.read_table(f"var/api/{name}.parquet").to_pylist()}


def expected_docs():
    """Return what the APIs answer about each id."""
    users = UserLookup(WORLD.users, WORLD.seed, FORMAT, OPTIONS.defect_share)
    items = ItemLookup(WORLD.items, WORLD.seed, FORMAT, OPTIONS.defect_share)
    return {
        name: {
            one: json.loads(text)
            for one, text in zip(ids, lookup.find(ids, _SECOND), strict=True)
            if text
        }
        for name, lookup, ids in (("users", users, USERS), ("movies", items, ITEMS))
    }


def expected_violations(defects):
    """Return the simulator's own list of defects, counted by field and kind."""
    counts = Counter(entry for fields in defects for entry in fields.items())
    return {
        field: {kind: n for (name, kind), n in counts.items() if name == field}
        for field in {name for name, _ in counts}
    }


def becomes_true(condition):
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def test_all_that_exist_are_fetched_and_each_violation_is_counted(apis, capsys):
    """Ids that do not exist are unknown, whether alone in a request or not."""
    write_events([*USERS, "999999999"], [*ITEMS, "no+such+film", "zzz"])
    summary, _ = fetch(capsys)
    expected = expected_docs()
    for name, ids, n_unknown in (("users", USERS, 1), ("movies", ITEMS, 2)):
        docs = {one: json.loads(row["doc"]) for one, row in cached(name).items() if row["doc"]}
        assert docs == expected[name]
        assert (summary[name]["found"], summary[name]["unknown"]) == (len(ids), n_unknown)
        assert summary[name]["requests"] == math.ceil((len(ids) + n_unknown) / 200)
    arguments = (WORLD.seed, FORMAT, OPTIONS.defect_share)
    users = expected_violations(user_defects(WORLD.users, *arguments))
    movies = expected_violations(item_defects(WORLD.items, *arguments))
    assert summary["users"]["violations"] == users
    assert summary["movies"]["violations"] == movies
    assert sum(kinds["type"] for kinds in movies.values() if "type" in kinds) == sum(
        n for types in summary["movies"]["wrong_types"].values() for n in types.values()
    )


def test_only_missing_and_old_answers_are_asked_for(apis, capsys, monkeypatch):
    """By the second fetch nothing, then the new ids alone, then all again."""
    write_events(USERS[:300], ITEMS[:100])
    fetch(capsys)
    first = cached("users")
    summary, _ = fetch(capsys)
    assert [summary[name]["requests"] for name in ("movies", "users")] == [0, 0]
    assert summary["users"]["violations"] == {}

    write_events(USERS[:310], ITEMS[:100])
    summary, _ = fetch(capsys)
    assert (summary["users"]["due"], summary["users"]["fresh"]) == (10, 300)
    assert {one: row for one, row in cached("users").items() if one in first} == first

    monkeypatch.setenv("MARQUEE_FETCH_MAX_AGE_DAYS", "0")
    summary, _ = fetch(capsys)
    assert (summary["users"]["due"], summary["users"]["found"]) == (310, 310)
    assert all(row["at"] > first[one]["at"] for one, row in cached("users").items() if one in first)


@pytest.mark.parametrize("outage", ["503", "refused", "hang"])
def test_an_outage_leaves_the_earlier_copy_in_use(apis, capsys, monkeypatch, outage):
    """The status is 1, the message says what is in use, and a refresh reads it."""
    events = write_events()
    fetch(capsys)
    copies = [Path(f"var/api/{name}.parquet").read_bytes() for name in ("movies", "users")]
    apis.set_outage(outage)
    use(apis, monkeypatch, retries=1, max_age_days=0, timeout_seconds=0.3)
    summary, error = fetch(capsys, status=1)
    assert "400 of 400 movies are as they were, and var/api/movies.parquet stays in use" in error
    assert "600 of 600 users are as they were, and var/api/users.parquet stays in use" in error
    assert {"503": "HTTP status 503", "refused": "connection", "hang": "no answer within"}[
        outage
    ] in error
    assert summary["movies"]["found"] == 0
    assert copies == [Path(f"var/api/{name}.parquet").read_bytes() for name in ("movies", "users")]
    if outage == "503":
        inputs = ["--catalogue", "var/api/movies.parquet", "--profiles", "var/api/users.parquet"]
        monkeypatch.setenv("MARQUEE_BATCH_MODEL", "popularity")
        assert main(["refresh", "--events", str(events), *inputs, "--store", "store"]) == 0
        with open_snapshot(Path("store"), 1) as snapshot:
            assert len(list(snapshot.profiles)) > 500
            titles = [json.loads(text).get("title") for _, text in snapshot.items]
        assert sum(title is not None for title in titles) > 350


def test_an_outage_before_the_first_fetch_says_that_there_is_no_copy(apis, capsys, monkeypatch):
    """The twin: once the outage is over, the same command fetches everything."""
    write_events(USERS[:10], ITEMS[:10])
    apis.set_outage("503")
    use(apis, monkeypatch, retries=0)
    _, error = fetch(capsys, status=1)
    assert "there is no earlier copy in var/api/movies.parquet" in error
    apis.set_outage("")
    summary, _ = fetch(capsys)
    assert (summary["movies"]["found"], summary["users"]["found"]) == (10, 10)


def test_a_rate_limit_is_respected(tmp_path, capsys, monkeypatch):
    """Refused requests are sent again after the pause, and everything is fetched."""
    monkeypatch.chdir(tmp_path)
    write_events()
    with Apis(WORLD, ApiOptions(per_second=1, burst=1)) as apis:
        apis.set_clock(_SECOND)
        use(apis, monkeypatch)
        summary, _ = fetch(capsys)
    assert (summary["movies"]["found"], summary["users"]["found"]) == (400, 600)
    failures = Counter(summary["movies"]["failures"]) + Counter(summary["users"]["failures"])
    n_requests = summary["movies"]["requests"] + summary["users"]["requests"]
    assert 0 < failures["HTTP status 429"] == n_requests - 5


def test_a_killed_fetch_goes_on_where_it_was(apis, capsys, monkeypatch):
    """Nothing that was answered is lost or asked for again."""
    write_events(USERS, ITEMS[:20])
    use(apis, monkeypatch, ids_per_request=4, rate=50)
    environ = os.environ | {"PYTHONPATH": str(_ROOT)}
    command = [sys.executable, "-m", "batch", "fetch", "--events", "events.parquet"]
    journal = Path("var/api/users.journal")
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert becomes_true(lambda: journal.exists() and journal.stat().st_size > 3_000)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = {
        line.split("\t")[0]: int(line.split("\t")[1])
        for line in journal.read_text().splitlines(keepends=True)
        if line.endswith("\n")
    }
    assert 0 < len(before) < 600
    use(apis, monkeypatch, rate=500)
    summary, _ = fetch(capsys)
    assert summary["movies"]["due"] == 0
    assert summary["users"]["resumed"] == len(before)
    assert summary["users"]["due"] == 600 - len(before)
    assert summary["users"]["found"] == 600
    users = pq.read_table("var/api/users.parquet")
    assert sorted(users["id"].to_pylist()) == sorted(USERS)
    times = {one: round(row["at"].timestamp() * 1000) for one, row in cached("users").items()}
    assert {one: times[one] for one in before} == before
    arguments = (WORLD.seed, FORMAT, OPTIONS.defect_share)
    assert summary["users"]["violations"] == expected_violations(
        user_defects(WORLD.users, *arguments)
    )


def test_an_older_edition_is_asked_about_one_id_at_a_time(tmp_path, capsys, monkeypatch):
    """It refuses more, which costs as many requests again; its answers lack the newest fields."""
    monkeypatch.chdir(tmp_path)
    write_events(USERS[:16], ITEMS[:1])
    options = dataclasses.replace(OPTIONS, log_format=LOG_FORMATS["2022"], defect_share=0.0)
    with Apis(WORLD, options) as apis:
        apis.set_clock(_SECOND)
        use(apis, monkeypatch, max_age_days=0)
        halved, _ = fetch(capsys)
        use(apis, monkeypatch, max_age_days=0, ids_per_request=1)
        single, _ = fetch(capsys)
    assert (halved["users"]["requests"], halved["users"]["too_large"]) == (31, 15)
    assert (single["users"]["requests"], single["users"]["too_large"]) == (16, 0)
    missing = {"likes": {"missing": 16}, "dislikes": {"missing": 16}}
    assert halved["users"]["violations"] == single["users"]["violations"] == missing


def test_users_of_every_kind_of_event_are_asked_for(apis, capsys):
    """Views, ratings, new accounts, and requests for recommendations."""
    lines = [
        f"2026-03-01T10:00:01,{USERS[0]},GET /data/m/{ITEMS[0]}/1.mpg",
        f"2026-03-01T10:00:02,{USERS[1]},GET /rate/{ITEMS[1]}=4",
        f"2026-03-01T10:00:03,{USERS[2]},GET /create_account",
        f"2026-03-01T10:00:04,{USERS[3]},recommendation request h:1, status 200, result: a, 7 ms",
    ]
    Path("events.parquet").write_text("\n".join(lines) + "\n")  # recognized by its content
    fetch(capsys)
    assert cached("users").keys() == set(USERS[:4])
    assert cached("movies").keys() == set(ITEMS[:2])


def test_forgotten_users_leave_the_copy(apis, capsys):
    """The profiles of the refresh no longer name them; the others' stay."""
    write_events(USERS[:20], ITEMS[:20])
    fetch(capsys)
    Path("marquee.toml").write_text('[batch]\nprofiles = ["var/api/users.parquet"]\n')
    assert main(["forget", USERS[3]]) == 0, capsys.readouterr().err
    assert "1 answers of the user API" in capsys.readouterr().out
    assert cached("users").keys() == set(USERS[:20]) - {USERS[3]}
    assert main(["forget", USERS[3]]) == 1


def test_the_summary_for_people_names_fields_and_kinds(apis, capsys):
    write_events()
    assert main(["fetch", "--events", "events.parquet"]) == 0
    text = capsys.readouterr().out
    runtime = next(line for line in text.splitlines() if line.strip().startswith("runtime"))
    assert "of 400: " in runtime
    assert "missing" in runtime
    assert "of a wrong type" in runtime
    assert runtime.endswith(" text)")
    assert "movies   400 in the events: 0 answered recently, 400 asked for" in text


def test_an_api_that_is_not_named_is_not_asked(apis, capsys, monkeypatch):
    """With neither, the command says what to set."""
    write_events(USERS[:5], ITEMS[:5])
    monkeypatch.setenv("MARQUEE_FETCH_USER_URL", "")
    summary, _ = fetch(capsys)
    assert summary.keys() == {"movies"}
    monkeypatch.setenv("MARQUEE_FETCH_MOVIE_URL", "")
    assert main(["fetch", "--events", "events.parquet"]) == 1
    assert "fetch failed: [fetch]: no API is named; set movie_url" in capsys.readouterr().err


def test_without_the_extra_the_message_names_it(apis):
    """The package is imported by a fetch alone: other commands do not need it."""
    write_events(USERS[:5], ITEMS[:5])
    code = (
        "import sys; sys.modules['aiohttp'] = None; from batch.__main__ import main;"
        "sys.exit(main(['fetch', '--events', 'events.parquet']))"
    )
    environ = os.environ | {"PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "aiohttp: is not installed; install the extra `fetch`" in done.stderr


def test_a_full_disk_is_an_error_and_keeps_the_copy(apis, capsys, monkeypatch):
    """What was answered before is merged by the next fetch."""
    write_events(USERS[:5], ITEMS[:5])
    fetch(capsys)
    copy = Path("var/api/movies.parquet").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("MARQUEE_FETCH_MAX_AGE_DAYS", "0")
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        assert main(["fetch", "--events", "events.parquet"]) == 1
    message = capsys.readouterr().err
    assert "var/api: answers cannot be written: No space left on device; make room" in message
    assert Path("var/api/movies.parquet").read_bytes() == copy
    summary, _ = fetch(capsys)
    assert summary["movies"]["cached"] == 5


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("user_url", "host:8080/user"), ("movie_url", "ftp://host/movie"),
        ("movie_url", "http:///movie"), ("user_url", "http://host/user?key=1"),
        ("user_url", "http://host:x/user"), ("rate", "0"), ("rate", "inf"), ("retries", "-1"),
        ("ids_per_request", "0"), ("ids_per_request", "201"), ("timeout_seconds", "0"),
        ("max_age_days", "-1"), ("path", ""),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(tmp_path, monkeypatch, capsys, key, value):
    """The message names the key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"MARQUEE_FETCH_{key.upper()}", value)
    assert main(["fetch", "--events", "x"]) == 1
    assert f"[fetch] {key} must" in capsys.readouterr().err


def test_the_simulator_s_own_list_is_that_of_its_answers():
    """Fields in the list differ from the valid answer, and no others do."""
    valid = ItemLookup(WORLD.items, WORLD.seed, FORMAT, 0.0).find(ITEMS, _SECOND)
    odd = ItemLookup(WORLD.items, WORLD.seed, FORMAT, 0.2).find(ITEMS, _SECOND)
    listed = item_defects(WORLD.items, WORLD.seed, FORMAT, 0.2)
    n_odd = 0
    for before, after, fields in zip(valid, odd, listed, strict=True):
        assert before is not None
        assert after is not None
        old, new = json.loads(before), json.loads(after)
        different = {name for name in old if name not in new or new[name] != old[name]}
        assert different == set(fields)
        n_odd += len(fields)
    assert 0.15 < n_odd / np.sum([len(json.loads(text)) for text in valid if text]) < 0.25
