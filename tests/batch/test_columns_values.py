"""What the values of columns mean: ids, numbers and times, from their names and first values."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from batch.columns.ids import IdForm, IdReader, id_form, whole_text
from batch.columns.numbers import Meaning, NumberOptions, number_reader
from batch.columns.times import time_reader
from store.ids import ITEM_ID_PATTERN


def faulty(read):
    """Return the faulty rows by reason."""
    return {reason: np.flatnonzero(rows).tolist() for reason, rows in read.faults}


# --- ids ----------------------------------------------------------------------------------


def ids(column, first=None):
    form = id_form(pa.array(column) if first is None else pa.array(first))
    column = column if isinstance(column, pa.Array) else pa.array(column)
    read = IdReader("item", ITEM_ID_PATTERN, form)(column)
    return read.values.to_pylist(), faulty(read)


@pytest.mark.parametrize(
    "column",
    [
        ["7.0", "12.0"],
        ["7.0", "12"],
        [7.0, 12.0],
        [Decimal("7.000"), Decimal("12.000")],
        ["7.000000000000000000", "12."],
        [7, 12],
        ["7", "12"],
        pa.array(["7.0", "12.0"]).dictionary_encode(),
        pa.array([7.0, 12.0], pa.float32()),
        pa.array([b"7", b"12"]),
    ],
)
def test_whole_ids_are_read_without_a_fraction(column):
    """Of text, floats, decimals and integers alike."""
    first = column.dictionary_decode() if hasattr(column, "dictionary") else column
    assert ids(column, first) == (["7", "12"], {})


def test_large_ids_of_a_float_column_are_written_out():
    """1e16 would hold the sign of an exponent."""
    assert ids([76561197960265728.0 // 16, 2.0**52]) == (
        ["4785074872516608", "4503599627370496"],
        {},
    )


def test_ids_with_fractions_stay_as_they_are():
    """One that is not whole is enough."""
    assert ids(["7.0", "1.5"]) == (["7.0", "1.5"], {})
    assert id_form(pa.array(["7.0", "x"])) is IdForm.TEXT


def test_7_and_7_0_are_one_id():
    """Of a column of whole floats, whichever way they are written."""
    read = IdReader("user", ITEM_ID_PATTERN, IdForm.FLOAT)(pa.array(["7", "7.0", "8"]))
    assert read.values.dictionary.to_pylist() == ["7", "8"]
    assert read.values.to_pylist() == ["7", "7", "8"]


@pytest.mark.parametrize(
    ("first", "later", "form"),
    [
        (["7.0"], ["8.0", "7.5", "x"], "whole numbers with a fraction of 0"),
        (["7"], ["8", "7.0"], "whole numbers"),
    ],
)
def test_ids_that_contradict_the_first_are_rejected(first, later, form):
    """A float among integers may be another id or the same: it is not guessed."""
    _, found = ids(later, first)
    assert found == {f"item id unlike the first ones, which are {form}": [*range(1, len(later))]}


def test_malformed_and_missing_ids_are_rejected():
    """A blank, a comma, nothing."""
    assert ids(["a", "b c", "", None])[1] == {"malformed item id": [1, 2, 3]}


def test_whole_text_strips_a_fraction_of_zero_alone():
    """As catalogues and profiles use it."""
    assert [whole_text(text) for text in ("7.0", "7", "7.5", "x.0")] == ["7", "7", "7.5", "x.0"]


# --- numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "first", "meaning", "sentence"),
    [
        ("rating", [0.5, 4, 5], Meaning.RATING, "x read as ratings on a scale of 5, 0.5 to 5"),
        ("rating", [1, 7, 10], Meaning.RATING, "x read as ratings on a scale of 10, 1 to 10"),
        ("rating", [0, 1, 1], Meaning.FLAG, "x read as dislikes and likes, 0 to 1"),
        ("rating", [1] * 20, Meaning.FLAG, "x read as dislikes and likes, 1 to 1"),
        ("rating", [1], Meaning.RATING, "x read as ratings on a scale of 5, 1 to 1"),
        ("rating", [*range(0, 101, 5)], Meaning.PERCENTAGE, "x read as percentages, 0 to 100"),
        ("rating", [*[4] * 300, 99], Meaning.RATING, "x read as ratings on a scale of 5, 4 to 99"),
        ("minutes", [0, 120], Meaning.MINUTES, "x read as minutes, 0 to 120"),
        ("count", [1, 299], Meaning.COUNT, "x read as counts, 1 to 299"),
        ("count", [0.1, 1], Meaning.PERCENTAGE, "x read as percentages, 0.1 to 1"),
        ("flag", [0, 1], Meaning.FLAG, "x read as dislikes and likes, 0 to 1"),
        ("flag", [-1, 1], Meaning.FLAG, "x read as dislikes and likes, -1 to 1"),
        ("flag", [0, 50], Meaning.COUNT, "x read as counts, 0 to 50"),
        ("percentage", [0, 100], Meaning.PERCENTAGE, "x read as percentages, 0 to 100"),
    ],
)
def test_meaning_is_told_by_name_and_by_values(role, first, meaning, sentence):
    """The first values may contradict the name; text is read as numbers are."""
    for column in (pa.array(first, pa.float64()), pa.array([f"{n:g}" for n in first])):
        reader = number_reader(role, "x", column)
        assert (reader.meaning, reader.sentence) == (meaning, sentence)


def numbers(role, first, later, name="x", **options):
    read = number_reader(role, name, pa.array(first), NumberOptions(**options))(pa.array(later))
    return read.values.to_pylist(), faulty(read)


def test_counts_saturate():
    """A count of `count_half` is half of an item; a larger one is less than all of it."""
    shares, found = numbers("count", [1, 90], [10, 30, 90, 10**9, 0, -1])
    assert shares[:3] == [0.5, 0.75, 0.9]
    assert 0.999 < shares[3] <= 1
    assert found == {"count of 0": [4], "malformed count": [5]}
    assert numbers("count", [1, 90], [1, 3], count_half=1.0)[0] == [0.5, 0.75]


@pytest.mark.parametrize("words", [["true", "False"], ["1", "0"], ["yes", "NO"], ["1.0", "-1"]])
def test_flags_are_like_and_dislike(words):
    """By digit or by word, in any case."""
    assert numbers("flag", words, words) == ([1.0, 0.0], {})


def test_flags_may_be_booleans():
    """Of Parquet or of a database."""
    assert numbers("flag", [True, False], [False, True]) == ([0.0, 1.0], {})
    assert numbers("flag", [True, False], [1.0, 3.0])[1] == {"malformed flag": [1]}


def test_percentages_are_shares():
    """Of 100, or of 1 if no number is larger."""
    assert numbers("percentage", [0, 80], [80, 101]) == ([0.8, 0.0], {"malformed percentage": [1]})
    assert numbers("percentage", [0.2, 1.0], [0.25, 50]) == (
        [0.25, 0.0], {"malformed percentage": [1]}
    )  # fmt: skip
    assert numbers("percentage", [0.2, 5.0], [0.25, 5.0], "watch_ratio") == ([0.25, 1.0], {})


@pytest.mark.parametrize(
    ("name", "value", "minutes"),
    [
        ("minutes", 90, 90),
        ("hours_played", 1.5, 90),
        ("secondsWatched", 5400, 90),
        ("ms_played", 5.4e6, 90),
    ],
)
def test_minutes_have_the_unit_of_the_name(name, value, minutes):
    """Hours, seconds and milliseconds become whole minutes."""
    assert numbers("minutes", [value], [value], name)[0] == [minutes]


def test_decimal_comma_is_read():
    """As semicolon-separated tables of many countries have it."""
    assert numbers("rating", ["4,5", "3"], ["4,5", "3"])[0] == [4.5, 3.0]


def test_rating_off_the_scale_is_rejected_with_its_scale():
    """Above the best, or 0 on a scale of 5; what is no number is malformed."""
    found = numbers("rating", [4, 5], ["4", "6", "0", "x", "NaN", "-1", ""])[1]
    assert found == {"malformed rating": [3, 4, 5, 6], "rating off the scale of 5": [1, 2]}
    assert numbers("rating", [4, 5], [6.0, 99.0], max_rating=100.0) == ([6.0, 99.0], {})


@pytest.mark.parametrize(
    ("zero_rating", "first", "is_rejected"),
    [
        ("auto", [5, 10], False), ("auto", [4, 5], True),
        ("unrated", [4, 5], False), ("rejected", [5, 10], True),
    ],
)  # fmt: skip
def test_zero_is_unrated_or_off_the_scale(zero_rating, first, is_rejected):
    """Book-Crossing's 0 of 10 is an interaction without a rating."""
    _, found = numbers("rating", first, [0.0], zero_rating=zero_rating)
    assert bool(found) == is_rejected


# --- times --------------------------------------------------------------------------------

AT = 1_600_000_000  # 2020-09-13T12:26:40Z


@pytest.mark.parametrize(
    "column",
    [
        [AT], [AT * 10**3], [AT * 10**6], [AT * 10**9], [float(AT)], [AT + 0.75],
        [str(AT)], [f"{AT}000"], [f"{AT}.75"], [f"{AT}000000"], [f"{AT}000000000"],
        ["2020-09-13 12:26:40"], ["2020-09-13T12:26:40.123456"], ["2020-09-13T12:26:40Z"],
        ["2020-09-13 14:26:40+02:00"], ["2020-09-13T07:26:40.5-0500"], ["2020-09-13 12:26:40 UTC"],
        [dt.datetime.fromisoformat("2020-09-13T12:26:40")],
        [dt.datetime(2020, 9, 13, 14, 26, 40, tzinfo=dt.timezone(dt.timedelta(hours=2)))],
        [Decimal(AT)],
    ],
)  # fmt: skip
def test_any_form_of_a_time_is_the_same_second(column):
    """Seconds, ms, µs, ns by magnitude; ISO 8601 with a zone and without; Arrow's own."""
    reader = time_reader("at", pa.array(column))
    assert reader is not None
    read = reader(pa.array(column))
    assert (read.values.to_pylist(), read.faults) == ([AT], ())
    assert (reader.first, reader.last) == (AT, AT)


@pytest.mark.parametrize(
    "column", [["2020-09-13"], ["20200913"], [20200913], [dt.date(2020, 9, 13)]]
)
def test_date_is_its_first_second(column):
    """Dates alone, of text or Arrow's own."""
    reader = time_reader("at", pa.array(column))
    assert reader is not None
    assert reader(pa.array(column)).values.to_pylist() == [1_599_955_200]


def test_times_before_1970_are_read():
    """A fraction of a second rounds down."""
    reader = time_reader("at", pa.array(["1969-12-31 23:59:59"]))
    assert reader is not None
    assert reader(pa.array(["1969-12-31 23:59:59"])).values.to_pylist() == [-1]


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ([str(AT)], [f"{AT}000", "late", "-5", "9" * 30, "2020-09-13"]),
        ([f"{AT}000"], [str(AT), f"{AT}000000"]),
        (["2020-09-13"], [str(AT), "2020-02-31", "2020-13-01", "13.9.2020"]),
    ],
)
def test_times_of_another_form_or_unit_are_rejected(first, later):
    """Seconds among milliseconds would be 1970; an impossible date is none."""
    reader = time_reader("at", pa.array(first))
    assert reader is not None
    read = reader(pa.array([*first, *later, ""]))
    assert faulty(read) == {"malformed time": [*range(1, len(later) + 1)]}
    assert read.values.to_pylist()[-1] is None


@pytest.mark.parametrize("column", [["09 13, 2009"] * 3, ["x", "y", "2020-09-13"]])
def test_column_without_times_has_no_reader(column):
    """Most of its values cannot be read."""
    assert time_reader("at", pa.array(column)) is None
    assert time_reader("at", pa.array([*column, *["2020-09-13"] * 9])) is not None
