"""Titles and genres in free text, and preferences made of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.cold_start.genres import Genres
from batch.cold_start.stated_preferences import PreferenceParser, StatedPreferences
from batch.cold_start.titles import CatalogueTitle, Titles
from batch.cold_start.words import COMMON_WORDS, words_in
from batch.records.catalogue import Item
from batch.records.profiles import Profile

CATALOGUE = (
    ("Heat", 1995, 50), ("Heat", 1986, 5), ("It", 2017, 10), ("Her", 2013, 10), ("Up", 2009, 30),
    ("Matrix, The", 1999, 90), ("The Fly", 1986, 8), ("Alien", 1979, 20),
    ("Alien: Resurrection", 1997, 20), ("Now and Then", 1995, 4), ("I", 2015, 1),
    ("Star Wars: Episode IV - A New Hope", 1977, 99), ("Scary Movie", 2000, 3),
    ("Amélie (Fabuleux destin d'Amélie Poulain, Le)", 2001, 3), ("Monsters, Inc.", 2001, 4),
    ("Ocean's Eleven", 2001, 3), ("Mr. & Mrs. Smith", 2005, 2), ("1984", 1984, 2),
    ("Blade Runner 2049", 2017, 6), ("Blade Runner", 1982, 9), ("Drama", 2010, 2),
)  # fmt: skip
TITLES = Titles(
    CatalogueTitle(title, year, row, n) for row, (title, year, n) in enumerate(CATALOGUE)
)

FOUND = {
    "I loved Heat.": [("Heat", 1995)],
    "heat (1986)": [("Heat", 1986)],
    "Heat 1987, a remake": [("Heat", 1986)],
    "Heat (1950)": [("Heat", 1995)],
    "heat; alien; star wars": [
        ("Heat", 1995), ("Alien", 1979), ("Star Wars: Episode IV - A New Hope", 1977),
    ],
    "the matrix and amelie": [
        ("Matrix, The", 1999), ("Amélie (Fabuleux destin d'Amélie Poulain, Le)", 2001),
    ],
    "MATRIX, ALIEN": [("Matrix, The", 1999), ("Alien", 1979)],
    "Loved the fly and Up": [("The Fly", 1986), ("Up", 2009)],
    "I like It, and Her": [("It", 2017), ("Her", 2013)],
    "'It' and “Her”": [("It", 2017), ("Her", 2013)],
    "up (2009)": [("Up", 2009)],
    "Alien Resurrection beats all": [("Alien: Resurrection", 1997)],
    "monsters inc, oceans eleven, mr and mrs smith": [
        ("Monsters, Inc.", 2001), ("Ocean's Eleven", 2001), ("Mr. & Mrs. Smith", 2005),
    ],
    "Blade Runner 2049": [("Blade Runner 2049", 2017)],
    "Blade Runner, 1982": [("Blade Runner", 1982)],
    "I love Now and Then": [("Now and Then", 1995)],
    "le fabuleux destin d'Amélie Poulain": [
        ("Amélie (Fabuleux destin d'Amélie Poulain, Le)", 2001)
    ],
    "1984": [("1984", 1984)],
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FOUND.items(), ids=FOUND)
def test_titles_are_found(text, expected):
    assert titles_in(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I like it, her smile, what's up?",
        "It was up to her, and she knew it",
        "I love drama, and comedy now and then.",
        "A good scary movie",
        "I can't stand the heat of summer",
        "In 1984 I was young",
        "I",
        "IT IS UP TO HER",
        "",
        "?!",
    ],
)
def test_common_words_are_not_titles(text):
    assert titles_in(text) == []


def titles_in(text):
    rows = [row for _, _, row in TITLES.find(words_in(text))]
    return [CATALOGUE[row][:2] for row in rows]


def test_shared_title_means_the_most_popular_item():
    titles = Titles([CatalogueTitle("Heat", 1986, 0, 5), CatalogueTitle("Heat", 1995, 1, 50)])
    assert [row for *_, row in titles.find(words_in("Heat"))] == [1]


def test_shared_title_of_equal_popularity_means_the_lower_row():
    titles = Titles([CatalogueTitle("Heat", None, 7, 3), CatalogueTitle("Heat", None, 2, 3)])
    assert [row for *_, row in titles.find(words_in("Heat"))] == [2]


def test_longest_title_is_taken():
    titles = Titles(
        CatalogueTitle(title, None, row, 9 - row)
        for row, title in enumerate(["The Lord", "Two Towers", "The Lord of the Two Towers"])
    )
    assert [row for *_, row in titles.find(words_in("the lord of the two towers"))] == [2]


WORD = st.text("abcdefghijklmnopqrstuvwxyzéüß", min_size=2, max_size=9).filter(
    lambda word: words_in(word)[0].text not in COMMON_WORDS
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(WORD, min_size=2, max_size=5), min_size=1, max_size=8), st.data())
def test_any_title_of_two_uncommon_words_is_found(catalogue, data):
    """In upper, lower and title case, between common words, after an article."""
    names = [" ".join(words) for words in catalogue]
    titles = Titles(CatalogueTitle(name.title(), None, row, 0) for row, name in enumerate(names))
    name = data.draw(st.sampled_from(names))
    written = data.draw(st.sampled_from([str.lower, str.upper, str.title]))
    rows = [row for *_, row in titles.find(words_in(f"you know the {written(name)} you know"))]
    assert [words_in(names[row]) for row in rows] == [words_in(name)]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_found_titles_lie_in_order_without_overlap(text):
    words = words_in(text + " Heat " + text)
    end = 0
    for begin, behind, _ in TITLES.find(words):
        assert end <= begin < behind <= len(words) - 1
        end = behind


def test_text_of_title_beginnings_names_no_title():
    """Each of 20,000 words begins like a title: the search compares 12 words at each."""
    titles = Titles([CatalogueTitle("star " * 11 + "wars", None, 0, 0)])
    assert list(titles.find(words_in("star " * 20_000))) == []


# Genres


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I love sci-fi", "Science Fiction"),
        ("Science fiction!", "Science Fiction"),
        ("scifi", "Science Fiction"),
        ("romantic things", "Romance"),
        ("comedies", "Comedy"),
        ("No westerns", "Western"),
        ("MUSICALS", "Music"),
        ("cartoons", "Animation"),
        ("film noir", None),
        ("science", None),
    ],
)
def test_genre_is_found_by_its_aliases(text, expected):
    genres = Genres(["Science Fiction", "Romance", "Comedy", "Western", "Music", "Animation"])
    words = words_in(text)
    names = [genre[1] for start in range(len(words)) if (genre := genres.at(words, start))]
    assert names == ([expected] if expected else [])


def test_genre_name_takes_precedence_over_an_alias():
    """With both Musical and Music in the catalogue, "musicals" names the former."""
    genres = Genres(["Musical", "Music", "Sci-Fi"])
    assert genres.at(words_in("musicals"), 0) == (1, "Musical")
    assert genres.at(words_in("science fiction"), 0) == (2, "Sci-Fi")


# Preferences

ITEMS = {
    "heat+1995": Item("Heat", 1995, ("Crime", "Drama"), None, None),
    "saw+2004": Item("Saw", 2004, ("Horror",), None, None),
    "the+fly+1986": Item(None, None, ("Horror",), None, None),
}
PARSER = PreferenceParser(sorted(ITEMS), ITEMS, [3, 2, 1])


def preferences(likes=None, dislikes=None, age=None):
    return PARSER.parse(Profile(age, None, None, likes, dislikes))


def test_preferences_are_liked_and_disliked_items_and_genres():
    parsed = preferences("Heat and some crime", "horror; Saw", 15)
    assert parsed == StatedPreferences((0,), ("Crime",), (1,), ("Horror",), is_minor=True)


def test_item_without_a_title_is_found_by_its_id():
    assert preferences("The Fly (1986)") == StatedPreferences(items=(2,))


def test_genre_takes_precedence_over_a_title_of_equal_length():
    items = {"drama+2010": Item("Drama", 2010, ("Drama",), None, None)}
    parser = PreferenceParser(["drama+2010"], items, [9])
    assert parser.parse(Profile(None, None, None, "I love Drama")) == StatedPreferences(
        genres=("Drama",)
    )
    assert parser.parse(Profile(None, None, None, "Drama (2010)")) == StatedPreferences(items=(0,))


def test_item_both_liked_and_disliked_is_disliked():
    assert preferences("Heat, horror", "heat, Horror!") == StatedPreferences(
        (), (), (0,), ("Horror",)
    )


@pytest.mark.parametrize("likes", [None, "films", "it is up to her", "¿?", "x" * 2_000])
def test_text_without_known_names_gives_no_preferences(likes):
    assert preferences(likes, likes) is None
