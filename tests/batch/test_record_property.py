"""Random items and users, written in a random form, are read back the same."""

import csv
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch.records.catalogue import Item, read_catalogues
from batch.records.profiles import Profile, read_profiles

GENRES = ("Comedy", "Drama", "War", "Film-Noir", "Sci-Fi & Fantasy", "Children's")
WORDS = st.text(st.sampled_from("abcxyzÄé乱 ,;\"|'-:"), max_size=12)
ITEM_NAMES = {
    "id": ("movieId", "item_id", "ISBN", "Book ID", "asin"),
    "title": ("title", "movie_title", "Book-Title", "name"),
    "year": ("year", "Year-Of-Publication", "startYear"),
    "genres": ("genres", "Genre", "categories"),
    "runtime": ("runtime", "runtimeMinutes"),
    "language": ("language", "original_language"),
    "": ("", "Unnamed: 0", "imdbId", "price"),
}
USER_NAMES = {
    "id": ("userId", "user", "Customer-ID", "uid"),
    "age": ("age", "Age Group", "age_band"),
    "gender": ("gender", "Sex"),
    "occupation": ("occupation", "job"),
    "": ("", "Unnamed: 0", "zip", "location"),
}
AGES = {
    None: ("", "unknown"),
    1: ("1", "Under 18", "0-17"),
    25: ("25", "25-34", "25 to 34"),
    56: ("56", "56+", "56 and over"),
}
GENDERS = {None: ("", "unknown"), "F": ("F", "female", "Woman"), "M": ("m", "MALE", "men")}


@st.composite
def tables(draw, names, cell):
    """Draw (columns, rows of text), ids first, all of them with names that people use."""
    ids = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=6, unique=True))
    fields = draw(st.permutations(list(names)))
    columns = [draw(st.sampled_from(names[field])) for field in fields]
    rows = [[cell(draw, field, number) for field in fields] for number in ids]
    return fields, columns, rows


def item_cell(draw, field, number):
    if field == "title":
        return "Film " + draw(WORDS).strip(" ")
    if field == "genres":
        return draw(st.lists(st.sampled_from(GENRES), unique=True, max_size=3))
    choices = {
        "id": [str(number)],
        "year": ["1995", "2003", ""],
        "runtime": ["81", "170", ""],
        "language": ["en", "fr", ""],
    }
    return draw(st.sampled_from(choices.get(field, ["x", "y"])))


def user_cell(draw, field, number):
    words: dict[str, dict[Any, tuple[str, ...]]] = {"age": AGES, "gender": GENDERS}
    if field in words:
        value = draw(st.sampled_from(list(words[field])))
        return value, draw(st.sampled_from(words[field][value]))
    choices = {"id": [str(number)], "occupation": ["writer", "K-12 student", ""]}
    return draw(st.sampled_from(choices.get(field, ["x", "y"])))


def spelled_genres(names, spelling):
    spellings = {
        "bars": "|".join(names),
        "commas": ", ".join(names),
        "python": repr(names),
        "json": json.dumps(names),
        "objects": repr([{"id": number, "name": name} for number, name in enumerate(names)]),
    }
    return spellings[spelling]


def delimited(columns, rows, separator, quoting):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, quoting=quoting, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue().encode()


def written(columns, rows, form):
    """Return a file's bytes; empty text is a missing value of JSON and Parquet."""
    if form.startswith("text"):
        quoting = csv.QUOTE_ALL if form.endswith("quoted") else csv.QUOTE_MINIMAL
        return delimited(columns, rows, form[4], quoting)
    objects = [
        {name: None if value == "" else value for name, value in zip(columns, row, strict=True)}
        for row in rows
    ]
    if form == "parquet":
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(objects), file)
        return file.getvalue()
    if form == "lines":
        return "".join(json.dumps(one) + "\n" for one in objects).encode()
    return json.dumps({"n": 1, "data": objects} if form == "object" else objects, indent=1).encode()


FORMS = st.sampled_from(
    [*(f"text{mark}{how}" for mark in ",;|\t" for how in ("", "quoted")),
     "parquet", "lines", "array", "object"]
)  # fmt: skip
slow_disk = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "records"


@slow_disk
@given(
    tables(ITEM_NAMES, item_cell),
    FORMS,
    st.sampled_from(["bars", "commas", "python", "json", "objects"]),
)
def test_any_items_are_read_back(file, table, form, spelling):
    fields, columns, rows = table
    cells = [
        [spelled_genres(cell, spelling) if isinstance(cell, list) else cell for cell in row]
        for row in rows
    ]
    file.write_bytes(written(columns, cells, form))
    expected = {}
    for row in rows:
        item = dict(zip(fields, row, strict=True))
        expected[item["id"]] = Item(
            " ".join(item["title"].split()),
            int(item["year"]) if item["year"] else None,
            tuple(item["genres"]),
            float(item["runtime"]) if item["runtime"] else None,
            None,
            language=item["language"] or None,
        )
    assert read_catalogues([file]).items == expected


@slow_disk
@given(tables(USER_NAMES, user_cell), FORMS)
def test_any_users_are_read_back(file, table, form):
    fields, columns, rows = table
    cells = [[cell[1] if isinstance(cell, tuple) else cell for cell in row] for row in rows]
    file.write_bytes(written(columns, cells, form))
    expected = {}
    for row in rows:
        user = dict(zip(fields, row, strict=True))
        expected[user["id"]] = Profile(
            user["age"][0], user["gender"][0], user["occupation"] or None
        )
    assert read_profiles([file]).users == expected
