"""A server that has nothing to serve yet, and the first publish."""

from tests.serve.running import ask, wait_until
from tests.snapshots import make_snapshot

EMERGENCY = {"MARQUEE_SERVE_EMERGENCY_LIST": '["alien+1979", "brazil+1985"]'}


def test_without_a_list_there_is_503_and_when_to_try_again(serve):
    """Any user gets 503 with Retry-After, and the text says how to build a snapshot."""
    answer = serve("--workers", "1").get("/recommend/ann")

    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "python -m batch refresh" in answer.text


def test_the_emergency_list_answers_instead(serve):
    """With an emergency list any user gets 200 and that list, whose source is `static`."""
    answer = serve("--workers", "1", **EMERGENCY).get("/recommend/ann")

    assert (answer.status, answer.body) == (200, b"alien+1979,brazil+1985")
    assert answer.source == "static"
    assert "X-Marquee-Generation" not in answer.headers


def test_the_emergency_list_may_stand_in_the_file(serve, tmp_path):
    """`emergency_list` of marquee.toml is the same setting."""
    (tmp_path / "marquee.toml").write_text('[serve]\nemergency_list = ["zulu+1964"]\n')

    assert serve("--workers", "1").get("/recommend/ann").body == b"zulu+1964"


def test_a_malformed_id_is_refused_all_the_same(serve):
    """Nothing to serve does not turn a client's mistake into ours."""
    assert serve("--workers", "1").get("/recommend/a,b").status == 400


def test_health_is_degraded_and_says_why(serve):
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
