"""Blocks of whole lines, for any block size and any bytes."""

import gzip
import re

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from batch.errors import InputError
from batch.events.lines import BLOCK_BYTES, read_blocks, split_lines
from batch.files.encodings import PLAIN, text_form


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "file"
        path.write_bytes(data)
        return path

    return write


def plain_split(data):
    """Return the lines of bytes; only LF ends a line."""
    return re.findall(rb"[^\n]*\n|[^\n]+", data)


def numbered(path, block_bytes=BLOCK_BYTES):
    """Return every line with its number in the file."""
    return [
        (block.first_number + position, line)
        for block in read_blocks(path, block_bytes)
        for position, line in enumerate(block.lines.to_pylist())
    ]


some_bytes = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"", b"\x00", b"\xff\xfe", "é\u2028".encode()])
    | st.binary(max_size=20),
    max_size=40,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(data=some_bytes, n=st.integers(1, 40), is_gzip=st.booleans())
def test_blocks_are_a_plain_split(tmp_path_factory, data, n, is_gzip):
    """For any bytes and block size, plain or gzip: the lines in order, with their numbers."""
    data = b"text\n" + data
    assume(text_form(data) == PLAIN)
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(gzip.compress(data) if is_gzip else data)
    assert numbered(path, n) == list(enumerate(plain_split(data), 1))


@settings(max_examples=200, deadline=None)
@given(data=some_bytes)
def test_split_keeps_every_byte(data):
    """The values of the array are the lines with their ends."""
    lines = split_lines(data)
    assert lines.to_pylist() == plain_split(data)
    assert lines.type == pa.binary()
    lines.validate(full=True)


def test_line_numbers_continue_from_block_to_block(write):
    """Line numbers begin with 1 and continue over blocks."""
    path = write(b"".join(b"%d\n" % n for n in range(1, 1001)))
    assert len(list(read_blocks(path, 64))) > 10
    assert all(number == int(line) for number, line in numbered(path, 64))


def test_last_line_needs_no_end(write):
    """A last line without LF is a line."""
    assert numbered(write(b"a\nb")) == [(1, b"a\n"), (2, b"b")]


def test_carriage_return_stays_in_its_line(write):
    """CRLF stays at the end of its line, and a CR alone does not end a line."""
    assert numbered(write(b"a\r\nb\rc\n")) == [(1, b"a\r\n"), (2, b"b\rc\n")]


def test_blank_lines_are_counted(write):
    """A blank line has a number."""
    assert numbered(write(b"\n\na\n")) == [(1, b"\n"), (2, b"\n"), (3, b"a\n")]


def test_empty_file_has_no_block(write):
    """An empty file gives no block."""
    assert numbered(write(b"")) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_line_may_span_many_blocks(write, pack):
    """A line that is longer than a block is one line."""
    long = b"x" * 5_000 + b"\n"
    path = write(pack(b"a\n" + long + b"b\n"))
    assert numbered(path, 64) == [(1, b"a\n"), (2, long), (3, b"b\n")]


def test_gzip_of_several_members_is_one_file(write):
    """Concatenated gzip files are read as one."""
    path = write(gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n"))
    assert numbered(path) == [(1, b"a\n"), (2, b"bc\n"), (3, b"d\n")]


def test_line_without_end_is_refused(write):
    """A line without an end is an error with its number, before it fills the memory."""
    path = write(b"a\n" + b"x" * 2_000)
    with pytest.raises(InputError, match="line 2 is longer than 1000 bytes"):
        list(read_blocks(path, 64, max_line_bytes=1_000))


def test_torn_gzip_is_refused(write):
    """A truncated gzip file is an error, so that its first half is not used as the whole."""
    path = write(gzip.compress(b"".join(b"%d\n" % n for n in range(10_000)))[:-20])
    with pytest.raises(InputError, match="not a whole gzip file"):
        list(read_blocks(path))


def test_missing_file_and_directory_are_refused(tmp_path):
    """A missing file and a directory are an InputError with the path in it."""
    for path, what in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(InputError, match=f"{re.escape(str(path))}: {what}"):
            list(read_blocks(path))
