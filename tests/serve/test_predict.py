"""`/predict`: known ratings from a model of the real writer."""

import json
import struct

import pytest

from store.gate_result import GateResult
from store.layout import FACTORS, INDEX, RECS
from store.publish import publish, writing
from store.writer import SnapshotWriter
from tests.serve.server import Server, ask

RECS_TABLES = {
    "users": {b"ann": b"alien"},
    "spares": {},
    "similar": {},
    "fallback": {b"popular": b"brazil"},
    "profiles": {},
    "items": {b"alien": b'{"title": "Alien"}', b"brazil": b'{"title": "Brazil"}'},
    "rows": {b"0": b"alien", b"1": b"brazil"},
}
BIASES = {
    b"mean": b"3.5",
    b"scale": b"0.5 5.0",
    b"u/ann": b"0.25",
    b"u/grim": b"-2.0",
    b"u/bare": b"0.125",
    b"i/alien": b"0.5",
    b"i/awful": b"-3.0",
    b"i/plain": b"-0.25",
    b"i/7": b"1.0",
}
VECTORS = {
    "rating_users": {"ann": [0.5, 1.0], "grim": [0.0, 0.0]},
    "rating_items": {"alien": [0.5, -0.25], "awful": [1.0, 1.0]},
}


def make_rated_snapshot(store, biases, vectors=VECTORS):
    """Publish a snapshot with that rating model; tables without vectors are omitted."""
    packed = {
        name: {key.encode(): struct.pack("<2f", *vector) for key, vector in table.items()}
        for name, table in vectors.items()
    }
    factors = {"users": {}, "items": {}, "biases": biases, **packed}
    with writing(store):
        with SnapshotWriter(store) as writer:
            for file, tables in ((RECS, RECS_TABLES), (FACTORS, factors)):
                for name, records in tables.items():
                    writer.table(file, name, sorted(records.items()))
            writer.path(INDEX).write_bytes(b"never loaded")
            manifest = writer.finish(
                began_at="2026-03-01T02:30:00+00:00",
                finished_at="2026-03-01T02:30:00+00:00",
                code_version="test",
                inputs=[],
                parameters={},
                metrics={},
                gate=GateResult(),
            )
        publish(store, manifest.generation, "made by a test")


@pytest.fixture(scope="module", params=[False, True], ids=["bare", "nginx"])
def rated(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rated")
    make_rated_snapshot(folder / "store", BIASES)
    with Server(folder / "store", folder, "--workers", "1", nginx=request.param) as running:
        running.wait_for_generation(1)
        yield running


def predict(server, user_id, movie_id):
    with server.connect() as connection:
        body = json.dumps({"user_id": user_id, "movie_id": movie_id})
        return ask(connection, "/predict", "POST", {"Content-Type": "application/json"}, body)


@pytest.mark.parametrize(
    ("user_id", "movie_id", "rating", "basis"),
    [
        ("ann", "alien", 4.25, "user and item"),  # 3.5 + 0.25 + 0.5 + (0.25 - 0.25)
        ("ann", "plain", 3.5, "user and item"),  # no vector for the item
        ("bare", "alien", 4.125, "user and item"),  # none for the user
        ("ann", "awful", 2.25, "user and item"),  # 3.5 + 0.25 - 3.0 + 1.5
        ("ann", "never+seen", 3.75, "user"),
        ("nobody", "alien", 4.0, "item"),
        ("nobody", "never+seen", 3.5, "mean"),
        ("nobody", 7, 4.5, "item"),
        (7, "never+seen", 3.5, "mean"),
        ("grim", "awful", 0.5, "user and item"),  # -1.5 lies below the scale
    ],
)
def test_a_rating_is_the_sum_of_the_known_terms(rated, user_id, movie_id, rating, basis):
    """Mean, biases and the product of the vectors, within the scale; `basis` names them."""
    answer = predict(rated, user_id, movie_id)

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "user_id": str(user_id),
        "movie_id": str(movie_id),
        "rating": rating,
        "scale": [0.5, 5.0],
        "basis": basis,
        "generation": 1,
    }
    assert (answer.source, answer.generation) == ("predict", 1)


def test_a_rating_above_the_scale_is_clipped(serve, store):
    """To the highest rating."""
    make_rated_snapshot(store, {**BIASES, b"u/ann": b"9.0"})
    server = serve("--workers", "1")
    server.wait_for_generation(1)

    assert json.loads(predict(server, "ann", "alien").body)["rating"] == 5.0


def test_a_model_with_biases_only_predicts(serve, store):
    """The tables of vectors are missing."""
    make_rated_snapshot(store, BIASES, {})
    server = serve("--workers", "1")
    server.wait_for_generation(1)

    assert json.loads(predict(server, "ann", "awful").body)["rating"] == 0.75


def test_data_without_ratings_is_404(serve, store):
    """The text contains the reason."""
    make_rated_snapshot(store, {})
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    answer = predict(server, "ann", "alien")

    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
    assert "contains no ratings" in json.loads(answer.body)["detail"]


def test_an_empty_store_is_404(serve):
    """Nothing has been published."""
    answer = predict(serve("--workers", "1"), "ann", "alien")

    assert (answer.status, json.loads(answer.body)["title"]) == (404, "no ratings")


@pytest.mark.parametrize("movie_id", [None, True, 1.5, "", "a,b", "x" * 201, ["alien"], "\ud800"])
def test_a_malformed_movie_id_is_rejected(rated, movie_id):
    """It gets 400 and the rule for ids."""
    answer = predict(rated, "ann", movie_id)

    assert (answer.status, json.loads(answer.body)["title"]) == (400, "malformed movie_id")


def test_a_swap_replaces_the_rating_model(serve, store):
    """The previously opened model is not used any more."""
    make_rated_snapshot(store, BIASES)
    server = serve("--workers", "1")
    server.wait_for_generation(1)
    before = json.loads(predict(server, "ann", "alien").body)
    make_rated_snapshot(store, {**BIASES, b"mean": b"1.5"})
    server.wait_for_generation(2)
    after = json.loads(predict(server, "ann", "alien").body)

    assert [(a["generation"], a["rating"]) for a in (before, after)] == [(1, 4.25), (2, 2.25)]
