"""Blocks of whole lines, whatever the block size and the bytes."""

import contextlib
import gzip
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import InputError
from batch.events import lines as lines_module
from batch.events.lines import read_blocks, split_lines


@contextlib.contextmanager
def block_bytes(n):
    """Read by n bytes at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "_BLOCK_BYTES", n)
        yield


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "file"
        path.write_bytes(data)
        return path

    return write


def plain_split(data):
    """Split after each LF; nothing else ends a line."""
    return re.findall(rb"[^\n]*\n|[^\n]+", data)


def numbered(path):
    """Return every line with its number, as its block gives it."""
    return [
        (block.first_number + place, line)
        for block in read_blocks(path)
        for place, line in enumerate(block.lines.to_pylist())
    ]


some_bytes = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"", b"\x00", b"\xff\xfe", "é\u2028".encode()])
    | st.binary(max_size=20),
    max_size=40,
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(data=some_bytes, n=st.integers(1, 40), is_gzip=st.booleans())
def test_blocks_are_a_plain_split(tmp_path_factory, data, n, is_gzip):
    """Whatever the bytes and the block size, plain or gzip: the lines, in order, numbered."""
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(gzip.compress(data) if is_gzip else b"x" + data)
    expected = plain_split(data if is_gzip else b"x" + data)
    with block_bytes(n):
        assert numbered(path) == list(enumerate(expected, 1))


@settings(max_examples=200, deadline=None)
@given(data=some_bytes)
def test_split_keeps_every_byte(data):
    """The values of the array are the lines with their ends, and nothing is lost."""
    lines = split_lines(data)
    assert lines.to_pylist() == plain_split(data)
    assert lines.type == pa.binary()
    lines.validate(full=True)


def test_block_size_is_no_matter_for_the_order_of_numbers(write):
    """Line numbers run on from block to block, from 1."""
    path = write(b"".join(b"%d\n" % n for n in range(1, 1001)))
    with block_bytes(64):
        assert len(list(read_blocks(path))) > 10
        assert all(number == int(line) for number, line in numbered(path))


def test_last_line_needs_no_end(write):
    """A last line without LF is a line too."""
    assert numbered(write(b"a\nb")) == [(1, b"a\n"), (2, b"b")]


def test_carriage_return_stays_and_ends_no_line(write):
    """CRLF stays at its line, and a CR alone is a byte like others."""
    assert numbered(write(b"a\r\nb\rc\n")) == [(1, b"a\r\n"), (2, b"b\rc\n")]


def test_blank_lines_are_counted(write):
    """A blank line has a number."""
    assert numbered(write(b"\n\na\n")) == [(1, b"\n"), (2, b"\n"), (3, b"a\n")]


def test_empty_file_has_no_block(write):
    """Nothing gives nothing."""
    assert numbered(write(b"")) == []


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_line_may_span_many_blocks(write, pack):
    """A line that is longer than a block comes whole."""
    long = b"x" * 5_000 + b"\n"
    with block_bytes(64):
        assert numbered(write(pack(b"a\n" + long + b"b\n"))) == [
            (1, b"a\n"),
            (2, long),
            (3, b"b\n"),
        ]


def test_gzip_of_several_members_is_one_file(write):
    """Logs that were packed one after the other read as one."""
    path = write(gzip.compress(b"a\nb") + gzip.compress(b"c\nd\n"))
    assert numbered(path) == [(1, b"a\n"), (2, b"bc\n"), (3, b"d\n")]


def test_line_without_end_is_refused(write, monkeypatch):
    """A line that never ends is an error that names it, not a machine out of memory."""
    monkeypatch.setattr(lines_module, "_LONGEST_LINE_BYTES", 1_000)
    path = write(b"a\n" + b"x" * 2_000)
    with block_bytes(64), pytest.raises(InputError, match="line 2 is longer than 1000 bytes"):
        list(read_blocks(path))


def test_torn_gzip_is_refused(write):
    """A gzip file that was cut off is an error, and so its first half is not taken for all."""
    path = write(gzip.compress(b"".join(b"%d\n" % n for n in range(10_000)))[:-20])
    with pytest.raises(InputError, match="not a whole gzip file"):
        list(read_blocks(path))


def test_missing_file_and_directory_are_refused(tmp_path):
    """What is no file is an error of the family, with the path in it."""
    for path, what in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(InputError, match=f"{re.escape(str(path))}: {what}"):
            list(read_blocks(path))
