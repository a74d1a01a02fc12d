"""The APIs over real HTTP: answers, rate limits and outages."""

import dataclasses
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from urllib.parse import quote

import numpy as np
import pytest

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.live.apis.limit import RateLimit
from benchmarks.simulator.live.apis.process import Apis
from benchmarks.simulator.live.apis.server import ApiOptions
from benchmarks.simulator.live.errors import ApiError
from benchmarks.simulator.log_formats import LOG_FORMATS
from benchmarks.simulator.world.catalogue import movie_answers
from benchmarks.simulator.world.items import ALWAYS
from benchmarks.simulator.world.profiles import user_answers
from benchmarks.simulator.world.world import make_world

PATIENCE_SECONDS = 30
WORLD = make_world(n_users=600, n_items=400, seed=3, n_days=2)
USERS = {a["user_id"]: a for a in user_answers(WORLD.users, np.arange(600), 3)}
MOVIES = {answer["id"]: answer for answer in movie_answers(WORLD.items, 3)}
OLD_USERS = WORLD.users.ids[WORLD.users.joined == ALWAYS].tolist()
NEW_USER = int(np.flatnonzero(WORLD.users.joined > DAY_SECONDS)[0])
OLD_MOVIES = [WORLD.items.ids[row] for row in np.flatnonzero(WORLD.items.first_days == ALWAYS)]
NEW_MOVIE = int(np.flatnonzero(WORLD.items.first_days == 1)[0])
NO_LIMIT = ApiOptions(per_second=1e6, burst=1_000_000)


def get(apis, target, source="127.0.0.1"):
    """Return status, headers and parsed JSON, by a separate connection."""
    connection = http.client.HTTPConnection(
        apis.host, apis.port, timeout=PATIENCE_SECONDS, source_address=(source, 0)
    )
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())
    finally:
        connection.close()


def movies(ids):
    return "/movie/" + ",".join(quote(one, safe="+*") for one in ids)


@pytest.fixture(scope="module")
def apis():
    with Apis(WORLD, NO_LIMIT) as apis:
        yield apis


@pytest.fixture
def failing(apis):
    """APIs whose outage ends after the test."""
    yield apis
    apis.set_outage("")


def test_one_user_is_the_same_object_as_in_profiles(apis):
    """`history` writes this object to profiles.jsonl."""
    status, headers, answer = get(apis, f"/user/{OLD_USERS[0]}")
    assert (status, answer) == (200, USERS[OLD_USERS[0]])
    assert headers["Content-Type"] == "application/json; charset=utf-8"


def test_each_movie_is_the_same_object_as_in_the_catalogue(apis):
    """For ids with any characters, escaped or not."""
    for quoted in (str, quote):
        for item_id in OLD_MOVIES[:40]:
            assert get(apis, f"/movie/{quoted(item_id)}")[::2] == (200, MOVIES[item_id])


@pytest.mark.parametrize("n", [2, 200])
def test_several_ids_give_an_array_in_the_order_of_the_request(apis, n):
    """200 movie ids make a long request line."""
    users = OLD_USERS[:n][::-1]
    status, _, answer = get(apis, "/user/" + ",".join(map(str, users)))
    assert (status, answer) == (200, [USERS[user] for user in users])
    status, _, answer = get(apis, movies(OLD_MOVIES[:n]))
    assert (status, answer) == (200, [MOVIES[item] for item in OLD_MOVIES[:n]])


def test_the_longest_request_is_accepted(apis):
    """200 ids of 109 bytes, every character escaped."""
    status, _, answer = get(apis, "/movie/" + ",".join(["%2B" * 109] * 200))
    assert (status, answer["message"][:7]) == (404, "movie +")


def test_too_many_ids_are_refused(apis):
    """The message has the limit."""
    target = "/user/" + ",".join(map(str, OLD_USERS[:201]))
    message = {"message": "too many ids: at most 200 at once, not 201"}
    assert get(apis, target)[::2] == (400, message)


@pytest.mark.parametrize(
    ("kind", "one"),
    [("user", "x"), ("user", "-1"), ("user", f"0{OLD_USERS[0]}"), ("user", "9" * 30),
     ("user", "1000000"), ("movie", "no+such+movie+1999"), ("movie", "%FF")],
)  # fmt: skip
def test_an_unknown_id_is_not_found(apis, kind, one):
    """The message names the id."""
    status, _, answer = get(apis, f"/{kind}/{one}")
    assert status == 404
    assert answer["message"].startswith(f"{kind} ")
    assert answer["message"].endswith(" not found")


def test_unknown_ids_among_known_ones_have_a_message_instead(apis):
    """If all are unknown, the status is 404."""
    found = get(apis, f"/user/{OLD_USERS[0]},x,{OLD_USERS[1]}")[::2]
    message = {"message": "user x not found"}
    assert found == (200, [USERS[OLD_USERS[0]], message, USERS[OLD_USERS[1]]])
    both = {"message": "user x not found, user y not found"}
    assert get(apis, "/user/x,y")[::2] == (404, both)


def test_new_users_and_items_appear_with_the_clock(apis):
    """A user by the second, an item by the day; the clock may also go back."""
    user = f"/user/{WORLD.users.ids[NEW_USER]}"
    movie = movies([WORLD.items.ids[NEW_MOVIE]])
    joined = int(WORLD.users.joined[NEW_USER])
    for second, target, status in (
        (joined - 1, user, 404), (joined, user, 200), (DAY_SECONDS - 1, movie, 404),
        (DAY_SECONDS + 0.5, movie, 200), (0, user, 404), (0, movie, 404),
    ):  # fmt: skip
        apis.set_clock(second)
        assert get(apis, target)[0] == status


def test_users_added_by_the_simulation_appear_at_their_second(apis):
    """Instead of the time at which the world had them join."""
    row = int(np.flatnonzero(WORLD.users.joined > DAY_SECONDS)[1])
    target = f"/user/{WORLD.users.ids[row]}"
    apis.set_clock(100)
    assert get(apis, target)[0] == 404
    apis.add_users(np.array([row]), 101)
    assert get(apis, target)[0] == 404
    apis.set_clock(101)
    assert get(apis, target)[0] == 200


def test_the_rate_limit_applies_to_each_client_separately():
    """Clients are told apart by address; both APIs share the limit."""
    with Apis(WORLD, ApiOptions(per_second=0.01, burst=3)) as apis:
        targets = [f"/user/{OLD_USERS[0]}", movies(OLD_MOVIES[:1]), "/user/x", "/user/x"]
        answers = [get(apis, target) for target in targets]
        assert [status for status, _, _ in answers] == [200, 200, 404, 429]
        _, headers, answer = answers[3]
        assert 90 < int(headers["Retry-After"]) <= 100
        assert answer["message"].startswith("too many requests, come back in ")
        assert get(apis, targets[0], source="127.0.0.2")[0] == 200


def test_a_bucket_fills_with_time():
    """Two a second, three at once, on a manual clock."""
    limit = RateLimit(2, 3)
    assert [limit.seconds_to_wait("a", 10) for _ in range(4)] == [0, 0, 0, 1]
    assert limit.seconds_to_wait("b", 10) == 0
    assert [limit.seconds_to_wait("a", 10.5) for _ in range(2)] == [0, 1]
    assert [limit.seconds_to_wait("a", 1000) for _ in range(4)] == [0, 0, 0, 1]
    slow = RateLimit(0.1, 1)
    assert [slow.seconds_to_wait("a", now) for now in (0, 0, 4, 9.9, 10)] == [0, 10, 6, 1, 0]


def test_the_rate_limit_has_bounded_memory():
    """A forgotten client has a full bucket again."""
    limit = RateLimit(0.001, 1)
    assert [limit.seconds_to_wait("first", 0) for _ in range(2)] == [0, 1000]
    for client in range(10_000):
        limit.seconds_to_wait(f"{client}", 1)
    assert limit.seconds_to_wait("0", 1) == 1000  # the latest client is remembered
    assert limit.seconds_to_wait("first", 1) == 0
    assert limit.seconds_to_wait("0", 1) == 1000
    assert limit.seconds_to_wait("1", 1) == 0


def test_unavailable_apis_recover(failing):
    """The status is 503 during the outage."""
    failing.set_outage("503")
    target = f"/user/{OLD_USERS[0]}"
    assert get(failing, target)[::2] == (503, {"message": "the service is unavailable"})
    failing.set_outage("")
    assert get(failing, target)[0] == 200


def test_refusing_apis_recover(failing):
    """On the same port; earlier connections end too."""
    old = http.client.HTTPConnection(failing.host, failing.port, timeout=PATIENCE_SECONDS)
    old.request("GET", "/user/1")
    old.getresponse().read()
    failing.set_outage("refused")
    old.request("GET", "/user/1")
    with pytest.raises(ConnectionError):
        old.getresponse()
    old.close()
    assert _becomes_true(lambda: _is_refused(failing))
    failing.set_outage("")
    assert _becomes_true(lambda: not _is_refused(failing))
    assert get(failing, f"/user/{OLD_USERS[0]}")[0] == 200


def test_hanging_apis_answer_after_the_outage(failing):
    """Connections are accepted, and answered when the outage is over."""
    failing.set_outage("hang")
    connection = http.client.HTTPConnection(failing.host, failing.port, timeout=0.2)
    connection.request("GET", f"/user/{OLD_USERS[0]}")
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    failing.set_outage("")
    connection.sock.settimeout(PATIENCE_SECONDS)
    assert connection.getresponse().status == 200
    connection.close()


def test_defective_fields_are_reproducible_and_of_every_kind():
    """About the given share, never the id, in both APIs."""
    with Apis(WORLD, dataclasses.replace(NO_LIMIT, defect_share=0.3)) as apis:
        targets = ["/user/" + ",".join(map(str, OLD_USERS[:200])), movies(OLD_MOVIES[:200])]
        first, again = ([get(apis, target)[2] for target in targets] for _ in range(2))
    assert first == again
    for answers, valid, id_field in ((first[0], USERS, "user_id"), (first[1], MOVIES, "id")):
        seen = {"missing": 0, "null": 0, "{}": 0, "type": 0, "valid": 0}
        for answer in answers:
            for name, value in valid[answer[id_field]].items():
                seen[_defect_kind(answer, name, value)] += name != id_field
        n_defects = sum(seen.values()) - seen["valid"]
        assert 0.2 < n_defects / sum(seen.values()) < 0.4
        assert min(seen.values()) > 0.1 * n_defects


def test_an_older_edition_accepts_one_id_and_has_fewer_fields():
    """No likes in words, no cost."""
    with Apis(WORLD, dataclasses.replace(NO_LIMIT, log_format=LOG_FORMATS["2022"])) as apis:
        assert get(apis, f"/user/{OLD_USERS[0]},{OLD_USERS[1]}")[0] == 400
        user, movie = get(apis, f"/user/{OLD_USERS[0]}")[2], get(apis, movies(OLD_MOVIES[:1]))[2]
    assert USERS[OLD_USERS[0]].keys() - user.keys() == {"likes", "dislikes"}
    assert MOVIES[OLD_MOVIES[0]].keys() - movie.keys() == {"cost"}


def test_a_used_port_is_an_error(apis):
    """With and without a shared port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        for port in (other.getsockname()[1], apis.port):
            with pytest.raises(ApiError, match=f"127.0.0.1:{port}: do not start: .*in use"):
                Apis(WORLD, ApiOptions(port=port))


def test_the_apis_end_with_their_parent(tmp_path):
    """Also if the parent was killed."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        "from benchmarks.simulator.live.apis.process import Apis\n"
        "from benchmarks.simulator.live.apis.server import ApiOptions\n"
        "from benchmarks.simulator.world.world import make_world\n"
        "if __name__ == '__main__':\n"
        "    apis = Apis(make_world(9, 9, 1), ApiOptions())\n"
        "    print(apis.port, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    port = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()

    def is_free():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    assert _becomes_true(is_free)


def _defect_kind(answer, name, value):
    if name not in answer:
        return "missing"
    if answer[name] == value and type(answer[name]) is type(value):
        return "valid"
    if answer[name] is None:
        return "null"
    return "{}" if answer[name] == {} else "type"


def _is_refused(apis):
    with socket.socket() as probe:
        return probe.connect_ex((apis.host, apis.port)) != 0


def _becomes_true(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
