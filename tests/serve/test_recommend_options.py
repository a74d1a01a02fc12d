"""Parameters of `/recommend/` and of its POST form."""

import json

import pytest

from tests.serve.server import Server, ask
from tests.snapshots import make_snapshot

OWN = [f"film+{n:02}" for n in range(20)]
SPARES = ["spare+1", "spare+2"]
POPULAR = ["p+1", "p+2", "p+3"]
EAST = {f"east+{n}": [1.0, n / 100] for n in range(12)}
WEST = {f"west+{n}": [-1.0, n / 100] for n in range(12)}
ABOUT = {"p+1": {"title": "Première", "year": 1942, "genres": ["Drama"], "adult": False}}
UNKNOWN_AND_MALFORMED = "never+seen,,%ff,a|b,%2C,%00," + "x" * 300


@pytest.fixture(scope="module", params=[False, True], ids=["bare", "nginx"])
def server(request, tmp_path_factory):
    """One user with a full list, and items of two kinds for users without one."""
    folder = tmp_path_factory.mktemp("options")
    make_snapshot(
        folder / "store",
        {"ann": OWN},
        POPULAR,
        spares={"ann": SPARES},
        about=ABOUT,
        vectors={**EAST, **WEST},
    )
    with Server(folder / "store", folder, "--workers", "2", nginx=request.param) as running:
        running.wait_for_generation(1)
        yield running


@pytest.fixture
def connection(server):
    with server.connect() as opened:
        yield opened


def names_of(answer):
    assert answer.status == 200, answer.body
    return answer.text.split(",")


# n


@pytest.mark.parametrize("n", range(1, 21))
def test_n_cuts_the_list(connection, n):
    """For a known and for an unknown user."""
    assert names_of(ask(connection, f"/recommend/ann?n={n}")) == OWN[:n]
    assert names_of(ask(connection, f"/recommend/zoe?n={n}")) == POPULAR[:n]


@pytest.mark.parametrize(
    "n",
    ["0", "21", "-1", "1.5", "", "+5", "%205", "five", "%D9%A5", "1e1", "000000001999", "9" * 4400],
    ids=lambda n: n[:12] or "nothing",
)
def test_a_malformed_n_is_rejected(connection, n):
    """It gets 400 and the rule, as one line of text."""
    answer = ask(connection, f"/recommend/ann?n={n}")

    assert (answer.status, answer.text) == (400, "malformed n: n must be a number from 1 to 20\n")


def test_an_n_of_thousands_of_digits_is_rejected(connection):
    """Also where its first digits are valid."""
    assert ask(connection, "/recommend/ann?n=" + "000000001" + "0" * 4400).status == 400


# history


@pytest.mark.parametrize("plus", ["+", "%2B", "%2b"])
def test_a_plus_in_a_history_is_a_plus(connection, plus):
    """Raw or encoded; item ids never contain a blank."""
    history = ",".join(OWN[:2]).replace("+", plus)

    assert names_of(ask(connection, f"/recommend/ann?history={history}")) == [*OWN[2:], *SPARES]


@pytest.mark.parametrize("comma", [",", "%2C"])
@pytest.mark.parametrize(("kind", "other"), [(EAST, WEST), (WEST, EAST)], ids=["east", "west"])
def test_an_unknown_users_history_gives_similar_items(connection, kind, other, comma):
    """Watched items are excluded, and the headers name the source."""
    watched = sorted(kind)[:2]
    answer = ask(connection, f"/recommend/zoe?history={comma.join(watched)}")
    names = names_of(answer)

    assert answer.source == "history"
    assert set(names[:10]) == kind.keys() - set(watched)
    assert not set(watched) & set(names)
    assert set(names[10:]) <= other.keys() | set(POPULAR)


def test_unknown_and_malformed_ids_in_a_history_are_ignored(connection):
    """The other ids count."""
    alone = ask(connection, "/recommend/zoe?history=east+3")
    among = ask(connection, f"/recommend/zoe?history={UNKNOWN_AND_MALFORMED},east+3")

    assert (among.status, among.body, among.source) == (200, alone.body, "history")


def test_a_history_of_unknown_items_is_ignored(connection):
    """An unknown user gets the popular list."""
    answer = ask(connection, f"/recommend/zoe?history={UNKNOWN_AND_MALFORMED}")

    assert (answer.source, names_of(answer)) == ("popular", POPULAR)


def test_n_and_history_work_together(connection):
    """Watched items are excluded before the list is cut."""
    answer = ask(connection, f"/recommend/ann?n=3&history={OWN[1]}")

    assert names_of(answer) == [OWN[0], OWN[2], OWN[3]]


# format


def test_json_contains_titles_source_and_generation(connection):
    """Only public catalogue fields appear."""
    answer = ask(connection, "/recommend/zoe?format=json&n=2")

    assert answer.headers["Content-Type"] == "application/json"
    assert json.loads(answer.body) == {
        "user_id": "zoe",
        "source": "popular",
        "generation": 1,
        "items": [
            {"item_id": "p+1", "title": "Première", "year": 1942, "genres": ["Drama"]},
            {"item_id": "p+2", "title": "P+2"},
        ],
    }


def test_json_and_text_contain_the_same_items(connection):
    """In the same order."""
    as_json = ask(connection, "/recommend/ann?format=json")

    assert [item["item_id"] for item in json.loads(as_json.body)["items"]] == OWN
    assert (as_json.source, as_json.generation) == ("list", 1)


def test_format_text_is_the_default(connection):
    """Both give the same answer."""
    assert names_of(ask(connection, "/recommend/ann?format=text")) == OWN


@pytest.mark.parametrize("form", ["xml", "", "JSON", "json%20"])
def test_another_format_is_rejected(connection, form):
    """It gets 400 and the two valid formats."""
    answer = ask(connection, f"/recommend/ann?format={form}")

    assert answer.status == 400
    assert "format must be json or text" in answer.text


def test_format_json_also_applies_to_errors(connection):
    """A program that parses the answer can parse the error."""
    answer = ask(connection, "/recommend/ann?format=json&n=0")

    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(answer.body)["title"] == "malformed n"


# HEAD


@pytest.mark.parametrize(
    "target",
    [
        "/recommend/ann", "/recommend/zoe", "/recommend/ann?n=3", "/recommend/ann?format=json",
        "/recommend/zoe?history=east+3", "/recommend/a%2Cb", "/recommend/ann?n=0",
    ],
)  # fmt: skip
def test_head_is_get_without_the_body(connection, target):
    """Status and headers are the same, and the connection stays usable."""
    get, head = ask(connection, target), ask(connection, target, "HEAD")

    def essence(answer):
        return sorted(
            (name.lower(), text) for name, text in answer.headers.items() if name != "Date"
        )

    assert (head.status, head.body, essence(head)) == (get.status, b"", essence(get))
    assert int(head.headers["Content-Length"]) == len(get.body)


# The POST form


def post(connection, body, path="/recommendations"):
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    return ask(connection, path, "POST", {"Content-Type": "application/json"}, raw)


def test_the_post_form_gives_the_same_list(connection):
    """It equals the answer of `format=json`."""
    answer = post(connection, {"user_id": "ann", "n_recommendations": 4})

    assert json.loads(answer.body) == json.loads(
        ask(connection, "/recommend/ann?format=json&n=4").body
    )
    assert (answer.source, answer.generation) == ("list", 1)


@pytest.mark.parametrize("user_id", ["12345", 12345, 12345.0], ids=repr)
def test_a_numeric_user_id_is_accepted(connection, user_id):
    """Clients that hold numbers need not convert them."""
    assert json.loads(post(connection, {"user_id": user_id}).body)["user_id"] == "12345"


def test_twenty_items_are_the_default(connection):
    """Without `n_recommendations`."""
    assert len(json.loads(post(connection, {"user_id": "ann"}).body)["items"]) == 20


@pytest.mark.parametrize("path", ["/recommendations", "/predict"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "malformed user_id"),
        ("{", "the body is not JSON"),
        (b"\xff\xfe{}", "the body is not JSON"),
        (b'{"user_id": "\xff"}', "the body is not JSON"),
        ("[" * 8000 + "]" * 8000, "the body is not JSON"),
        ('{"a":' * 2700 + "1" + "}" * 2700, "the body is not JSON"),
        ('{"user_id": ' + "9" * 5000 + "}", "the body is not JSON"),
        ("[]", "the body is not a JSON object"),
        ("null", "the body is not a JSON object"),
        ('"ann"', "the body is not a JSON object"),
        ("17", "the body is not a JSON object"),
        ({}, "malformed user_id"),
        ({"user_id": None}, "malformed user_id"),
        ({"user_id": True}, "malformed user_id"),
        ({"user_id": 1.5}, "malformed user_id"),
        ({"user_id": -1}, "malformed user_id"),
        ({"user_id": 2**63}, "malformed user_id"),
        ({"user_id": ["ann"]}, "malformed user_id"),
        ({"user_id": {"id": "ann"}}, "malformed user_id"),
        ({"user_id": ""}, "malformed user_id"),
        ({"user_id": "a,b"}, "malformed user_id"),
        ({"user_id": "a" * 65}, "malformed user_id"),
        ({"user_id": "ann\n"}, "malformed user_id"),
        ({"user_id": "\ud800"}, "malformed user_id"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_a_malformed_body_is_rejected(connection, path, body, message):
    """It gets 400 with the reason."""
    answer = post(connection, body, path)

    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert message in answer.text


@pytest.mark.parametrize("n", [0, 21, -1, 2.5, "5", None, True, [5], 10**30])
def test_a_malformed_number_of_recommendations_is_rejected(connection, n):
    """It must be a whole number from 1 to 20."""
    answer = post(connection, {"user_id": "ann", "n_recommendations": n})

    assert answer.status == 400
    assert json.loads(answer.body)["title"] == "malformed n_recommendations"


@pytest.mark.parametrize("path", ["/recommendations", "/predict"])
def test_a_body_of_more_than_16_kib_is_rejected(server, path):
    """It gets 413, and the next client is answered."""
    with server.connect() as connection:
        answer = post(connection, json.dumps({"user_id": "ann", "x": "x" * 17_000}), path)

    assert (answer.status, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert names_of(server.get("/recommend/ann")) == OWN


def test_a_body_of_16_kib_is_accepted(connection):
    """The counterpart."""
    padding = 16 * 1024 - len(json.dumps({"user_id": "ann", "x": ""}))

    assert post(connection, {"user_id": "ann", "x": "x" * padding}).status == 200
