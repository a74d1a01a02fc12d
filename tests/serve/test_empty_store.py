"""A server without a snapshot, and the first publish."""

from tests.serve.server import ask, wait_until
from tests.snapshots import make_snapshot

EMERGENCY = {"MARQUEE_SERVE_EMERGENCY_LIST": '["alien+1979", "brazil+1985"]'}


def test_without_a_list_the_answer_is_503_with_retry_after(serve):
    """The text names the command that builds a snapshot."""
    answer = serve("--workers", "1").get("/recommend/ann")

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "python -m batch refresh" in answer.text


def test_the_emergency_list_is_served(serve):
    """Any user gets 200 and that list, whose source is `static`."""
    answer = serve("--workers", "1", **EMERGENCY).get("/recommend/ann")

    assert (answer.status, answer.body) == (200, b"alien+1979,brazil+1985")
    assert answer.source == "static"
    assert "X-Marquee-Generation" not in answer.headers


def test_the_emergency_list_may_be_set_in_the_file(serve, tmp_path):
    """`emergency_list` of marquee.toml is the same setting."""
    (tmp_path / "marquee.toml").write_text('[serve]\nemergency_list = ["zulu+1964"]\n')

    assert serve("--workers", "1").get("/recommend/ann").body == b"zulu+1964"


def test_a_malformed_id_is_400_also_without_a_snapshot(serve):
    """A client's mistake is not reported as 503."""
    assert serve("--workers", "1").get("/recommend/a,b").status == 400


def test_health_is_degraded_with_the_reason(serve):
    """`/healthz` answers 200: the process lives, but nothing has been published."""
    server = serve("--workers", "1")

    health = server.health()

    assert (health["status"], health["generation"], health["built_at"]) == ("degraded", None, None)
    assert "nothing has been published yet" in health["problem"]


def test_the_first_publish_is_served_without_a_restart(serve, store):
    """Every worker, and a connection that was open before, gets the new list."""
    server = serve("--workers", "2", **EMERGENCY)
    with server.connect() as connection:
        assert ask(connection, "/recommend/ann").source == "static"

        make_snapshot(store, {"ann": ["alien"]}, ["brazil"])

        wait_until(lambda: ask(connection, "/recommend/ann").body == b"alien")
        assert ask(connection, "/recommend/zoe").body == b"brazil"
    server.wait_for_generation(1)
    wait_until(lambda: server.health()["status"] == "ok")
