"""The request for a refresh: written, taken once, never lost."""

import re
import threading

import pytest

from store.errors import WriteError
from store.refresh_request import request_refresh, take_refresh_request


def test_a_request_is_taken_with_its_reason(tmp_path):
    """The file is removed."""
    request_refresh(tmp_path, "new catalogue")
    assert take_refresh_request(tmp_path) == "new catalogue"
    assert take_refresh_request(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_no_request_is_none(tmp_path):
    """Also without a store."""
    assert take_refresh_request(tmp_path) is None
    assert take_refresh_request(tmp_path / "nowhere") is None


def test_two_requests_are_taken_as_one(tmp_path):
    """With the later reason."""
    request_refresh(tmp_path, "first")
    request_refresh(tmp_path, "second")
    assert take_refresh_request(tmp_path) == "second"
    assert take_refresh_request(tmp_path) is None


def test_a_request_after_the_first_was_taken(tmp_path):
    """A request during the refresh is kept for the next one."""
    request_refresh(tmp_path, "first")
    take_refresh_request(tmp_path)
    request_refresh(tmp_path, "second")
    assert take_refresh_request(tmp_path) == "second"


@pytest.mark.parametrize(
    ("why", "expected"),
    [("", ""), ("two\nlines\tand a tab", "two lines and a tab"), ("größer", "größer")],
)
def test_a_reason_is_one_line(tmp_path, why, expected):
    """Newlines and tabs become blanks."""
    request_refresh(tmp_path, why)
    [line] = (tmp_path / "TRAIN").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\t.*", line)
    assert take_refresh_request(tmp_path) == expected


@pytest.mark.parametrize("content", [b"", b"no tab", b"\xff\xfe", b"\n\n"])
def test_a_damaged_request_is_a_request(tmp_path, content):
    """The refresh runs, with an unknown reason."""
    (tmp_path / "TRAIN").write_bytes(content)
    assert take_refresh_request(tmp_path) is not None
    assert take_refresh_request(tmp_path) is None


def test_a_request_that_cannot_be_written_is_an_error(tmp_path):
    """The message names the file."""
    with pytest.raises(WriteError, match="TRAIN: cannot be written"):
        request_refresh(tmp_path / "nowhere", "why")


def test_a_request_that_cannot_be_removed_is_an_error(tmp_path):
    """The refresh would be repeated without end otherwise."""
    (tmp_path / "TRAIN").mkdir()
    with pytest.raises(WriteError, match="TRAIN: cannot be removed"):
        take_refresh_request(tmp_path)


def test_a_taken_request_is_complete(tmp_path):
    """While another thread writes requests."""
    reasons = [letter * 3000 for letter in "abcd"]
    is_done = threading.Event()

    def write_requests():
        while not is_done.is_set():
            for why in reasons:
                request_refresh(tmp_path, why)

    writer = threading.Thread(target=write_requests)
    writer.start()
    taken: list[str] = []
    try:
        while len(taken) < 20:
            if (why := take_refresh_request(tmp_path)) is not None:
                taken.append(why)
    finally:
        is_done.set()
        writer.join()
    assert set(taken) <= set(reasons)
