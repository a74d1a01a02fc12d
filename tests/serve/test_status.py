"""`/model/status` and `/readyz`: the served model, and readiness."""

import json
from datetime import UTC, datetime

import pytest

from tests.serve.server import ask, flip_byte, force_current, wait_until
from tests.snapshots import make_snapshot

FINISHED_AT = "2026-03-01T02:30:00+00:00"  # of every snapshot here
NEVER_STALE = {"MARQUEE_SERVE_STALE_HOURS": "1e9"}
EMERGENCY = {"MARQUEE_SERVE_EMERGENCY_LIST": '["zulu+1964"]'}


def ready(server):
    answer = server.get("/readyz")
    return answer.status, json.loads(answer.body)


@pytest.fixture
def served(serve, store):
    """Start a server of generation 1."""

    def start(**more):
        make_snapshot(store, {"ann": ["alien"]}, ["brazil"], parameters={"alpha": 40})
        server = serve("--workers", "1", **more)
        server.wait_for_generation(1)
        return server

    return start


# /model/status


@pytest.mark.parametrize("behind_nginx", [False, True], ids=["bare", "nginx"])
def test_the_model_status_is_that_of_the_manifest(served, behind_nginx):
    """Generation, age, data, metrics and parameters."""
    server = served(nginx=behind_nginx)
    status = json.loads(server.get("/model/status").body)
    age = (datetime.now(UTC) - datetime.fromisoformat(FINISHED_AT)).total_seconds()

    assert abs(status.pop("age_seconds") - age) < 60
    assert status.pop("counts")["recs.mdb/users"] == 1
    assert status == {
        "generation": 1,
        "parent": None,
        "finished_at": FINISHED_AT,
        "code_version": "test",
        "data": [],
        "parameters": {"alpha": 40},
        "metrics": {},
        "gate": {"result": "passed"},
        "experiment": None,
    }


def test_the_model_status_follows_a_swap(served, store):
    """The next snapshot names its parent."""
    server = served()
    make_snapshot(store, {"ann": ["diva"]}, ["brazil"])
    server.wait_for_generation(2)
    status = json.loads(server.get("/model/status").body)

    assert (status["generation"], status["parent"]) == (2, 1)


def test_an_empty_store_has_no_model(serve):
    """The generation is null, with status 200."""
    answer = serve("--workers", "1").get("/model/status")

    assert (answer.status, json.loads(answer.body)) == (200, {"generation": None})


SECRETS = {
    "alpha": 40.0,
    "model": "als",
    "taken_down": ["secret+item"],
    "catalogue": "/srv/secret/movies.csv",
    "events": ["/srv/secret/events"],
    "rules": {"deny": ["secret+film"], "deny_file": "secret.txt", "n_new": 2, "at": "2026"},
}
TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def secretive(serve, store):
    """Start a server whose snapshot was made from files and deny lists."""

    def start(**more):
        make_snapshot(store, {"ann": ["alien"]}, ["brazil"], parameters=SECRETS)
        server = serve("--workers", "1", **more)
        server.wait_for_generation(1)
        return server

    return start


@pytest.mark.parametrize("authorization", [None, "", "Bearer ", "Bearer wrong", TOKEN])
@pytest.mark.parametrize("token", [None, TOKEN], ids=["no token", "token"])
def test_the_model_status_names_no_path_and_no_denied_item(secretive, authorization, token):
    """Numbers, the model and the time stay."""
    more = {"MARQUEE_SERVE_ADMIN_TOKEN": token} if token else {}
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = secretive(nginx=True, **more).get("/model/status", headers=headers)

    assert "secret" not in answer.text
    assert json.loads(answer.body)["parameters"] == {
        "alpha": 40.0,
        "model": "als",
        "rules": {"n_new": 2, "at": "2026"},
    }


def test_the_model_status_is_whole_with_the_token(secretive):
    """As the manifest has it."""
    server = secretive(nginx=True, MARQUEE_SERVE_ADMIN_TOKEN=TOKEN)
    answer = server.get("/model/status", headers={"Authorization": f"Bearer {TOKEN}"})

    assert json.loads(answer.body)["parameters"] == SECRETS


def test_the_model_status_accepts_only_reading(secretive):
    """With a token it has a location of its own in nginx."""
    server = secretive(nginx=True, MARQUEE_SERVE_ADMIN_TOKEN=TOKEN)

    assert server.get("/model/status", "POST").status == 405
    assert server.get("/model/status", "HEAD").status == 200


# /readyz


def test_an_empty_store_is_not_ready(serve):
    """503 with Retry-After, while the process lives."""
    server = serve("--workers", "1")
    answer = server.get("/readyz")

    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert int(answer.headers["Retry-After"]) > 0
    assert server.get("/healthz").status == 200


def test_nginx_passes_on_that_the_server_is_not_ready(serve):
    """A load balancer checks through it."""
    server = serve("--workers", "1", nginx=True)

    assert (server.get("/readyz").status, server.get("/healthz").status) == (503, 200)


def test_an_emergency_list_makes_the_server_ready(serve):
    """The missing snapshot is a warning."""
    status, body = ready(serve("--workers", "1", **EMERGENCY))

    assert (status, body["status"]) == (200, "ready")
    assert "nothing has been published yet" in body["warnings"][0]


def test_the_first_publish_makes_the_server_ready(serve, store):
    """Without a restart."""
    server = serve("--workers", "1", **NEVER_STALE)
    assert ready(server)[0] == 503
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])

    wait_until(lambda: ready(server) == (200, {"status": "ready", "warnings": []}))


def test_an_old_snapshot_is_only_a_warning(served):
    """With its age; the server stays in the load balancer."""
    status, body = ready(served())

    assert status == 200
    assert "hours old" in body["warnings"][0]


def test_a_snapshot_younger_than_stale_hours_causes_no_warning(served):
    """The counterpart."""
    server = served(**NEVER_STALE)

    wait_until(lambda: ready(server) == (200, {"status": "ready", "warnings": []}))


def test_a_broken_pointer_is_only_a_warning(served, store):
    """The last sound snapshot is served."""
    server = served(**NEVER_STALE)
    force_current(store, "seven")

    wait_until(lambda: ready(server)[1]["warnings"])
    assert ready(server)[0] == 200


def test_with_only_a_damaged_snapshot_the_server_is_not_ready(serve, store):
    """It has no list to serve."""
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    flip_byte(store, 1)
    server = serve("--workers", "1")

    wait_until(lambda: server.health()["problem"])
    assert ready(server)[0] == 503


# HEAD


@pytest.mark.parametrize("path", ["/model/status", "/healthz", "/readyz"])
def test_head_is_get_without_the_body(connection, path):
    """Load balancers check with HEAD; the length is that of the body."""
    get, head = ask(connection, path), ask(connection, path, "HEAD")

    assert (head.status, head.body) == (get.status, b"")
    assert abs(int(head.headers["Content-Length"]) - len(get.body)) <= 1  # an age grows
