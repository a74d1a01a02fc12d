"""The APIs over real HTTP: what they answer, whom they put off, and how they fail."""

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
from benchmarks.simulator.log_formats import EDITIONS
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
LOOSE = {"per_second": 1e6, "burst": 1_000_000}


def ask(apis, target, source="127.0.0.1"):
    """Return status, headers and what the JSON says, by a connection of its own."""
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
    with Apis(WORLD, ApiOptions(**LOOSE)) as apis:
        yield apis


@pytest.fixture
def failing(apis):
    """APIs that work again after the test."""
    yield apis
    apis.set_outage("")


def test_one_user_is_an_object_as_in_the_files(apis):
    """The very object that `history` writes to profiles.jsonl."""
    status, headers, answer = ask(apis, f"/user/{OLD_USERS[0]}")
    assert (status, answer) == (200, USERS[OLD_USERS[0]])
    assert headers["Content-Type"] == "application/json; charset=utf-8"


def test_each_movie_is_an_object_as_in_the_files(apis):
    """Whatever signs are in its id, in an old client's form and in an escaped one."""
    for quoted in (str, quote):
        for item_id in OLD_MOVIES[:40]:
            assert ask(apis, f"/movie/{quoted(item_id)}")[::2] == (200, MOVIES[item_id])


@pytest.mark.parametrize("n", [2, 200])
def test_many_at_once_are_an_array_in_the_order_of_the_question(apis, n):
    """200 ids of movies are a long line."""
    users = OLD_USERS[:n][::-1]
    status, _, answer = ask(apis, "/user/" + ",".join(map(str, users)))
    assert (status, answer) == (200, [USERS[user] for user in users])
    status, _, answer = ask(apis, movies(OLD_MOVIES[:n]))
    assert (status, answer) == (200, [MOVIES[item] for item in OLD_MOVIES[:n]])


def test_the_longest_question_is_read(apis):
    """200 ids of 109 bytes, every sign escaped."""
    status, _, answer = ask(apis, "/movie/" + ",".join(["%2B" * 109] * 200))
    assert (status, answer["message"][:7]) == (404, "movie +")


def test_too_many_at_once_are_refused(apis):
    """With the number that is allowed."""
    target = "/user/" + ",".join(map(str, OLD_USERS[:201]))
    message = {"message": "too many ids: at most 200 at once, not 201"}
    assert ask(apis, target)[::2] == (400, message)


@pytest.mark.parametrize(
    ("kind", "one"),
    [("user", "x"), ("user", "-1"), ("user", f"0{OLD_USERS[0]}"), ("user", "9" * 30),
     ("user", "1000000"), ("movie", "no+such+movie+1999"), ("movie", "%FF")],
)  # fmt: skip
def test_what_nobody_knows_is_not_found(apis, kind, one):
    """With a message that names it."""
    status, _, answer = ask(apis, f"/{kind}/{one}")
    assert status == 404
    assert answer["message"].startswith(f"{kind} ")
    assert answer["message"].endswith(" not found")


def test_unknown_ones_among_known_ones_have_a_message_in_their_place(apis):
    """All unknown: not found."""
    found = ask(apis, f"/user/{OLD_USERS[0]},x,{OLD_USERS[1]}")[::2]
    message = {"message": "user x not found"}
    assert found == (200, [USERS[OLD_USERS[0]], message, USERS[OLD_USERS[1]]])
    both = {"message": "user x not found, user y not found"}
    assert ask(apis, "/user/x,y")[::2] == (404, both)


def test_new_ones_appear_when_the_world_has_come_to_them(apis):
    """A user by the second, an item by the day; the clock may also go back."""
    user = f"/user/{WORLD.users.ids[NEW_USER]}"
    movie = movies([WORLD.items.ids[NEW_MOVIE]])
    joined = int(WORLD.users.joined[NEW_USER])
    for second, target, status in (
        (joined - 1, user, 404), (joined, user, 200), (DAY_SECONDS - 1, movie, 404),
        (DAY_SECONDS + 0.5, movie, 200), (0, user, 404), (0, movie, 404),
    ):  # fmt: skip
        apis.tell(second)
        assert ask(apis, target)[0] == status


def test_users_may_join_when_the_live_loop_says_so(apis):
    """Whenever the world had them come."""
    row = int(np.flatnonzero(WORLD.users.joined > DAY_SECONDS)[1])
    target = f"/user/{WORLD.users.ids[row]}"
    apis.tell(100)
    assert ask(apis, target)[0] == 404
    apis.join(np.array([row]), 101)
    assert ask(apis, target)[0] == 404
    apis.tell(101)
    assert ask(apis, target)[0] == 200


def test_whoever_asks_too_often_is_put_off_and_others_are_not():
    """By address; the limit is the same for both APIs."""
    with Apis(WORLD, ApiOptions(per_second=0.01, burst=3)) as apis:
        targets = [f"/user/{OLD_USERS[0]}", movies(OLD_MOVIES[:1]), "/user/x", "/user/x"]
        answers = [ask(apis, target) for target in targets]
        assert [status for status, _, _ in answers] == [200, 200, 404, 429]
        _, headers, answer = answers[3]
        assert 90 < int(headers["Retry-After"]) <= 100
        assert answer["message"].startswith("too many requests, come back in ")
        assert ask(apis, targets[0], source="127.0.0.2")[0] == 200


def test_a_bucket_fills_with_time():
    """Two a second, three at once, on a clock of our own."""
    limit = RateLimit(2, 3)
    assert [limit.seconds_to_wait("a", 10) for _ in range(4)] == [0, 0, 0, 1]
    assert limit.seconds_to_wait("b", 10) == 0
    assert [limit.seconds_to_wait("a", 10.5) for _ in range(2)] == [0, 1]
    assert [limit.seconds_to_wait("a", 1000) for _ in range(4)] == [0, 0, 0, 1]
    slow = RateLimit(0.1, 1)
    assert [slow.seconds_to_wait("a", now) for now in (0, 0, 4, 9.9, 10)] == [0, 10, 6, 1, 0]


def test_many_clients_take_no_memory_without_end():
    """Somebody forgotten has a full bucket again."""
    limit = RateLimit(0.001, 1)
    assert [limit.seconds_to_wait("first", 0) for _ in range(2)] == [0, 1000]
    for client in range(10_000):
        limit.seconds_to_wait(f"{client}", 1)
    assert limit.seconds_to_wait("0", 1) == 1000  # it is here again
    assert limit.seconds_to_wait("first", 1) == 0
    assert limit.seconds_to_wait("0", 1) == 1000
    assert limit.seconds_to_wait("1", 1) == 0


def test_unavailable_and_back(failing):
    """Without a limit's help."""
    failing.set_outage("503")
    target = f"/user/{OLD_USERS[0]}"
    assert ask(failing, target)[::2] == (503, {"message": "the service is unavailable"})
    failing.set_outage("")
    assert ask(failing, target)[0] == 200


def test_refused_and_back(failing):
    """At the same port; a connection from before ends too."""
    old = http.client.HTTPConnection(failing.host, failing.port, timeout=PATIENCE_SECONDS)
    old.request("GET", "/user/1")
    old.getresponse().read()
    failing.set_outage("refused")
    old.request("GET", "/user/1")
    with pytest.raises(ConnectionError):
        old.getresponse()
    old.close()
    assert _within_patience(lambda: _is_refused(failing))
    failing.set_outage("")
    assert _within_patience(lambda: not _is_refused(failing))
    assert ask(failing, f"/user/{OLD_USERS[0]}")[0] == 200


def test_hangs_until_it_works_again(failing):
    """Connections are taken, and answered when it is over."""
    failing.set_outage("hang")
    connection = http.client.HTTPConnection(failing.host, failing.port, timeout=0.2)
    connection.request("GET", f"/user/{OLD_USERS[0]}")
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    failing.set_outage("")
    connection.sock.settimeout(PATIENCE_SECONDS)
    assert connection.getresponse().status == 200
    connection.close()


def test_odd_fields_are_the_same_each_time_and_of_every_sort():
    """About the given share, never the id, in both APIs."""
    with Apis(WORLD, ApiOptions(odd_share=0.3, **LOOSE)) as apis:
        targets = ["/user/" + ",".join(map(str, OLD_USERS[:200])), movies(OLD_MOVIES[:200])]
        first, again = ([ask(apis, target)[2] for target in targets] for _ in range(2))
    assert first == again
    for answers, sound, id_field in ((first[0], USERS, "user_id"), (first[1], MOVIES, "id")):
        seen = {"missing": 0, "null": 0, "{}": 0, "type": 0, "sound": 0}
        for answer in answers:
            for name, value in sound[answer[id_field]].items():
                seen[_sort(answer, name, value)] += name != id_field
        n_odd = sum(seen.values()) - seen["sound"]
        assert 0.2 < n_odd / sum(seen.values()) < 0.4
        assert min(seen.values()) > 0.1 * n_odd


def test_an_older_edition_takes_one_id_and_tells_less():
    """No likes in words, no cost."""
    with Apis(WORLD, ApiOptions(edition=EDITIONS["2022"], **LOOSE)) as apis:
        assert ask(apis, f"/user/{OLD_USERS[0]},{OLD_USERS[1]}")[0] == 400
        user, movie = ask(apis, f"/user/{OLD_USERS[0]}")[2], ask(apis, movies(OLD_MOVIES[:1]))[2]
    assert USERS[OLD_USERS[0]].keys() - user.keys() == {"likes", "dislikes"}
    assert MOVIES[OLD_MOVIES[0]].keys() - movie.keys() == {"cost"}


def test_a_port_that_is_taken_is_said(apis):
    """Whoever listens there shares it or not."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        for port in (other.getsockname()[1], apis.port):
            with pytest.raises(ApiError, match=f"127.0.0.1:{port}: do not start: .*in use"):
                Apis(WORLD, ApiOptions(port=port))


def test_they_end_with_whoever_started_them(tmp_path):
    """Also if that was killed."""
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
    port = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()

    def is_free():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    assert _within_patience(is_free)


def _sort(answer, name, value):
    if name not in answer:
        return "missing"
    if answer[name] == value and type(answer[name]) is type(value):
        return "sound"
    if answer[name] is None:
        return "null"
    return "{}" if answer[name] == {} else "type"


def _is_refused(apis):
    with socket.socket() as probe:
        return probe.connect_ex((apis.host, apis.port)) != 0


def _within_patience(is_so):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
