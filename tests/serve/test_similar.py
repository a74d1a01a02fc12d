"""`/similar/`: an item's neighbours."""

import json

import pytest

from store.takedown import restore, take_down
from tests.serve.server import Server, ask, wait_until
from tests.snapshots import make_snapshot

NEAR = [f"near+{n:02}" for n in range(20)]


@pytest.fixture(scope="module", params=[False, True], ids=["bare", "nginx"])
def server(request, tmp_path_factory):
    """One item with neighbours, one without."""
    folder = tmp_path_factory.mktemp("similar")
    make_snapshot(
        folder / "store", {"ann": ["lonely"]}, ["casablanca+1942"], similar={"brazil+1985": NEAR}
    )
    with Server(folder / "store", folder, "--workers", "1", nginx=request.param) as running:
        running.wait_for_generation(1)
        yield running


@pytest.fixture
def connection(server):
    with server.connect() as opened:
        yield opened


@pytest.mark.parametrize("item_id", ["brazil+1985", "brazil%2B1985"])
def test_a_known_item_has_neighbours(connection, item_id):
    """One line of ids, nearest first, with the headers of a list."""
    answer = ask(connection, f"/similar/{item_id}")

    assert (answer.status, answer.text) == (200, ",".join(NEAR))
    assert (answer.source, answer.generation) == ("similar", 1)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(answer.body))


def test_json_contains_titles(connection):
    """In the same form as a list's."""
    answer = ask(connection, "/similar/brazil+1985?n=1&format=json")

    assert json.loads(answer.body) == {
        "item_id": "brazil+1985",
        "generation": 1,
        "items": [{"item_id": "near+00", "title": "Near+00"}],
    }


@pytest.mark.parametrize("n", [1, 7, 20])
def test_n_cuts_the_list(connection, n):
    """The nearest n stay."""
    assert ask(connection, f"/similar/brazil+1985?n={n}").text.split(",") == NEAR[:n]


def test_an_item_without_neighbours_has_an_empty_list(connection):
    """The item exists, so the answer is not 404."""
    answer = ask(connection, "/similar/lonely")

    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")


def test_an_unknown_item_is_not_found(connection):
    """It gets 404, and the answer names it."""
    answer = ask(connection, "/similar/never+seen")

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert "never+seen" in json.loads(answer.body)["detail"]


@pytest.mark.parametrize("encoded", ["", "a,b", "a%2Cb", "%ff", "%0d%0a", "a/b", "x" * 201, "%20"])
def test_a_malformed_item_id_is_rejected(connection, encoded):
    """It gets 400 and the rule for ids."""
    answer = ask(connection, f"/similar/{encoded}")

    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert "an item id is 1 to 200 visible ASCII" in answer.text


@pytest.mark.parametrize("query", ["n=0", "n=21", "n=x", "format=xml"])
def test_a_malformed_query_is_rejected(connection, query):
    """It gets 400 as problem+json."""
    answer = ask(connection, f"/similar/brazil+1985?{query}")

    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")


def test_head_is_get_without_the_body(connection):
    """The length is that of the body."""
    answer = ask(connection, "/similar/brazil+1985", "HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(",".join(NEAR)))


def test_items_taken_down_are_excluded(server):
    """The next neighbours move up, and a restore brings them back."""
    take_down(server.store, ["near+00", "near+02"], "licence ended")
    wait_until(lambda: "near+00" not in server.get("/similar/brazil+1985").text)

    first_three = server.get("/similar/brazil+1985?n=3").text
    restore(server.store, ["near+00", "near+02"], "it was one")

    assert first_three == "near+01,near+03,near+04"
    wait_until(lambda: server.get("/similar/brazil+1985").text.startswith("near+00"))
