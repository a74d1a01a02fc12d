"""`/admin/`: what an operator changes, really on the store, and who is kept out."""

import json

import pytest

from store.journal import journal
from store.pointer import current, pinned
from store.publish import writing
from store.refresh_request import take_refresh_request
from store.takedown import takedowns
from tests.serve.running import Server, wait_until
from tests.snapshots import make_snapshot

TOKEN = "correct-horse-battery-staple"
ENVIRON = {"MARQUEE_SERVE_ADMIN_TOKEN": TOKEN}
ACTIONS = ["rollback", "pin", "unpin", "takedown", "train"]
PATHS = [*(f"/admin/{name}" for name in ACTIONS), "/train"]
NO_REASONS = [{}, {"why": ""}, {"why": "  "}, {"why": 5}, {"why": None}, {"why": ["x"]}]


def post(server, path, body, token=TOKEN):
    """Send a body to `/admin/`, JSON unless it is text already."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    text = body if isinstance(body, str) else json.dumps(body)
    return server.get(path, "POST", headers, text)


def done(answer):
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


def refused(answer, status):
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    problem = json.loads(answer.body)
    assert problem["status"] == status
    return problem


@pytest.fixture
def admin(serve, store):
    """A server of generation 2 that an operator may change."""
    for name in ("alien", "brazil"):
        make_snapshot(store, {"ann": [name]}, ["popular"], spares={"ann": ["spare"]})
    server = serve("--workers", "1", front=True, **ENVIRON)
    server.wait_for_generation(2)
    return server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The same for tests in which nothing changes."""
    folder = tmp_path_factory.mktemp("guarded")
    make_snapshot(folder / "store", {"ann": ["alien"]}, ["popular"])
    with Server(folder / "store", folder, "--workers", "1", front=True, **ENVIRON) as server:
        server.wait_for_generation(1)
        server.store = folder / "store"
        yield server


# Who comes in


@pytest.mark.parametrize("path", PATHS)
def test_without_a_token_configured_there_is_no_admin(fronted, answering, path):
    """It is 404, behind nginx and bare, whatever is sent."""
    for server in (fronted, answering):
        assert refused(post(server, path, {"why": "x"}), 404)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN,
     f"bearer  {TOKEN}", f"Basic {TOKEN}", "Bearer \xff\xfe"],
)  # fmt: skip
def test_nobody_comes_in_without_the_token(guarded, path, authorization):
    """It is 401 with the scheme to use, and the store stays as it is."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = guarded.get(path, "POST", headers, '{"why": "x", "items": ["alien"]}')

    refused(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert current(guarded.store) == 1
    assert pinned(guarded.store) is None
    assert takedowns(guarded.store) == {}
    assert take_refresh_request(guarded.store) is None


def test_the_token_may_stand_in_a_file(serve, store, tmp_path):
    """Then it stands in no environment and no configuration."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    make_snapshot(store, {"ann": ["alien"]}, ["popular"])
    server = serve("--workers", "1", front=True, MARQUEE_SERVE_ADMIN_TOKEN_FILE="token")

    assert refused(post(server, "/admin/train", {"why": "x"}, "wrong"), 401)
    assert done(post(server, "/admin/train", {"why": "x"}))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_action_is_a_post(guarded, method):
    """Another method is 405 and changes nothing."""
    answer = guarded.get("/admin/train", method, {"Authorization": f"Bearer {TOKEN}"})

    refused(answer, 405)
    assert "POST" in answer.headers["Allow"]
    assert take_refresh_request(guarded.store) is None


def test_an_unknown_action_is_not_found(guarded):
    """With the token; without one nobody learns what there is."""
    refused(post(guarded, "/admin/explode", {"why": "x"}), 404)
    refused(post(guarded, "/admin/explode", {"why": "x"}, None), 401)


# What they do


def test_rollback_goes_to_the_parent(admin, store):
    """The list is the old one within a second, and the journal says why."""
    answer = done(post(admin, "/admin/rollback", {"why": "wrong titles"}))

    assert (answer, current(store)) == ({"generation": 1}, 1)
    wait_until(lambda: admin.get("/recommend/ann").text == "alien")
    assert "wrong titles" in journal(store)[-1].why


def test_rollback_goes_to_any_generation(admin, store):
    """And back."""
    done(post(admin, "/admin/rollback", {"why": "too new", "to": 1}))
    done(post(admin, "/admin/rollback", {"why": "it was right", "to": 2}))

    assert current(store) == 2


@pytest.mark.parametrize("to", [99, 2**63 - 1, 10**300], ids=["99", "2**63-1", "10**300"])
def test_a_generation_that_is_not_there_is_a_conflict(admin, store, to):
    """Nothing moves."""
    for action in ("rollback", "pin"):
        answer = post(admin, f"/admin/{action}", {"why": "x", "to": to})
        assert answer.status in (400, 409)
        refused(answer, answer.status)
    assert (current(store), pinned(store)) == (2, None)


def test_pin_holds_what_is_served(admin, store):
    """A new snapshot is kept and not served; a rollback is refused."""
    assert done(post(admin, "/admin/pin", {"why": "premiere tonight"})) == {"generation": 2}
    assert pinned(store) == (2, "premiere tonight")

    make_snapshot(store, {"ann": ["diva"]}, ["popular"])
    assert current(store) == 2
    problem = refused(post(admin, "/admin/rollback", {"why": "x"}), 409)
    assert "pin" in problem["detail"]
    assert current(store) == 2


def test_pin_may_name_a_generation(admin, store):
    """The store goes there and stays."""
    assert done(post(admin, "/admin/pin", {"why": "known to be good", "to": 1}))
    assert (current(store), pinned(store)) == (1, (1, "known to be good"))


def test_unpin_goes_to_the_newest(admin, store):
    """What was built meanwhile is served."""
    done(post(admin, "/admin/pin", {"why": "premiere tonight"}))
    make_snapshot(store, {"ann": ["diva"]}, ["popular"])

    assert done(post(admin, "/admin/unpin", {"why": "it is over"})) == {"generation": 3}
    assert (current(store), pinned(store)) == (3, None)
    wait_until(lambda: admin.get("/recommend/ann").text == "diva")


def test_takedown_takes_effect_in_the_lists(admin, store):
    """Item ids with plus signs, too; the answer names all that are left out now."""
    body = {"why": "licence ended", "items": ["brazil", "casablanca+1942"]}

    assert done(post(admin, "/admin/takedown", body)) == {
        "taken_down": ["brazil", "casablanca+1942"]
    }
    assert {item: entry.why for item, entry in takedowns(store).items()} == {
        "brazil": "licence ended",
        "casablanca+1942": "licence ended",
    }
    wait_until(lambda: admin.get("/recommend/ann").text == "spare")


@pytest.mark.parametrize("path", ["/admin/train", "/train"])
def test_train_leaves_a_request(admin, store, path):
    """The clock finds it in the store, with the reason."""
    done(post(admin, path, {"why": "the catalogue\nhas changed"}))

    assert take_refresh_request(store) == "the catalogue has changed"


def test_a_busy_store_is_tried_again(admin, store):
    """While another process writes it is 503, with the time to wait."""
    with writing(store):
        answer = post(admin, "/admin/rollback", {"why": "x"})

    refused(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert current(store) == 2


# Bad bodies


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", NO_REASONS, ids=repr)
def test_without_a_reason_nothing_is_done(guarded, path, body):
    """It stands in the journal, so it must say something."""
    problem = refused(post(guarded, path, {"items": ["alien"], **body}), 400)

    assert problem["title"] == "malformed why"
    assert takedowns(guarded.store) == {}
    assert take_refresh_request(guarded.store) is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", ["{", "[]", "null", '"x"', "[" * 8000, '{"why": NaN}'], ids=repr)
def test_a_body_that_is_no_object_is_refused(guarded, path, body):
    """As everywhere."""
    refused(post(guarded, path, body), 400)


def test_a_reason_outside_unicode_breaks_nothing(admin, store):
    """A lone surrogate can be written in JSON, but in no file: a question mark stands for it."""
    done(post(admin, "/admin/takedown", '{"why": "\\ud800!", "items": ["brazil"]}'))
    done(post(admin, "/admin/train", '{"why": "\\ud800!"}'))
    done(post(admin, "/admin/pin", '{"why": "\\ud800!"}'))

    assert takedowns(store)["brazil"].why == "?!"
    assert take_refresh_request(store) == "?!"
    assert pinned(store) == (2, "?!")


@pytest.mark.parametrize("to", [0, -1, 1.5, "1", True, [1]])
@pytest.mark.parametrize("action", ["rollback", "pin"])
def test_a_bad_generation_is_refused(guarded, action, to):
    """It is a whole number from 1."""
    problem = refused(post(guarded, f"/admin/{action}", {"why": "x", "to": to}), 400)

    assert problem["title"] == "malformed to"


@pytest.mark.parametrize(
    "items",
    [None, [], "alien", {}, ["alien", 5], [""], ["a,b"], ["alien", "a b"], ["x" * 201],
     ["\ud800"], ["alien\n"]],
    ids=repr,
)  # fmt: skip
def test_bad_items_are_refused_all_together(guarded, items):
    """One that is no item id keeps the others from being taken down, too."""
    problem = refused(post(guarded, "/admin/takedown", {"why": "x", "items": items}), 400)

    assert problem["title"] == "malformed items"
    assert takedowns(guarded.store) == {}
