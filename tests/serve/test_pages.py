"""Pages for people: what they show, who may read users' data, and what a browser may do."""

import json
from contextlib import contextmanager

import pytest

from serve.settings import ServeSettings
from store.__main__ import main as store_main
from store.pointer import current
from tests.serve.server import Server
from tests.snapshots import make_snapshot

TOKEN = "correct-horse-battery-staple"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
MARKUP = '<img src=x onerror="document.title=1">'
ABOUT: dict[str, dict[str, object]] = {
    "alien": {"title": MARKUP, "year": 1979},
    "brazil": {"title": "Brazil"},
}
GUARDED = ["list?user=ann", "film?item=alien", "compare?before=1&after=2"]


@contextmanager
def serving(folder, **environ):
    """A server of generation 2, in which ann's list differs from that of generation 1."""
    for names in (["alien", "diva"], ["alien", "brazil"]):
        make_snapshot(
            folder / "store", {"ann": names, "bob": ["alien"]}, ["diva"],
            similar={"alien": ["brazil", "diva"]}, about=ABOUT,
        )  # fmt: skip
    with Server(folder / "store", folder, "--workers", "1", nginx=True, **environ) as server:
        server.wait_for_generation(2)
        yield server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """Pages that need the token for users' data."""
    folder = tmp_path_factory.mktemp("pages")
    with serving(folder, MARQUEE_SERVE_ADMIN_TOKEN=TOKEN) as server:
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


def test_search_and_film(opened):
    """A film's neighbours, and the number of users' lists that hold it."""
    assert [one["item_id"] for one in data(opened, "search?q=BRAZ")["items"]] == ["brazil"]
    assert data(opened, "search?q=")["n_found"] == 0
    film = data(opened, "film?item=alien")
    assert [one["item_id"] for one in film["neighbours"]] == ["brazil", "diva"]
    assert (film["n_lists"], film["n_users"]) == (2, 2)


def test_compare(opened):
    """One of two users has another list."""
    found = data(opened, "compare?before=1&after=2")

    assert (found["n_changed"], found["n_same"]) == (1, 1)
    assert [(one["item_id"], one["change"]) for one in found["rose"]] == [("brazil", 1)]
    assert [(one["item_id"], one["change"]) for one in found["fell"]] == [("diva", -1)]


def test_generations_and_service(guarded):
    """Public, without an operator's reasons; these come with the token."""
    found = data(guarded, "generations")
    assert (found["current"], [one["generation"] for one in found["generations"]]) == (2, [2, 1])

    public, whole = data(guarded, "status"), data(guarded, "status", AUTHORIZATION)
    assert (public["generation"], public["publishes"][0]["what"]) == (2, "publish")
    assert "why" not in public["publishes"][0]
    assert whole["publishes"][0]["why"] == "made by a test"
    assert [worker["ready"] for worker in public["workers"]] == [True, True]


@pytest.mark.parametrize(
    ("path", "status"),
    [("list", 400), ("list?user=a,b", 400), ("list?user=ann&generation=x", 400),
     ("list?user=ann&generation=9", 404), ("film?item=none", 404), ("compare?before=-1", 400)],
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
