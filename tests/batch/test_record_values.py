"""Values in the forms in which files have them: names of genres, ages, runtimes, years."""

from datetime import date

import pytest

from batch.records.ages import age_in_years, age_since
from batch.records.names import names_in

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    "value",
    [
        "Comedy|Drama",
        "Comedy, Drama",
        "Comedy,Drama",
        "Comedy; Drama",
        " Comedy | Drama | Comedy ",
        "['Comedy', 'Drama']",
        '["Comedy", "Drama"]',
        "[u'Comedy', u'Drama']",
        "['Comedy' 'Drama']",
        "{Comedy,Drama}",
        "[{'id': 35, 'name': 'Comedy'}, {'id': 18, 'name': 'Drama'}]",
        '[{"id": 35, "name": "Comedy"}, {"id": 18, "name": "Drama"}]',
        ["Comedy", "Drama"],
        [["Comedy", "Drama"]],
        [{"id": 35, "name": "Comedy"}, {"id": 18, "name": "Drama"}],
        [{"id": "1", "description": "Comedy"}, {"id": "2", "description": "Drama"}],
    ],
    ids=str,
)
def test_names_are_found_in_every_form(value):
    assert names_in(value) == ("Comedy", "Drama")


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("Drama", ("Drama",)),
        ("Sci-Fi & Fantasy", ("Sci-Fi & Fantasy",)),
        ("Action, Adventure|War", ("Action, Adventure", "War")),
        ("""["Rock 'n' Roll", 'Drama']""", ("Rock 'n' Roll", "Drama")),
        ("""["Rock 'n' Roll", "Drama"]""", ("Rock 'n' Roll", "Drama")),
        ("[\"Children's\" 'Drama']", ("Children's", "Drama")),
        ("{\"Film Noir\",Drama}", ("Film Noir", "Drama")),
    ],
)  # fmt: skip
def test_names_keep_their_signs(value, names):
    assert names_in(value) == names


@pytest.mark.parametrize(
    "value",
    [None, "", " ", "[]", "{}", "null", "nan", [], [None], [7], {}, {"name": "x"}, 7, True,
     "[[[[", "[" * 10_000, "[1, 2]", "x" * (1 << 15)],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_no_names_are_found_where_there_are_none(value):
    assert names_in(value) == ()


@pytest.mark.parametrize(
    ("value", "age"),
    [
        (28, 28),
        ("28", 28),
        ("28.0", 28),
        ("28 years", 28),
        ("25-34", 25),
        ("25 – 34", 25),
        ("25 to 34 years", 25),
        ("[25, 34)", 25),
        ("18_24", 18),
        ("0-17", 1),
        ("Under 18", 1),
        ("<18", 1),
        ("17 and under", 1),
        ("56+", 56),
        ("65 and over", 65),
        (">= 56", 56),
        ("over 55", 56),
        (">55", 56),
    ],
)
def test_age_is_years_or_the_youngest_of_a_band(value, age):
    assert age_in_years(value) == age


def test_long_text_is_not_searched_for_a_band():
    assert age_in_years("25" + " " * 10**6 + "x") is None


@pytest.mark.parametrize("value", ["34-25", "adult", "1996", "25-Mar", "", None, "200+", -5, True])
def test_what_is_not_an_age_is_missing(value):
    assert age_in_years(value) is None


@pytest.mark.parametrize(
    ("born", "age"),
    [
        (1996, 29),
        ("1996", 29),
        (1996.0, 29),
        ("1996-11-27", 30),
        ("1996-11-28", 29),
        ("1996-11-27T08:00:00Z", 30),
        ("27/11/1996", 29),
    ],
)
def test_age_since_birth_is_the_youngest_that_it_allows(born, age):
    assert age_since(born, TODAY) == age


@pytest.mark.parametrize("born", [None, "", "unknown", 96, 0, True, {}, "2026", "1899", 19961])
def test_impossible_birth_gives_no_age(born):
    assert age_since(born, TODAY) is None
