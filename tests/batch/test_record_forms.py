"""Catalogues and profiles in the forms that people have: the same records from each."""

import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.errors import InputError
from batch.records.catalogue import Item, read_catalogues
from batch.records.found import catalogue_counts, profile_counts, record_warnings
from batch.records.profiles import Profile, read_profiles

NOTHING = Item(title=None, year=None, genres=(), runtime=None, adult=None)
ITEMS = {
    "100": Item("Heat, the Film", 1995, ("Crime", "Drama"), 170.0, None, language="en"),
    "101": Item('Ran "乱"', 1985, ("War",), 162.0, None, language="ja"),
}
USERS = {"1": Profile(25, "F", "writer"), "2": Profile(56, "M", "artist")}
OBJECTS = [
    {
        "id": item_id,
        "title": item.title,
        "release_date": f"{item.year}-05-31",
        "genres": list(item.genres),
        "runtime": item.runtime,
        "original_language": item.language,
    }
    for item_id, item in ITEMS.items()
]


def delimited(separator, quote='"'):
    """Return the items as fields between separators, with a header and pandas' index."""
    rows = [["", "Movie_ID", "movie_title", "Year", "genres", "runtimeMinutes", "lang"]]
    for number, (item_id, item) in enumerate(ITEMS.items()):
        genres, runtime = ", ".join(item.genres), f"{item.runtime:.0f} min"
        title = str(item.title)
        rows.append([str(number), item_id, title, str(item.year), genres, runtime, "en-US"])
    rows[-1][-1] = "ja"
    quoted = ([quote + field.replace('"', '""') + quote for field in row] for row in rows)
    return "".join(separator.join(row) + "\n" for row in quoted)


FORMS = {
    "comma": delimited(","),
    "semicolon": delimited(";"),
    "tab": delimited("\t"),
    "bar": delimited("|"),
    "comma-and-blank": delimited(", "),
    "colons": delimited("::", quote="").replace('""', '"'),
    "lines": "".join(json.dumps(one) + "\n" for one in OBJECTS),
    "python-lines": "".join(f"{one}\n" for one in OBJECTS),
    "array": json.dumps(OBJECTS),
    "pretty-array": json.dumps(OBJECTS, indent=2),
    "object": json.dumps({one["id"]: {**one, "id": None} for one in OBJECTS}).replace(
        '"id": null, ', ""
    ),
    "pretty-object": json.dumps({"data": OBJECTS, "total": 2}, indent=2),
    "object-with-an-array": json.dumps({"page": 1, "results": OBJECTS}),
}


@pytest.fixture
def read(tmp_path):
    """Write contents to files, and read them as one catalogue; tables as Parquet."""
    return lambda *contents: read_catalogues(written(tmp_path, contents))


@pytest.fixture
def read_users(tmp_path):
    """Write contents to files, and read them as profiles; tables as Parquet."""
    return lambda *contents: read_profiles(written(tmp_path, contents))


def written(folder, contents):
    paths = [folder / f"file-{number}" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_text(content)
    return paths


def warnings_of(catalogue):
    return record_warnings(catalogue, read_profiles([]))


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_items_are_the_same_in_every_form(read, content):
    catalogue = read(content)
    assert catalogue.items == ITEMS
    assert (catalogue.sources[0].n_rejected, warnings_of(catalogue)) == (0, [])


def test_items_are_read_from_parquet(read):
    table = pa.table({
        "movieId": pa.array([100, 101], pa.int64()),
        "title": ["Heat, the Film (1995)", 'Ran "乱"'],
        "genres": pa.array([["Crime", "Drama"], ["War"]]),
        "release_date": pa.array([date(1995, 12, 15), date(1985, 5, 31)]),
        "runtime": pa.array([Decimal("170.0"), Decimal("162.0")]),
        "language": pa.array(["en", "ja"]).dictionary_encode(),
        "vector": pa.array([[0.5, 1.0], [0.1, 0.2]]),
    })  # fmt: skip
    assert read(table).items == ITEMS


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([100.0, None, 101.0]),
        pa.array([Decimal("100.000"), None, Decimal("101.000")]),
        pa.array(["100.0", None, "101.0"]),
    ],
    ids=["float", "decimal", "text"],
)
def test_whole_ids_lose_their_fraction_which_is_said_once(read, ids):
    catalogue = read(pa.table({"item_id": ids, "title": ["Heat", "x", "Ran"]}))
    assert (list(catalogue.items), catalogue.sources[0].n_rejected) == (["100", "101"], 1)
    (note,) = catalogue.sources[0].notes
    assert re.fullmatch(r"item_id read as whole numbers: 100\.0* is 100", note)


def test_ids_that_are_not_all_whole_stay(read):
    catalogue = read("item_id,title\n7.0,Heat\n7.5,Ran\n")
    assert (list(catalogue.items), catalogue.sources[0].notes) == (["7.0", "7.5"], ())


def test_repeated_header_is_not_an_item(read):
    assert list(read("movieId,title\n1,Heat\nmovieId,title\n2,Ran\n").items) == ["1", "2"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("movie_id,movie_title,Comedy,Drama,War", "1,Heat,0,1,1"),
        ("id,name,genre_Comedy,genre_Drama,genre_War", "1,Heat,0.0,1.0,1.0"),
        ("item_id,title,unknown,Comedy,Drama,War", "1,Heat,1,False,True,True"),
    ],
)
def test_columns_of_0_and_1_are_genres(read, header, row):
    catalogue = read(f"{header}\n{row}\n")
    assert catalogue.items == {"1": replace(NOTHING, title="Heat", genres=("Drama", "War"))}
    (note,) = catalogue.sources[0].notes
    assert re.match(r"[34] columns of 0 and 1 read as genres: .*Comedy, Drama, War", note)


@pytest.mark.parametrize(
    "header",
    [
        "movie_id,movie_title,genres,Comedy,Drama,War",
        "movie_id,movie_title,is_new,has_trailer,is_free,isHidden",
        "movie_id,movie_title,hd,stars,subtitled,n",
    ],
)
def test_other_flags_are_not_genres(read, header):
    """Beside a column of genres, named as questions, or fewer than three side by side."""
    assert read(f"{header}\n1,Heat,,1,1,0\n2,Ran,,7,1,1\n").items["1"].genres == ()


@pytest.mark.parametrize(
    "name",
    ["title", "movie_title", "original_title", "book_title", "Book-Title", "name", "primaryTitle"],
)
def test_title_has_many_names(read, name):
    assert read(f"item_id;{name}\n1;Heat\n").items["1"].title == "Heat"


def test_better_name_of_a_field_counts(read):
    items = read("book_id,original_title,title,book\n1,A,B,C\n").items
    assert items["1"].title == "B"


def test_books_are_read_by_their_header(read):
    content = (
        '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication"\n'
        '"0195153448";"Classical Mythology";"Mark P. O. Morford";"2002"\n'
    )
    book = replace(NOTHING, title="Classical Mythology", year=2002, authors=("Mark P. O. Morford",))
    assert read(content).items == {"0195153448": book}


def test_quotes_may_be_escaped_by_backslashes(read):
    """As in Book-Crossing; elsewhere, a backslash stays what it is."""
    rows = '"1";"Clara \\"Callan\\"; a Novel";"x"\n'
    assert read('"ISBN";"Book-Title";"y"\n' + rows).items["1"].title == 'Clara "Callan"; a Novel'
    assert read('isbn,title\n1,"C:\\dir\\"\n').items["1"].title == "C:\\dir\\"


@pytest.mark.parametrize("value", ["\\N", "NULL", "<NA>", "N/A", "nan"])
def test_missing_values_of_databases_are_missing(read, value):
    content = f"tconst\tprimaryTitle\tgenres\truntimeMinutes\ntt1\t{value}\t{value}\t{value}\n"
    assert read(content).items == {"tt1": NOTHING}


def test_authors_are_several(read):
    content = 'book_id,title,authors\n1,Good Omens,"Terry Pratchett, Neil Gaiman"\n'
    assert read(content).items["1"].authors == ("Terry Pratchett", "Neil Gaiman")


@pytest.mark.parametrize(
    ("year", "expected"),
    [(1995, 1995), (1995.0, 1995), ("1995", 1995), ("May 1995", 1995), (0, None), (True, None),
     (10**400, None), (float("nan"), None), (-500, None)],
)  # fmt: skip
def test_year_is_a_number_or_a_date(read, year, expected):
    assert read(json.dumps({"id": 1, "title": "Heat", "year": year})).items["1"].year == expected


@pytest.mark.parametrize(
    ("runtime", "minutes"), [("104 min", 104.0), ("1h 44m", 104.0), ("2 h", 120.0), ("long", None)]
)
def test_runtime_may_have_its_unit(read, runtime, minutes):
    assert read(f"item_id,title,runtime\n1,Heat,{runtime}\n").items["1"].runtime == minutes


@pytest.mark.parametrize(("duration", "minutes"), [("90 min", 90.0), ("210", None)])
def test_duration_needs_its_unit(read, duration, minutes):
    """210 may be the seconds of a song."""
    assert read(f"item_id,title,duration\n1,Heat,{duration}\n").items["1"].runtime == minutes


@pytest.mark.parametrize(("flag", "expected"), [("0", False), ("1", True), ("2", None)])
def test_adult_may_be_a_code_in_text(read, flag, expected):
    assert (
        read(f"tconst\tprimaryTitle\tisAdult\ntt1\tHeat\t{flag}\n").items["tt1"].adult is expected
    )


# What is said about a file


def test_second_column_of_ids_is_said(read):
    (warning,) = warnings_of(read("book_id,isbn,title\n1,0195153448,Heat\n"))
    assert "book_id is read as the id, although isbn could be it, too" in warning


def test_column_that_is_given_has_the_ids(tmp_path):
    """In files that have it; other files are read as ever."""
    contents = "book_id,isbn,title\n1,0195153448,Heat\n", "item_id,title\n7,Ran\n"
    catalogue = read_catalogues(written(tmp_path, contents), "ISBN")
    assert (list(catalogue.items), warnings_of(catalogue)) == (["0195153448", "7"], [])


def test_uneven_lines_are_said(read):
    """Their fields may have shifted, so only their ids are used."""
    catalogue = read("movieId,title,genres\n1,Heat,Crime\n2,American President, The,Drama\n")
    assert catalogue.items["2"] == NOTHING
    (warning,) = warnings_of(catalogue)
    assert "1 lines do not have 3 fields: only their ids are used" in warning


def test_titles_of_the_netflix_prize_may_have_commas(read):
    catalogue = read("1,2003,Dinosaur Planet\n2,NULL,Ran, the Film\n")
    assert [(i.title, i.year) for i in catalogue.items.values()] == [
        ("Dinosaur Planet", 2003),
        ("Ran, the Film", None),
    ]


def test_ids_of_other_catalogues_are_not(read):
    assert warnings_of(read("movieId,imdb_id,tmdbId,title\n1,tt1,2,Heat\n")) == []


def test_missing_titles_are_said_with_the_columns(read):
    """As of MovieLens' links.csv, whose items exist."""
    catalogue = read("movieId,imdbId,tmdbId\n1,100,862\n")
    assert warnings_of(catalogue) == [
        "no item has a title; the catalogue has the columns movieId, imdbId, tmdbId"
    ]
    assert warnings_of(read("movieId,imdbId\n1,100\n", "movieId,title\n1,Heat\n")) == []


def test_column_without_a_readable_value_is_said(read):
    (warning,) = warnings_of(read("movieId,title,runtime\n1,Heat,\n2,Ran,2:42:00\n"))
    assert "no value of runtime can be read as runtime, such as '2:42:00'" in warning


def test_genres_are_counted_and_too_many_are_said(read):
    rows = "".join(f"{n},Film {n},Genre {n}\n" for n in range(150))
    catalogue = read("movieId,title,genres\n" + rows)
    counts = catalogue_counts(catalogue)
    assert (counts["items"], counts["titles"], counts["genres"]) == (150, 150, 150)
    assert warnings_of(catalogue) == ["150 different genres of 150 items, such as 'Genre 0'"]


def test_fields_of_items_are_counted(read):
    assert catalogue_counts(read(FORMS["lines"])) == {
        "items": 2, "titles": 2, "years": 2, "items_with_genres": 2, "runtimes": 2,
        "languages": 2, "overviews": 0, "items_with_authors": 0, "genres": 3,
    }  # fmt: skip


# Profiles

USER_FORMS = {
    "bands": "user_id,age,gender,birth_year,occupation\n1,25-34,F,1950,writer\n"
    "2,56+,M,2015,artist\n",
    "semicolon": '"User-ID";"Age";"Sex";"Job"\n"1";"25";"female";"writer"\n'
    '"2";"56";"man";"artist"\n',
    "tab": "uid\tage_group\tgender\toccupation\n1\t25-34\tF\twriter\n2\t56-99\tM\tartist\n",
    "comment": "#id\tgender\tage\toccupation\n1\tw\t25\twriter\n2\tm\t56\tartist\n",
    "lines": '{"customer_id": 1, "ageGroup": "25 to 34", "gender": "Female", "job": "writer"}\n'
    '{"customer_id": 2, "ageGroup": "56 and over", "gender": "m", "job": "artist"}\n',
    "array": '[{"id": 1, "age": 25, "gender": "F", "occupation": "writer"},\n'
    ' {"id": 2, "age": 56.0, "gender": "M", "occupation": "artist"}]',
    "object": '{"1": {"age": "25", "gender": "F", "job": "writer"},'
    ' "2": {"age": 56, "gender": "M", "job": "artist"}}',
}


@pytest.mark.parametrize("content", USER_FORMS.values(), ids=USER_FORMS)
def test_users_are_the_same_in_every_form(read_users, content):
    assert read_users(content).users == USERS


def test_users_are_read_from_parquet(read_users):
    table = pa.table({
        "user": [1.0, 2.0], "age": pa.array([25, 56], pa.int8()),
        "gender": pa.array(["F", "M"]).dictionary_encode(), "occupation": ["writer", "artist"],
    })  # fmt: skip
    assert read_users(table).users == USERS


def test_year_of_birth_is_an_age(read_users):
    this_year = date.today().year  # noqa: DTZ011  # the age is that of today
    users = read_users(f"user_id,birth_year\n1,{this_year - 30}\n").users
    assert users["1"].age in (29, 30)


def test_users_with_each_field_are_counted(read_users):
    profiles = read_users("user_id,age,gender\n1,25,F\n2,,F\n3,,\n")
    assert profile_counts(profiles) == {
        "users": 3, "ages": 1, "genders": 2, "occupations": 0, "likes": 0, "dislikes": 0
    }  # fmt: skip


def test_profiles_without_a_field_are_said(read_users):
    profiles = read_users("user_id,alter,region\n1,25,x\n")
    assert record_warnings(read_catalogues([]), profiles) == [
        "no user has an age, gender or occupation; the profiles have the columns"
        " user_id, alter, region"
    ]


@pytest.mark.parametrize("name", ["id", "ID"])
def test_bare_ids_without_a_field_are_not_users(read_users, name):
    """They are those of anything."""
    with pytest.raises(InputError, match="no entry with a usable id"):
        read_users(f'{{"{name}": "heat+1995", "genres": []}}\n')
    assert list(read_users(f'{{"{name}": "ann", "age": 28}}\n').users) == ["ann"]


# Made-up files of forms that people have


@pytest.fixture
def odd_inputs(shared_data):
    """The folder of made-up inputs in many forms."""
    folder = shared_data / "odd-inputs"
    if not folder.is_dir():
        pytest.skip(f"no odd inputs: {folder} is not there")
    return folder


@pytest.mark.parametrize(
    "name",
    ["array.json", "flags.csv", "genres-comma.csv", "genres-list.jsonl", "genres-python.csv",
     "object.json"],
)  # fmt: skip
def test_odd_catalogues_have_their_items_titles_and_genres(odd_inputs, name):
    items = read_catalogues([odd_inputs / f"catalogue-{name}"]).items
    assert set(items) == {str(number) for number in range(100, 130)}
    assert all(item.title == f"Film {item_id}" for item_id, item in items.items())
    assert {g for i in items.values() for g in i.genres} == {"Comedy", "Crime", "Drama", "War"}


def test_odd_books_have_titles_and_authors(odd_inputs):
    items = read_catalogues([odd_inputs / "catalogue-books.csv"]).items
    assert items["100"] == replace(NOTHING, title="Book 100", authors=("An Author",))


def test_odd_profiles_have_ages_of_their_bands(odd_inputs):
    users = read_profiles([odd_inputs / "profiles-bands.csv"]).users
    assert len(users) == 40
    assert {user.age for user in users.values()} == {18, 25, 35}


def test_odd_tags_are_not_a_catalogue(odd_inputs):
    with pytest.raises(InputError, match="has a column tagId"):
        read_catalogues([odd_inputs / "tags-by-mistake.csv"])
