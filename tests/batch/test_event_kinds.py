"""Kinds of event files: recognized by content, whatever their names."""

import gzip
from typing import Any

import pytest

from batch.errors import InputError
from batch.events.read import read_events
from store.ids import is_item_id
from tests.batch.event_files import (
    EventFolder,
    event_settings,
    outcome,
    parquet,
    ratings,
    views,
    watch,
)


@pytest.fixture
def read(tmp_path):
    return EventFolder(tmp_path).read


@pytest.fixture
def quarantined(tmp_path):
    return EventFolder(tmp_path).quarantined


VIEW, PAIR = ("1", "2", 16, 1), ("1", "2", None, 1)
RATING, RATING_ANYTIME = ("1", "2", 4.5, 964982703), ("1", "2", 4.5, 0)
ONE_OF_EACH_KIND: dict[str, tuple[Any, str, list[Any], list[Any]]] = {
    "stream": (watch(1, 2, 16), "stream log", [VIEW], []),
    "ratings.dat": ("1::2::4.5::964982703\n", "double-colon-separated table", [], [RATING]),
    "ratings.dat, no time": ("1::2::4.5\n", "double-colon-separated table", [], [RATING_ANYTIME]),
    "u.data": ("1\t2\t4.5\t964982703\n", "tab-separated table", [], [RATING]),
    "u.data, no time": ("1\t2\t4.5\n", "tab-separated table", [], [RATING_ANYTIME]),
    "ratings.csv": ("1,2,4.5,964982703\n", "comma-separated table", [], [RATING]),
    "ratings.csv, no time": ("1,2,4.5\n", "comma-separated table", [], [RATING_ANYTIME]),
    "ratings.csv, header": (
        "userId,movieId,rating,timestamp\r\n1,2,4.5,964982703\r\n",
        "comma-separated table", [], [RATING],
    ),
    "ratings.csv, mark and header": (
        "\ufeffuser_id,item_id,rating\n1,2,4.5\n", "comma-separated table", [], [RATING_ANYTIME],
    ),
    "ratings.csv, short header": (
        "user,item,rating,timestamp\n1,2,4.5,964982703\n", "comma-separated table", [], [RATING],
    ),
    "u.data, header": (
        "user\titem\trating\ttime\n1\t2\t4.5\t964982703\n", "tab-separated table", [], [RATING],
    ),
    "pairs": ("1\t2\n", "tab-separated table", [PAIR], []),
    "pairs, header": ("user_id\tmovie_id\n1\t2\n", "tab-separated table", [PAIR], []),
    "pairs, short header": ("user\tmovie\n1\t2\n", "tab-separated table", [PAIR], []),
    "Parquet, text ids": (parquet(userID=["1"], movieID=["2"]), "Parquet", [PAIR], []),
    "Parquet, integers": (parquet(user_id=[1], item_id=[2]), "Parquet", [PAIR], []),
    "Parquet, ratings": (
        parquet(user=[1], movie=[2], rating=[4.5], timestamp=[964982703]),
        "Parquet", [], [RATING],
    ),
}  # fmt: skip
TEXT_KINDS = {
    name: case for name, case in ONE_OF_EACH_KIND.items() if not name.startswith("Parquet")
}
HEADERLESS = {name: case for name, case in TEXT_KINDS.items() if not name.endswith("header")}


@pytest.mark.parametrize("name", ["file", "events.parquet", "ratings.csv", "log.gz"])
@pytest.mark.parametrize("case", ONE_OF_EACH_KIND.values(), ids=ONE_OF_EACH_KIND)
def test_kind_is_recognized_by_content(read, case, name):
    """Each kind is recognized whatever the file's name; a header does not count as a line."""
    content, kind, expected_views, expected_ratings = case
    events = read(content, name=name)
    (source,) = events.sources
    assert (source.kind, source.n_lines, source.n_rejected) == (kind, 1, 0)
    assert (views(events), ratings(events)) == (expected_views, expected_ratings)


@pytest.mark.parametrize("case", TEXT_KINDS.values(), ids=TEXT_KINDS)
def test_gzip_reads_like_the_plain_file(read, case):
    """A compressed file reads like its content, whatever its name."""
    content = case[0]
    packed = read(gzip.compress(content.encode()), name="events.log")
    assert outcome(packed) == outcome(read(content))


@pytest.mark.parametrize("n_noise", [1, 4])
@pytest.mark.parametrize("case", HEADERLESS.values(), ids=HEADERLESS)
def test_noise_at_the_beginning_does_not_hide_the_kind(read, case, n_noise):
    """Broken lines before the first valid one are rejected, and the kind is recognized."""
    content, kind, expected_views, expected_ratings = case
    events = read("no such line\n" * n_noise + content)
    assert (events.sources[0].kind, events.sources[0].n_rejected) == (kind, n_noise)
    assert (views(events), ratings(events)) == (expected_views, expected_ratings)


def test_files_of_all_kinds_are_read_together(read):
    """The views of a pair become one row, ratings stay separate."""
    events = read(*(case[0] for case in ONE_OF_EACH_KIND.values()))
    assert [source.kind for source in events.sources] == [
        kind for _, kind, _, _ in ONE_OF_EACH_KIND.values()
    ]
    n_views = sum(len(expected_views) for _, _, expected_views, _ in ONE_OF_EACH_KIND.values())
    assert views(events) == [("1", "2", 16, n_views)]
    all_ratings = [expected_ratings for *_, expected_ratings in ONE_OF_EACH_KIND.values()]
    assert ratings(events) == sorted(rating for some in all_ratings for rating in some)


@pytest.mark.parametrize(
    "content",
    [
        "movieId,title,genres\n1,Toy Story (1995),Animation\n",
        '{"user_id": 1}\n',
        "\x89PNG\r\n",
        "two words\n",
        b"\xef\xbb\xbf",
        b"\x1c\n",
        b"\xc2\xa0\n",
    ],
)
def test_file_of_no_known_kind_is_refused(read, content):
    """A file without events is an error that lists the known kinds."""
    with pytest.raises(InputError, match=r"known kinds|is empty|no column of users"):
        read(content)


@pytest.mark.parametrize("content", ["", "\n\n", " \r\n", gzip.compress(b"", mtime=0)])
def test_empty_file_is_refused(read, content):
    """A file without a line is an error."""
    with pytest.raises(InputError, match="is empty"):
        read(content)


def test_missing_file_is_refused(tmp_path):
    """A missing file is an error with the path in it."""
    settings = event_settings(tmp_path / "none", quarantine=tmp_path)
    with pytest.raises(InputError, match="none: no such file"):
        read_events(settings)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("user_id\titem_id\n", "tab-separated table"),
        ("userId,movieId,rating,timestamp\n", "comma-separated table"),
    ],
)
def test_header_alone_is_a_file_without_events(read, header, kind):
    """A file of only a header is of its kind, and has no line."""
    events = read(header)
    (source,) = events.sources
    assert (source.kind, source.n_lines, outcome(events)) == (kind, 0, ([], [], 0, 0))


def test_repeated_header_is_skipped(read, quarantined):
    """The headers of concatenated files are neither events nor rejected, wherever they stand."""
    header = "userId,movieId,rating,timestamp\n"
    events = read(f"{header}1,2,4.5,9\n{header}3,4,5.0,9\n{header}")
    assert (events.sources[0].n_lines, events.sources[0].n_rejected) == (2, 0)
    assert (len(ratings(events)), quarantined()) == (2, [])


def test_byte_order_marks_of_concatenated_files_are_skipped(read, quarantined):
    """Before a header and before a first row, in the first file and in later ones."""
    text = "\ufeffuserId\tmovieId\n1\t2\n"
    assert views(read(text * 2 + "\ufeff3\t4\n")) == [("1", "2", None, 2), ("3", "4", None, 1)]
    assert quarantined() == []


def test_repeated_header_does_not_hide_that_ids_are_whole(read):
    """Its names are not ids among the first ones."""
    text = "userId,movieId,rating\n1.0,2.0,4\n"
    assert {rating[:2] for rating in ratings(read(text * 2))} == {("1", "2")}


def test_another_header_in_the_middle_is_refused(read):
    """Lines below a header with other columns would be misread: an error names them."""
    with pytest.raises(InputError, match=r"second header .* movieId, userId"):
        read("userId,movieId,rating\n1,2,4.5\nmovieId,userId,rating\n3,4,5.0\n")


# --- delimited ids ------------------------------------------------------------------------


@pytest.mark.parametrize(("separator", "end"), [(",", ",5,9"), ("\t", "\t5"), ("\t", "")])
def test_ids_are_those_of_the_store(read, quarantined, separator, end):
    """A single byte is an id in a delimited file exactly if it is one in the store."""
    bytes_of = [bytes([n]) for n in range(256) if bytes([n]) not in (b"\n", separator.encode())]
    sound = f"1{separator}2{end}\n".encode() * 500
    line = b"u%b" + separator.encode() + b"i%b" + end.encode() + b"\n"
    events = read(sound + b"".join(line % (byte, byte) for byte in bytes_of))
    read_ids = {v[1] for v in views(events)} | {r[1] for r in ratings(events)}
    expected = {f"i{byte.decode()}" for byte in bytes_of if is_item_id(byte.decode("latin-1"))}
    assert read_ids == {"2", *expected}
    assert {fields[0] for fields in quarantined()} == {b"malformed user id"}


DELIMITED_REASONS = {
    "1,2,4.0,9 \n": b"malformed time",
    "1,2,4.0,late\n": b"malformed time",
    "1,2,4.0,1234567890123\n": b"malformed time",
    "1,2,good,9\n": b"malformed rating",
    "1,2,-4,9\n": b"malformed rating",
    "1,2,,9\n": b"malformed rating",
    "1,2,NaN,9\n": b"malformed rating",
    "1,,4.0,9\n": b"malformed item id",
    "1,a b,4.0,9\n": b"malformed item id",
    f"1,{'i' * 201},4.0,9\n": b"malformed item id",
    ",2,4.0,9\n": b"malformed user id",
    "é,2,4.0,9\n": b"malformed user id",
    f"{'u' * 65},2,4.0,9\n": b"malformed user id",
    "\n": b"blank line",
    " \r\n": b"blank line",
}


@pytest.mark.parametrize(("line", "reason"), DELIMITED_REASONS.items())
def test_broken_rating_is_rejected_for_its_reason(read, quarantined, line, reason):
    """A broken line of a delimited file is rejected, and the reason names the field."""
    events = read(f"1,2,4.0,9\n{line}3,4,5,9\r\n")
    assert [fields[0] for fields in quarantined()] == [reason]
    assert ratings(events) == [("1", "2", 4.0, 9), ("3", "4", 5.0, 9)]


def test_longest_ids_are_valid(read):
    """A user id of 64 characters and an item id of 200 are valid."""
    user, item = "u" * 64, "i" * 200
    assert ratings(read(f"{user},{item},4,9\n")) == [(user, item, 4.0, 9)]
