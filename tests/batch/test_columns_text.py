"""Delimited text: dialects, headers, and a random table written in a random dialect."""

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.columns.dialect import find_dialect
from batch.columns.header import read_head
from batch.columns.names import ITEM, NAMES, TIME, USER
from batch.columns.roles import choose_columns, is_header, parse_columns, plain_name
from batch.errors import InputError
from batch.events.read import ReadSizes, read_events
from batch.settings import BatchSettings
from store.ids import is_item_id
from tests.batch.event_files import EventFolder, ratings

# --- dialects -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "separator", "n_columns"),
    [
        (["1,2,4", "3,4,5"], ",", 3),
        (["1;2;4,5", "3;4;3,5"], ";", 3),
        (["1\t2\t2020-09-13 12:26:40", "3\t4\t2020-09-13 12:26:40"], "\t", 3),
        (["1|2|4", "3|4|5"], "|", 3),
        (["1::2::4", "3::4::5"], "::", 3),
        (["1 2   4", "3  4 5"], " ", 3),
        (["noise, of a kind", "1::2::4", "3::4::5"], "::", 3),
        (["1,2,Comedy|Drama", "3,4,War"], ",", 3),
    ],
)
def test_separator_splits_the_most_lines_alike(lines, separator, n_columns):
    """Titles, genres, times and decimal commas hold the separators of others."""
    dialect = find_dialect(lines)
    assert dialect is not None
    assert (dialect.separator, dialect.n_columns) == (separator, n_columns)


@pytest.mark.parametrize("lines", [["abc"], ["1", "2"], [""]])
def test_text_without_a_separator_is_no_table(lines):
    """A single column has no dialect."""
    assert find_dialect(lines) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["userId", "movieId"], True),
        (["", "userId"], True),
        (["Unnamed: 0", "b"], True),
        (["heat+1995", "7"], False),
        (["a", "2020-09-13"], False),
        (["a", "4,5"], False),
        (["a", "1e-3"], False),
        (["", ""], False),
    ],
)
def test_header_has_no_number_and_no_date(fields, expected):
    """Empty fields alone are not a header."""
    assert is_header(fields) == expected


# --- names --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["userId", "user_id", "UserID", "User-ID", "USER.ID", " user id "])
def test_case_blanks_and_marks_do_not_matter(name):
    """All are the column of users."""
    assert choose_columns("file", ["item", name]).columns == {USER: 1, ITEM: 0}


def test_names_are_plain_and_of_one_role():
    """A name with two roles would be read as the first."""
    names = [name for known in NAMES.values() for name in known]
    assert len(names) == len(set(names))
    assert [plain_name(name) for name in names] == names


def test_usual_name_counts_of_two():
    """`user_id` before `user`; of values the rating before the count, which is named."""
    choice = choose_columns("file", ["user", "user_id", "movie_id", "plays", "stars"])
    assert dict(choice.columns) == {USER: 1, ITEM: 2, "rating": 4}
    assert choice.unused == ('"plays"',)


@pytest.mark.parametrize(
    "names", [["movieId", "imdbId", "tmdbId"], ["userId", "tag"], ["a", "b", "c"]]
)
def test_table_without_users_or_items_is_refused_with_its_columns(names):
    """The message has what was found, what is wanted, and the option."""
    with pytest.raises(InputError, match=rf"no column of .*{', '.join(names)}.*--columns") as error:
        choose_columns("file", names)
    assert ("user_id" in str(error.value)) == ("userId" not in names)


def test_given_columns_are_believed_before_names():
    """By name and by number; an empty one switches a role off."""
    names = ["userId", "code", "rating", "stars", "date"]
    given = parse_columns("item=code,rating=4,time=")
    assert dict(choose_columns("file", names, given).columns) == {USER: 0, ITEM: 1, "rating": 3}


@pytest.mark.parametrize("column", ["none", "0", "6"])
def test_given_column_must_exist(column):
    """The message has the columns that exist."""
    with pytest.raises(InputError, match=f"no column '{column}' for item: .*userId, code"):
        choose_columns("file", ["userId", "code"], {"item": column})


@pytest.mark.parametrize("text", ["user", "who=1", "user=1,", ""])
def test_malformed_option_is_refused(text):
    """An unknown role, or a part without `=`."""
    with pytest.raises(ValueError, match=r"columns|is not a list"):
        parse_columns(text)


# --- heads --------------------------------------------------------------------------------


def head(text, given=None):
    lines = text.splitlines()
    dialect = find_dialect(lines)
    assert dialect is not None
    return read_head("file", lines, dialect, given or {})


def test_two_columns_without_a_known_name_are_pairs():
    """The first line is data, and shown."""
    found = head("heat,anna\nalien,bert\n")
    assert (found.names, found.n_lines, len(found.rows)) == (None, 0, 2)
    assert found.notes[0] == "the first line is read as data, not as a header: heat, anna"


def test_header_is_believed_where_one_name_is_known():
    """Two columns, one of them known: a header without items, hence an error."""
    with pytest.raises(InputError, match="no column of items"):
        head("userId,code\n1,2\n")


def test_header_of_another_length_is_refused():
    """Its names would be those of other columns."""
    with pytest.raises(InputError, match="names 2 columns, its lines have 3"):
        head("userId,movieId\n1,2,4\n3,4,5\n")


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("1,2,4.5,9\n3,4,5,8\n", {USER: 0, ITEM: 1, "rating": 2, TIME: 3}),
        ("1,2,1600000000\n3,4,1600000001\n", {USER: 0, ITEM: 1, TIME: 2}),
        ("1,2,2020-09-13\n3,4,2020-09-14\n", {USER: 0, ITEM: 1, TIME: 2}),
        ("1,2,300\n3,4,17\n", {USER: 0, ITEM: 1, "count": 2}),
        ("0,7,2,4\n1,7,4,5\n2,8,4,1\n", {USER: 1, ITEM: 2, "rating": 3}),
    ],
)
def test_columns_without_a_header_are_guessed_and_noted(text, columns):
    """By their order and their values; the note is the option that says the same."""
    found = head(text)
    assert dict(found.choice.columns) == columns
    option = ",".join(f"{role}={column + 1}" for role, column in columns.items())
    assert found.notes[0] == f"no header: read as {option}, a guess that --columns overrides"
    assert dict(head(text, parse_columns(option)).choice.columns) == columns


@pytest.mark.parametrize("text", ["1,2,x,4\n3,4,y,5\n", "1,2,3,4,5,6\n1,2,3,4,5,6\n"])
def test_columns_that_cannot_be_guessed_are_refused(text):
    """Unless the option names users and items."""
    with pytest.raises(InputError, match=r"no header.*--columns"):
        head(text)
    found = head(text, {"user": "2", "item": "1"})
    assert dict(found.choice.columns) == {USER: 1, ITEM: 0}
    assert found.notes[0].startswith("not read: column 3, 4")


def exchanged(found):
    return any("exchanged" in note for note in found.notes)


def test_exchanged_users_and_items_are_a_warning():
    """By the form of ids, or by rows grouped by the second column; not the sound order."""
    items = [f"B{n:09}" for n in range(30)]
    assert exchanged(head("".join(f"{item},U1,4\n" for item in items)))
    assert not exchanged(head("".join(f"U1,{item},4\n" for item in items)))
    assert exchanged(head("".join(f"{n},{n // 10},4\n" for n in range(100, 160))))
    assert not exchanged(head("".join(f"{n // 10},{n},4\n" for n in range(100, 160))))


def test_times_of_an_unknown_name_are_a_warning():
    """They are not read, and that is said."""
    found = head("userId,movieId,moment\n1,2,2020-09-13\n3,4,2020-09-14\n")
    assert "not read: moment" in found.notes
    assert any(note.startswith('warning: "moment" looks like times') for note in found.notes)
    assert not any("looks like" in n for n in head("userId,movieId,tag\n1,2,x\n3,4,y\n").notes)


def test_prose_is_not_a_table(tmp_path):
    """Its lines have commas, but not the same number of them."""
    text = "".join(f"line{', and more' * (n % 5)}\n" for n in range(100))
    with pytest.raises(InputError, match="is not a file of events"):
        EventFolder(tmp_path).read(text)


# --- whole files --------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return EventFolder(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "movie_id;rating;user_id\n2;4,5;1\n",
        '"User-ID"|"ISBN"|"Book-Rating"\n"1"|"2"|"4.5"\n',
        "userId, movieId, rating\n1, 2, 4.5\n",
        "user   item rating\n  1 2   4.5\n",
        "user::item::stars\n1::2::4.5\n",
        ",userId,movieId,rating\n0,1,2,4.5\n",
        "Unnamed: 0\tuserId\tmovieId\trating\n0\t1\t2\t4.5\n",
        'userId,review,movieId,rating\n1,"two\nlines, ""quoted""",2,4.5\n',
        "userId,movieId,rating\r\n1.0,2.00,4.5\r\n",
    ],
)
def test_any_dialect_and_any_order_gives_the_same_rating(folder, text):
    """Whatever the separator, the quotes, the blanks and the order of the columns."""
    assert ratings(folder.read(text)) == [("1", "2", 4.5, 0)]


def test_rejected_record_of_several_lines_has_the_number_of_its_first(folder):
    """Line ends in quotes count as lines; records behind keep their numbers."""
    events = folder.read(
        'userId,movieId,rating,review\n1,2,4.5,"a\nb"\n,2,4.5,"c\n\nd"\n3,4,x,e\n5,6,2,f\n'
    )
    assert ratings(events) == [("1", "2", 4.5, 0), ("5", "6", 2.0, 0)]
    assert [(fields[0], fields[2]) for fields in folder.quarantined()[:1]] == [
        (b"malformed user id", b"4")
    ]
    assert (b"malformed rating", b"7") in {fields[0:3:2] for fields in folder.quarantined()}


@pytest.mark.parametrize("block_bytes", [1, 7, 100, 1 << 20])
def test_quoted_line_ends_and_stray_quotes_do_not_depend_on_blocks(folder, block_bytes):
    """A stray quote costs its line alone; a quoted field may span blocks."""
    rows = "".join(f'{n},{n + 1},3,"x\n{n}, y"\n' for n in range(30))
    rows += '7,8,2,"stray\n' + "".join(f"{n},9,5,z\n" for n in range(300))
    text = f"userId,movieId,rating,review\n{rows}"
    events = folder.read(text, sizes=ReadSizes(block_bytes=block_bytes))
    assert len(ratings(events)) == 330
    assert [fields[0:3:2] for fields in folder.quarantined()] == [(b"not 4 fields", b"62")]


def test_carriage_return_within_a_line_breaks_that_line_alone(folder):
    """It is not a line end, so line numbers stay right."""
    events = folder.read("1,2,4\n1,3\r,4\n,4,5\n5,6,3\n")
    assert len(ratings(events)) == 2
    assert [fields[2] for fields in folder.quarantined()] == [b"2", b"3"]


def test_uneven_line_that_is_not_text_breaks_itself_alone(folder):
    """Bytes of no encoding, of too few or too many fields; the ids around them stay."""
    events = folder.read(b"a,2,4\n\xff\n\xff,b,c,\xff\nb,\xff,3\nc,d,5\n")
    assert [rating[:2] for rating in ratings(events)] == [("a", "2"), ("c", "d")]
    assert [fields[0:3:2] for fields in folder.quarantined()] == [
        (b"not 3 fields", b"2"), (b"not 3 fields", b"3"), (b"malformed item id", b"4"),
    ]  # fmt: skip


def test_unit_separator_in_a_line_is_not_read_as_a_separator(folder):
    """`::` is read as one byte, which a line may not hold itself."""
    events = folder.read("1::2::4\n1\x1f2::4\n3::4::5\n")
    assert ratings(events) == [("1", "2", 4.0, 0), ("3", "4", 5.0, 0)]
    assert [fields[2] for fields in folder.quarantined()] == [b"2"]


def test_notes_reach_the_file_and_standard_error(folder, capsys):
    """What the columns were read as is said once a file."""
    (source,) = folder.read("userId,movieId,plays\n1,2,7\n3,4,299\n").sources
    assert source.notes == ('"plays" read as counts, 7 to 299',)
    assert '"plays" read as counts, 7 to 299' in capsys.readouterr().err


def test_columns_of_the_settings_are_used(tmp_path):
    """`[batch.columns]` and `--columns` fill `columns`."""
    path = tmp_path / "events.csv"
    path.write_text("2,x,1,4\n4,y,3,5\n")
    columns = {"user": "3", "item": "1", "rating": "4"}
    names = BatchSettings(events=(str(path),), columns=columns, quarantine=str(tmp_path / "q"))
    assert ratings(read_events(names).events) == [("1", "2", 4.0, 0), ("3", "4", 5.0, 0)]


_SEPARATORS = (",", ";", "\t", "|", "::", " ")
_HEADERS = {
    "user": ("userId", "User-ID", "uid", "customer_id", "reviewerID"),
    "item": ("movieId", "ISBN", "asin", "business_id", "track_id", "game"),
    "rating": ("rating", "stars", "score", "Book-Rating"),
    "time": ("timestamp", "unixReviewTime", "event_time"),
}
_IDS = st.text("abcXYZ019-_.+:", min_size=1, max_size=6).filter(
    lambda text: (
        is_item_id(text) and text.strip(":") == text and "::" not in text
        and not re.fullmatch(r"-?\d+\.\d*", text)
    )
)  # fmt: skip
_ROWS = st.lists(
    st.tuples(
        _IDS,
        _IDS,
        st.integers(1, 10).map(lambda n: n / 2),
        st.integers(10**8, 10**10),
        st.text("xyz ,;|\"'\n:", max_size=8),
    ),
    min_size=1,
    max_size=12,
)


@st.composite
def written_tables(draw):
    """Return rows, and the text of a file that holds them in some dialect."""
    rows = draw(_ROWS)
    separator = draw(st.sampled_from(_SEPARATORS))
    roles = draw(st.permutations(["user", "item", "rating", "time", "review"]))
    is_quoted = separator in (",", ";", "|")
    quoting = draw(st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
    end = draw(st.sampled_from(("\n", "\r\n")))
    names = {role: draw(st.sampled_from(known)) for role, known in _HEADERS.items()}
    lines = [[names.get(role, "review") for role in roles]]
    for row in rows:
        fields = dict(zip(("user", "item", "rating", "time", "review"), row, strict=True))
        if not is_quoted:
            fields["review"] = "none"
        lines.append([str(fields[role]) for role in roles])
    if not is_quoted:
        return rows, "".join(separator.join(line) + end for line in lines)
    file = io.StringIO()
    csv.writer(file, delimiter=separator, quoting=quoting, lineterminator=end).writerows(lines)
    return rows, file.getvalue()


@settings(max_examples=60, deadline=None)
@given(written_tables(), st.sampled_from((5, 64, 1 << 20)))
def test_a_table_is_read_as_it_was_written(tmp_path_factory, table, block_bytes):
    """Random ids, ratings, times and texts, in any dialect, order and size of blocks."""
    rows, text = table
    folder = EventFolder(tmp_path_factory.mktemp("table"))
    events = folder.read(text, max_rejected_share=0.0, sizes=ReadSizes(block_bytes=block_bytes))
    assert ratings(events) == sorted((user, item, rating, at) for user, item, rating, at, _ in rows)
