"""Schema checks: one violation of each field, of the right kind."""

import pytest

from batch.fetch.schema import MOVIE_SCHEMA, OTHERS, USER_SCHEMA, ViolationCounts

USER = {
    "user_id": 42,
    "age": 28,
    "occupation": "writer",
    "gender": "F",
    "likes": "",
    "dislikes": "",
}
MOVIE = {
    "id": "heat+1995", "tmdb_id": 949, "imdb_id": "tt0113277", "title": "Heat",
    "original_title": "Heat", "adult": "False", "belongs_to_collection": {}, "budget": "0",
    "genres": [{"id": 28, "name": "Action"}], "homepage": "null", "original_language": "en",
    "overview": "", "popularity": "17.9", "poster_path": "/x.jpg", "production_companies": [],
    "production_countries": [], "release_date": "1995-12-15", "revenue": "0", "runtime": 170,
    "spoken_languages": [], "status": "Released", "vote_average": "7.7", "vote_count": "1886",
    "cost": 0.25,
}  # fmt: skip


def counted(schema, *docs):
    counts = ViolationCounts(schema)
    for doc in docs:
        counts.add(doc)
    return counts


def test_valid_answers_have_no_violations():
    """Also with a user id as text, a flag as such, numbers as such, a collection."""
    other = MOVIE | {"adult": False, "budget": 7, "popularity": 1.5, "genres": []}
    other["belongs_to_collection"] = {"id": 1}
    assert counted(MOVIE_SCHEMA, MOVIE, other).kinds == {}
    assert counted(USER_SCHEMA, USER, USER | {"user_id": "42"}).kinds == {}


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        (None, "null", None), ({}, "empty", None), ("28", "type", "text"), ([28], "type",
        "list of other values"), (True, "type", "true or false"), ({"a": 1}, "type", "object"),
        (0, "range", None), (121, "range", None), (float("nan"), "range", None),
        (10**400, "range", None),
    ],
)  # fmt: skip
def test_each_kind_of_violation_is_told_apart(value, kind, found):
    counts = counted(USER_SCHEMA, USER | {"age": value}, USER)
    assert counts.kinds == {"age": {kind: 1}}
    assert counts.types == ({"age": {found: 1}} if found else {})
    assert counts.n_docs == 2


def test_a_missing_and_an_unexpected_field_are_violations():
    doc = {name: value for name, value in USER.items() if name != "gender"} | {"sex": "F"}
    assert counted(USER_SCHEMA, doc).kinds == {"gender": {"missing": 1}, "sex": {"unexpected": 1}}


@pytest.mark.parametrize("value", ["none", ["a"], [{"id": 1}, "a"], {"id": 1}])
def test_genres_are_a_list_of_objects(value):
    assert counted(MOVIE_SCHEMA, MOVIE | {"genres": value}).kinds == {"genres": {"type": 1}}


def test_a_field_that_changes_its_type_is_counted_in_every_answer():
    """With the new type, so that the change is seen."""
    counts = counted(MOVIE_SCHEMA, *[MOVIE | {"runtime": "170"}] * 30)
    assert (counts.kinds, counts.types) == ({"runtime": {"type": 30}}, {"runtime": {"text": 30}})


def test_names_of_unexpected_fields_are_bounded_and_printable():
    """An API may send any of them."""
    many = counted(USER_SCHEMA, *(USER | {f"field{n}": 1} for n in range(500)))
    assert len(many.kinds) <= 110
    assert many.kinds[OTHERS]["unexpected"] == 500 - (len(many.kinds) - 1)
    (name,) = counted(USER_SCHEMA, USER | {"\x1b[2J" + "x" * 500: 1}).kinds
    assert name.isprintable()
    assert len(name) <= 60
