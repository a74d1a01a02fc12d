"""`/admin/`: its effects on the store, and requests without the token."""

import json

import pytest

from store.journal import journal
from store.pointer import current, pinned
from store.publish import writing
from store.refresh_request import take_refresh_request
from store.takedown import takedowns
from tests.serve.server import Server, wait_until
from tests.snapshots import make_snapshot

TOKEN = "correct-horse-battery-staple"
ENVIRON = {"MARQUEE_SERVE_ADMIN_TOKEN": TOKEN}
ACTIONS = ["rollback", "pin", "unpin", "takedown", "train"]
PATHS = [*(f"/admin/{name}" for name in ACTIONS), "/train"]
NO_REASONS = [{}, {"why": ""}, {"why": "  "}, {"why": 5}, {"why": None}, {"why": ["x"]}]


def post(server, path, body, token=TOKEN):
    """POST a body, as JSON unless it is text already."""
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
    """A server of generation 2, with a token."""
    for name in ("alien", "brazil"):
        make_snapshot(store, {"ann": [name]}, ["popular"], spares={"ann": ["spare"]})
    server = serve("--workers", "1", nginx=True, **ENVIRON)
    server.wait_for_generation(2)
    return server


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A shared server for tests that change nothing."""
    folder = tmp_path_factory.mktemp("guarded")
    make_snapshot(folder / "store", {"ann": ["alien"]}, ["popular"])
    with Server(folder / "store", folder, "--workers", "1", nginx=True, **ENVIRON) as server:
        server.wait_for_generation(1)
        yield server


# The token


@pytest.mark.parametrize("path", PATHS)
def test_without_a_configured_token_admin_is_not_found(behind_nginx, answering, path):
    """Behind nginx and bare, with any token in the request."""
    for server in (behind_nginx, answering):
        assert refused(post(server, path, {"why": "x"}), 404)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN,
     f"bearer  {TOKEN}", f"Basic {TOKEN}", "Bearer \xff\xfe"],
)  # fmt: skip
def test_requests_without_the_token_are_unauthorized(guarded, path, authorization):
    """They get 401 with the scheme to use, and the store does not change."""
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = guarded.get(path, "POST", headers, '{"why": "x", "items": ["alien"]}')

    refused(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert current(guarded.store) == 1
    assert pinned(guarded.store) is None
    assert takedowns(guarded.store) == {}
    assert take_refresh_request(guarded.store) is None


def test_the_token_may_be_read_from_a_file(serve, store, tmp_path):
    """It then stands neither in the environment nor in the configuration."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    make_snapshot(store, {"ann": ["alien"]}, ["popular"])
    server = serve("--workers", "1", nginx=True, MARQUEE_SERVE_ADMIN_TOKEN_FILE="token")

    assert refused(post(server, "/admin/train", {"why": "x"}, "wrong"), 401)
    assert done(post(server, "/admin/train", {"why": "x"}))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_actions_accept_only_post(guarded, method):
    """Another method gets 405 and changes nothing."""
    answer = guarded.get("/admin/train", method, {"Authorization": f"Bearer {TOKEN}"})

    refused(answer, 405)
    assert "POST" in answer.headers["Allow"]
    assert take_refresh_request(guarded.store) is None


def test_an_unknown_action_is_not_found(guarded):
    """Only with the token; without it the answer is 401."""
    refused(post(guarded, "/admin/explode", {"why": "x"}), 404)
    refused(post(guarded, "/admin/explode", {"why": "x"}, None), 401)


# Effects


def test_rollback_makes_the_parent_current(admin, store):
    """Workers follow, and the journal contains the reason."""
    answer = done(post(admin, "/admin/rollback", {"why": "wrong titles"}))

    assert (answer, current(store)) == ({"generation": 1}, 1)
    wait_until(lambda: admin.get("/recommend/ann").text == "alien")
    assert "wrong titles" in journal(store)[-1].why


def test_rollback_accepts_any_generation(admin, store):
    """Older or newer."""
    done(post(admin, "/admin/rollback", {"why": "too new", "to": 1}))
    done(post(admin, "/admin/rollback", {"why": "it was right", "to": 2}))

    assert current(store) == 2


@pytest.mark.parametrize("to", [99, 2**63 - 1, 10**300], ids=["99", "2**63-1", "10**300"])
def test_an_unknown_generation_is_a_conflict(admin, store, to):
    """Nothing changes."""
    for action in ("rollback", "pin"):
        answer = post(admin, f"/admin/{action}", {"why": "x", "to": to})
        assert answer.status in (400, 409)
        refused(answer, answer.status)
    assert (current(store), pinned(store)) == (2, None)


def test_pin_keeps_the_current_generation(admin, store):
    """A new snapshot is built and not served; a rollback is rejected."""
    assert done(post(admin, "/admin/pin", {"why": "premiere tonight"})) == {"generation": 2}
    assert pinned(store) == (2, "premiere tonight")

    make_snapshot(store, {"ann": ["diva"]}, ["popular"])
    assert current(store) == 2
    problem = refused(post(admin, "/admin/rollback", {"why": "x"}), 409)
    assert "pin" in problem["detail"]
    assert current(store) == 2


def test_pin_accepts_a_generation(admin, store):
    """It becomes current and stays."""
    assert done(post(admin, "/admin/pin", {"why": "known to be good", "to": 1}))
    assert (current(store), pinned(store)) == (1, (1, "known to be good"))


def test_unpin_publishes_the_newest_generation(admin, store):
    """The snapshot built meanwhile is served."""
    done(post(admin, "/admin/pin", {"why": "premiere tonight"}))
    make_snapshot(store, {"ann": ["diva"]}, ["popular"])

    assert done(post(admin, "/admin/unpin", {"why": "it is over"})) == {"generation": 3}
    assert (current(store), pinned(store)) == (3, None)
    wait_until(lambda: admin.get("/recommend/ann").text == "diva")


def test_takedown_removes_items_from_the_lists(admin, store):
    """Item ids may contain plus signs; the answer names all items taken down."""
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
def test_train_records_a_request(admin, store, path):
    """The scheduler finds it in the store, with the reason."""
    done(post(admin, path, {"why": "the catalogue\nhas changed"}))

    assert take_refresh_request(store) == "the catalogue has changed"


def test_a_busy_store_is_503_with_retry_after(admin, store):
    """While another process writes."""
    with writing(store):
        answer = post(admin, "/admin/rollback", {"why": "x"})

    refused(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0
    assert current(store) == 2


# Malformed bodies


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", NO_REASONS, ids=repr)
def test_an_action_without_a_reason_is_rejected(guarded, path, body):
    """The reason is for the journal."""
    problem = refused(post(guarded, path, {"items": ["alien"], **body}), 400)

    assert problem["title"] == "malformed why"
    assert takedowns(guarded.store) == {}
    assert take_refresh_request(guarded.store) is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", ["{", "[]", "null", '"x"', "[" * 8000, '{"why": NaN}'], ids=repr)
def test_a_body_other_than_an_object_is_rejected(guarded, path, body):
    """Each action validates it."""
    refused(post(guarded, path, body), 400)


def test_a_lone_surrogate_in_a_reason_becomes_a_question_mark(admin, store):
    """JSON can contain one, a file cannot."""
    done(post(admin, "/admin/takedown", '{"why": "\\ud800!", "items": ["brazil"]}'))
    done(post(admin, "/admin/train", '{"why": "\\ud800!"}'))
    done(post(admin, "/admin/pin", '{"why": "\\ud800!"}'))

    assert takedowns(store)["brazil"].why == "?!"
    assert take_refresh_request(store) == "?!"
    assert pinned(store) == (2, "?!")


@pytest.mark.parametrize("to", [0, -1, 1.5, "1", True, [1]])
@pytest.mark.parametrize("action", ["rollback", "pin"])
def test_a_malformed_generation_is_rejected(guarded, action, to):
    """It must be a whole number from 1."""
    problem = refused(post(guarded, f"/admin/{action}", {"why": "x", "to": to}), 400)

    assert problem["title"] == "malformed to"


@pytest.mark.parametrize(
    "items",
    [None, [], "alien", {}, ["alien", 5], [""], ["a,b"], ["alien", "a b"], ["x" * 201],
     ["\ud800"], ["alien\n"]],
    ids=repr,
)  # fmt: skip
def test_one_malformed_item_rejects_the_whole_takedown(guarded, items):
    """The well-formed items are not taken down either."""
    problem = refused(post(guarded, "/admin/takedown", {"why": "x", "items": items}), 400)

    assert problem["title"] == "malformed items"
    assert takedowns(guarded.store) == {}
