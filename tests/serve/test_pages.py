"""Pages for people: what they show, who may read users' data, and what a browser may do."""

import json
import time
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime

import pytest

from batch.report.make import make_report
from batch.report.settings import ReportSettings
from serve.pages.jobs import jobs
from serve.pages.looks import looks_at
from serve.pages.reports import Tickets
from serve.settings import ServeSettings
from store.__main__ import main as store_main
from store.pointer import current
from tests.experiments import experiment_of
from tests.serve.page_files import ALARM_TEXT, leave_files, look, paths
from tests.serve.server import Server, wait_until
from tests.snapshots import make_snapshot

DATA_UNTIL = "2026-01-02T03:04:05"
TOKEN = "correct-horse-battery-staple"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
MARKUP = '<img src=x onerror="document.title=1">'
ABOUT: dict[str, dict[str, object]] = {
    "alien": {"title": MARKUP, "year": 1979},
    "brazil": {"title": "Brazil"},
}
GUARDED = [
    "list?user=ann",
    "reasons?user=ann",
    "film?item=alien",
    "compare?before=1&after=2",
    "report?generation=2",
]


@contextmanager
def serving(folder, *, has_files=False, **environ):
    """A server of generation 2, in which ann's list differs from that of generation 1.

    Generation 2 has a report. With `has_files` other processes have left theirs.
    """
    for names in (["alien", "diva"], ["alien", "brazil"]):
        make_snapshot(
            folder / "store", {"ann": names, "bob": ["alien"]}, ["diva"],
            similar={"alien": ["brazil", "diva"]}, about=ABOUT,
            metrics={"ndcg": 0.25 if "brazil" in names else 0.2, "data_until": DATA_UNTIL},
            parameters={} if "brazil" in names else {"alpha": 1},
        )  # fmt: skip
    make_report(folder / "store", 2, ReportSettings(str(folder / "online")))
    environ = paths(folder) | {"MARQUEE_SERVE_STALE_HOURS": "1e6"} | environ
    with Server(folder / "store", folder, "--workers", "1", nginx=True, **environ) as server:
        server.wait_for_generation(2)
        if has_files:
            leave_files(folder)
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Pages that need the token for users' data; an experiment runs."""
    folder = tmp_path_factory.mktemp("pages")
    with serving(folder, has_files=True, MARQUEE_SERVE_ADMIN_TOKEN=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Open pages, on loopback."""
    with serving(tmp_path_factory.mktemp("open"), MARQUEE_SERVE_PAGES="open") as server:
        yield server


def data(server, path, headers=None):
    answer = server.get(f"/pages/data/{path}", headers=headers or {})
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


@pytest.mark.parametrize("path", ["/", "/status", "/generations", "/pages/common.js"])
def test_a_page_runs_no_script_but_its_own(guarded, path):
    """No script or style inline, no other host, no frame, no sniffing."""
    answer = guarded.get(path)

    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("path", GUARDED)
def test_users_data_needs_the_token(guarded, path):
    """Without it, or with another one, 401; with it, the answer."""
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
        assert guarded.get(f"/pages/data/{path}", headers=headers).status == 401
    data(guarded, path, AUTHORIZATION)


def test_open_pages_answer_to_names_of_loopback_alone(opened):
    """A name that a foreign page led to this address gets 401, as without the token."""
    assert data(opened, "list?user=ann")["items"]
    foreign = opened.get("/pages/data/list?user=ann", headers={"Host": "rebound.example"})
    assert foreign.status == 401


def test_open_pages_are_refused_on_other_addresses():
    """`open` needs loopback; the words of the setting are checked."""
    ServeSettings(host="::1", pages="open")
    for host in ("0.0.0.0", "192.0.2.1", "example.org"):
        with pytest.raises(ValueError, match="must be a loopback address"):
            ServeSettings(host=host, pages="open")
    with pytest.raises(ValueError, match="pages must be one of on, open, off"):
        ServeSettings(pages="public")


def test_pages_can_be_left_out(serve, store):
    """With `off` no page exists, and `/` is the form for the endpoints."""
    make_snapshot(store, {"ann": ["alien"]}, ["diva"])
    server = serve("--workers", "1", nginx=True, MARQUEE_SERVE_PAGES="off")
    server.wait_for_generation(1)

    for path in ("/status", "/generations", "/pages/data/status"):
        assert server.get(path).status == 404
    assert "Every form sends one request" in server.get("/").text


def test_a_list_in_two_generations(opened):
    """Each generation's own list; the served one is the default."""
    now, before = data(opened, "list?user=ann"), data(opened, "list?user=ann&generation=1")

    assert [one["item_id"] for one in now["items"]] == ["alien", "brazil"]
    assert [one["item_id"] for one in before["items"]] == ["alien", "diva"]
    assert (now["generation"], now["source"], now["arm"]) == (2, "list", None)
    assert now["items"][0]["title"] == MARKUP
    assert now["history"] is None  # these snapshots do not say
    assert data(opened, "list?user=stranger")["source"] == "popular"


def test_what_places_each_film_is_computed_while_the_page_asks_again(opened):
    """This snapshot was built without files for folding in, and that is what the page says."""
    wait_until(lambda: data(opened, "reasons?user=ann")["state"] == "failed")
    assert data(opened, "reasons?user=ann")["state"] == "running"  # once more
    answer = opened.get("/pages/data/reasons?user=nobody")
    assert answer.status == 404
    assert "no list of their own" in answer.text


def test_in_an_experiment_the_arm_serves_its_own_generation(guarded):
    """Whichever generation is looked at; the control's and the treatment's users both occur."""
    arms = {"control": 2, "treatment": 1}
    found = [data(guarded, f"list?user=user{n}", AUTHORIZATION) for n in range(20)]
    assert {one["arm"] for one in found} == set(arms)
    assert all(one["generation"] == one["served"] == arms[one["arm"]] for one in found)
    user = next(one["user_id"] for one in found if one["arm"] == "treatment")
    looked_at = data(guarded, f"list?user={user}&generation=2", AUTHORIZATION)
    assert (looked_at["generation"], looked_at["served"]) == (2, 1)


def test_search_and_film(opened):
    """A film's neighbours, and the number of users' lists that hold it."""
    assert [one["item_id"] for one in data(opened, "search?q=BRAZ")["items"]] == ["brazil"]
    assert data(opened, "search?q=")["n_found"] == 0
    film = data(opened, "film?item=alien")
    assert [one["item_id"] for one in film["neighbours"]] == ["brazil", "diva"]
    assert (film["n_lists"], film["n_users"]) == (2, 2)
    assert data(opened, "film?item=diva")["n_lists"] == 0
    assert data(opened, "film?item=diva&generation=1")["n_lists"] is None  # it has no report


def test_compare(opened):
    """One of two users has another list."""
    found = data(opened, "compare?before=1&after=2")

    assert (found["n_changed"], found["n_same"]) == (1, 1)
    assert [(one["item_id"], one["change"]) for one in found["rose"]] == [("brazil", 1)]
    assert [(one["item_id"], one["change"]) for one in found["fell"]] == [("diva", -1)]
    differing = {(one["part"], one["name"]): (one["a"], one["b"]) for one in found["entries"]}
    assert differing["metrics", "ndcg"] == (0.2, 0.25)
    assert differing["parameters", "alpha"] == (1, None)
    assert ("counts", "recs.mdb/users") not in differing  # two users in both


def test_a_report_opens_by_a_ticket_alone(guarded, opened):
    """Its address comes with the token; it is good for that generation, and runs no script."""
    entries = data(guarded, "generations")["generations"]
    assert [one["has_report"] for one in entries] == [True, False]
    assert guarded.get("/pages/data/report?generation=2").status == 401
    address = data(guarded, "report?generation=2", AUTHORIZATION)["address"]
    answer = guarded.get(address)
    assert (answer.status, "What changed" in answer.text) == (200, True)
    way_back = '<p><a href="/generations">Back to the generations</a></p>'
    file = (guarded.store / "snapshots" / "000002" / "report.html").read_text()
    assert answer.text.replace(way_back, "") == file != answer.text
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none';")
    missing = guarded.get(data(guarded, "report?generation=1", AUTHORIZATION)["address"])
    assert (missing.status, "no report" in missing.text) == (404, True)
    for forged in (
        address.replace("generation=2", "generation=1"), address[:-1], address + "0",
        "/pages/report?generation=2", "/pages/report?generation=2&ticket=99999999999-0",
    ):  # fmt: skip
        assert guarded.get(forged).status == 403
    assert opened.get(address).status == 403  # another process, another key
    assert opened.get(data(opened, "report?generation=2")["address"]).status == 200  # no token


def test_a_ticket_is_good_for_a_minute(monkeypatch):
    tickets = Tickets()
    ticket, now = tickets.make(7), time.time()
    for later, is_valid in ((55, True), (61, False)):
        monkeypatch.setattr(time, "time", lambda at=now + later: at)
        assert tickets.is_valid(7, ticket) is is_valid


def test_the_service_says_until_when_its_events_are(guarded):
    """Lists of today may be made from events of last year."""
    assert data(guarded, "status")["data_until"] == DATA_UNTIL
    assert {one["data_until"] for one in data(guarded, "generations")["generations"]} == {
        DATA_UNTIL
    }


def test_generations_and_service(guarded):
    """Public, without an operator's reasons; these come with the token."""
    found = data(guarded, "generations")
    assert (found["current"], [one["generation"] for one in found["generations"]]) == (2, [2, 1])

    public, whole = data(guarded, "status"), data(guarded, "status", AUTHORIZATION)
    assert (public["generation"], public["publishes"][0]["what"]) == (2, "publish")
    assert "why" not in public["publishes"][0]
    assert whole["publishes"][0]["why"] == "made by a test"
    assert [worker["ready"] for worker in public["workers"]] == [True, True]


def test_collector_jobs_and_experiment(guarded):
    """Their own files, read; the text of an alarm, which may hold a line of a log, by the token."""
    public, whole = data(guarded, "status"), data(guarded, "status", AUTHORIZATION)
    assert public["collector"]["summary"].startswith("The collector is running, not behind")
    (job,) = public["cron"]["jobs"]
    assert (job["name"], job["result"], job["seconds"]) == ("refresh", "succeeded", 42)
    assert public["alarms"] == ["alarm of the scheduler: attack"]
    assert "text" not in public["cron"]["alarms"][0]
    assert whole["cron"]["alarms"][0]["text"] == ALARM_TEXT
    running = public["experiment"]
    assert running["ahead"] == (
        "“treatment” is ahead of “control”, significantly better: "
        "click-through +0.05, 95 % interval +0.01 to +0.09."
    )
    assert running["stop"].startswith("Yes: “treatment” is better in click-through.")
    assert [one["differences"][0]["low"] for one in running["looks"]][-1] == pytest.approx(0.01)


@pytest.mark.parametrize(("effect", "where"), [(0.05, "ahead of"), (-0.05, "behind")])
def test_without_a_decision_no_arm_is_ahead_for_sure(tmp_path, effect, where):
    """The sentence begins with that, and says on which side the arm is so far."""
    experiment = experiment_of(1, 2)
    (tmp_path / "experiments").mkdir()
    found = asdict(look(experiment, 0.5))
    compared = found["figures"]["comparisons"][0]
    compared |= {"effect": effect, "effect_low": effect - 0.08, "effect_high": effect + 0.08}
    (tmp_path / "experiments" / "test.jsonl").write_text(json.dumps(found))
    assert looks_at(tmp_path, experiment)["ahead"].startswith(
        f"None for sure: “treatment” is {where} “control” so far, not significantly: click-through"
    )


def test_a_look_of_an_earlier_version_is_shown_in_words(tmp_path):
    """Its reason has the key of the metric; of three arms the interval of each is wider."""
    experiment = experiment_of(1, 2, 3)
    (tmp_path / "experiments").mkdir()
    found = asdict(look(experiment, 1.0)) | {"why": "treatment is better in click_through"}
    (tmp_path / "experiments" / "test.jsonl").write_text(json.dumps(found))
    shown = looks_at(tmp_path, experiment)
    assert shown["stop"].startswith("Yes: treatment is better in click-through.")
    assert "97.5 % interval +0.01 to +0.09" in shown["ahead"]
    assert (shown["level"], shown["difference_level"]) == ("95 %", "97.5 %")


def test_without_their_files_a_sentence_says_so(opened):
    found = data(opened, "status")
    assert found["collector"] == {"summary": "No collector has run here."}
    assert found["cron"]["summary"] == "No scheduler has run here."
    assert (found["experiment"], found["alarms"]) == (None, [])


@pytest.mark.parametrize("text", ["[]", "{", '{"at": 7, "jobs": {}}', '{"jobs": {"x": 1}}'])
def test_damaged_files_of_the_scheduler_are_shown_as_such(tmp_path, text):
    (tmp_path / "STATUS").write_text(text)
    shown = jobs(tmp_path, datetime.now(UTC), is_operator=True)
    assert shown["summary"].startswith("The state of the scheduler is not valid: ")
    assert (shown["alarm"], shown["jobs"]) == (True, [])


def test_looks_of_another_form_are_shown_as_such(tmp_path):
    """Those at another experiment of the name do not count, nor does a torn line."""
    experiment = experiment_of(1, 2)
    (tmp_path / "experiments").mkdir()
    file = tmp_path / "experiments" / "test.jsonl"
    file.write_text('{"experiment": "another"}\n{"experi')
    assert looks_at(tmp_path, experiment)["ahead"].startswith("Not known yet: no look was taken")
    early = asdict(look(experiment, 0.1))
    early["figures"]["comparisons"][0]["effect_low"] = None  # it was infinite
    file.write_text(json.dumps(early))
    shown = looks_at(tmp_path, experiment)
    assert shown["ahead"] == "No arm can be compared yet: too few users."
    assert shown["stop"] == "Not yet: no decision yet; 10% of the planned time."
    file.write_text(json.dumps({"experiment": f"{experiment.identity:016x}", "at": 1}))
    assert looks_at(tmp_path, experiment)["ahead"].startswith("The looks are not valid")


@pytest.mark.parametrize(
    ("path", "status"),
    [("list", 400), ("list?user=a,b", 400), ("list?user=ann&generation=x", 400),
     ("list?user=ann&generation=9", 404), ("film?item=none", 404), ("compare?before=-1", 400),
     ("report", 400)],
)  # fmt: skip
def test_bad_input(opened, path, status):
    """It is named in a problem document."""
    answer = opened.get(f"/pages/data/{path}")
    assert (answer.status, json.loads(answer.body)["status"]) == (status, status)


@pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403)])
def test_an_action_from_another_site_is_refused(guarded, site, status):
    """Even with the token; the same request of our own page is taken."""
    headers = AUTHORIZATION | {"Content-Type": "application/json"}
    body = json.dumps({"why": "x", "to": 2})

    forged = guarded.get("/admin/rollback", "POST", headers | {"Sec-Fetch-Site": site}, body)
    own = guarded.get("/admin/pin", "POST", headers | {"Sec-Fetch-Site": "same-origin"}, "{}")

    assert forged.status == status
    assert own.status == 400  # it reached the action, which lacks a reason
    assert current(guarded.store) == 2


def test_top_shows_the_figures_of_a_running_server(opened, capsys):
    opened.get("/recommend/ann")
    url = f"http://{opened.host}:{opened.port}"

    assert store_main(["--store", str(opened.store), "top", "--json", "--interval", "0.01",
                       "--url", url]) == 0  # fmt: skip
    found = json.loads(capsys.readouterr().out)["server"]
    assert (found["error"], found["generation"], found["n_workers"]) == (None, 2, 2)
    assert found["n_ready"] == 2
