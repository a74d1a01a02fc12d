"""Encodings: whatever a file is written in, its readers get UTF-8 with LF or CRLF."""

import codecs

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batch.events.lines import read_blocks
from batch.files.archives import input_files
from batch.files.encodings import as_utf8, decoded, text_form
from batch.files.open import head_lines, open_input
from batch.records.rows import text_lines
from tests.batch.event_files import EventFolder, ratings
from tests.batch.packing import PACKINGS

ENCODINGS = {
    "utf-8": str.encode,
    "utf-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be with a mark": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "utf-32-be with a mark": lambda text: codecs.BOM_UTF32_BE + text.encode("utf-32-be"),
}
LINE_ENDS = ["\n", "\r\n", "\r"]
RATINGS = [(str(user), f"m{user % 7}", user % 5 + 1, 1_600_000_000 + user) for user in range(1, 60)]


def as_csv(line_end):
    lines = ["userId,movieId,rating,timestamp"]
    lines += [",".join(map(str, rating)) for rating in RATINGS]
    return line_end.join(lines) + line_end


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS)
def test_ratings_are_the_same_in_any_packing_and_encoding(tmp_path, pack, encode):
    """Users, items, ratings and times, with no line rejected, for any end of a line."""
    for line_end in LINE_ENDS:
        events = EventFolder(tmp_path).read(pack(encode(as_csv(line_end))))
        assert ratings(events) == sorted(RATINGS)
        assert [source.n_rejected for source in events.sources] == [0]


# Text as files have it: some ASCII at the begin, by which UTF-16 without a mark is recognized.
words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0\ufeff"), max_size=30)


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(words, min_size=1, max_size=30),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    packing=st.sampled_from(sorted(PACKINGS)),
    line_end=st.sampled_from(LINE_ENDS),
    n_bytes=st.integers(1, 100),
)
def test_any_text_has_the_same_lines(tmp_path_factory, words, encoding, packing, line_end, n_bytes):
    """A property: text, encoding, packing and line end do not change the lines."""
    lines = ["userId,movieId,rating", *words, "the end of the text"]
    content = ENCODINGS[encoding](line_end.join(lines) + line_end)
    if encoding in ("utf-16-le", "utf-16-be"):  # without a mark: recognized where plain to see
        assume(text_form(content).encoding == encoding)
    path = tmp_path_factory.getbasetemp() / "text"
    path.write_bytes(PACKINGS[packing](content))
    (file,) = input_files(path)
    assert [line.rstrip("\r\n") for line in text_lines(file)] == lines
    blocks = [line for block in read_blocks(file, n_bytes) for line in block.lines.to_pylist()]
    assert [line.decode().rstrip("\r\n") for line in blocks] == lines


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_large_text_is_the_same_across_chunks(tmp_path, encoding):
    """Characters of two and four bytes are whole where a chunk ends within them."""
    text = "".join(f"{n} é 電影 🎬\n" for n in range(200_000))
    path = tmp_path / "text"
    path.write_bytes(text.encode(encoding))
    with open_input(path) as content:
        assert content.read() == text.encode()


def test_half_a_character_at_the_end_is_a_replacement(tmp_path):
    """A truncated UTF-16 file has all lines before its end."""
    path = tmp_path / "text"
    path.write_bytes("one,two\nthree,four".encode("utf-16")[:-1])
    assert list(text_lines(path)) == ["one,two\n", "three,fou\ufffd"]


def test_latin_1_is_read_line_by_line(tmp_path):
    """A line that is not UTF-8 is cp1252, or latin-1 where cp1252 has no character."""
    path = tmp_path / "text"
    path.write_bytes("Amélie\n".encode() + b"Am\xe9lie \x80\n" + b"\x81\n")
    assert list(text_lines(path)) == ["Amélie\n", "Amélie €\n", "\x81\n"]
    assert head_lines(path)[:2] == ["Amélie", "Amélie €"]


def test_only_lines_that_are_not_utf_8_are_made_anew():
    """Without such a line, the very array is returned."""
    plain = pa.array(["é\n".encode(), b"a\n"])
    assert as_utf8(plain) is plain
    assert as_utf8(pa.array([b"\xe9\n", "é\n".encode()])).to_pylist() == ["é\n".encode()] * 2
    assert decoded(b"\x93a\x94") == "“a”"


def test_semicolons_and_latin_1_are_not_utf_16():
    """The twin: bytes above 127 and single zeros do not make a text UTF-16."""
    for head in (b"a\xe9;b\n" * 100, b"log\0line\n" * 50, b"\0", b"ab\n\0\0", b""):
        assert text_form(head).is_plain
    assert text_form("a,b\n".encode("utf-16-le")).encoding == "utf-16-le"


@pytest.mark.parametrize(
    ("head", "is_lone"),
    [(b"a\rb\r", True), (b"a\r", False), (b"a\r\nb\r", False), (b"a\nb\rc\n", False)],
)
def test_a_carriage_return_ends_lines_only_where_no_line_feed_does(head, is_lone):
    """CR before LF, or at the very end of what was looked at, is part of CRLF."""
    assert text_form(head).has_lone_cr == is_lone


@pytest.mark.parametrize("name", ["utf16.csv", "cr-only.csv", "plain.csv.bz2", "plain.csv.xz",
                                  "plain.zip"])  # fmt: skip
def test_odd_inputs_are_those_of_the_plain_file(shared_data, tmp_path, name):
    """The made-up files of people's forms hold the ratings of `plain.csv`."""
    folder = shared_data / "odd-inputs"
    read = EventFolder(tmp_path).read
    plain, other = (read((folder / one).read_bytes()) for one in ("plain.csv", name))
    assert ratings(other) == ratings(plain)
    assert len(ratings(plain)) == 216
    assert len({rating[0] for rating in ratings(other)}) == 40
