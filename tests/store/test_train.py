"""The request to train: left once, taken once, never lost."""

import re
import threading

import pytest

from store.errors import WriteError
from store.refresh_request import request_refresh, take_refresh_request


def test_a_request_is_taken_with_its_reason(tmp_path):
    """And then it is gone."""
    request_refresh(tmp_path, "new catalogue")
    assert take_refresh_request(tmp_path) == "new catalogue"
    assert take_refresh_request(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_nobody_asked(tmp_path):
    """No request, no store, no matter."""
    assert take_refresh_request(tmp_path) is None
    assert take_refresh_request(tmp_path / "nowhere") is None


def test_asked_twice_it_runs_once(tmp_path):
    """The later reason stands."""
    request_refresh(tmp_path, "first")
    request_refresh(tmp_path, "second")
    assert take_refresh_request(tmp_path) == "second"
    assert take_refresh_request(tmp_path) is None


def test_a_request_after_the_taking_is_another(tmp_path):
    """Who asks while the refresh runs gets one more."""
    request_refresh(tmp_path, "first")
    take_refresh_request(tmp_path)
    request_refresh(tmp_path, "second")
    assert take_refresh_request(tmp_path) == "second"


@pytest.mark.parametrize(
    ("why", "kept"),
    [("", ""), ("two\nlines\tand a tab", "two lines and a tab"), ("größer", "größer")],
)
def test_a_reason_is_one_line(tmp_path, why, kept):
    """Whatever is given as one."""
    request_refresh(tmp_path, why)
    [line] = (tmp_path / "TRAIN").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\t.*", line)
    assert take_refresh_request(tmp_path) == kept


@pytest.mark.parametrize("content", [b"", b"no tab", b"\xff\xfe", b"\n\n"])
def test_a_broken_request_is_a_request(tmp_path, content):
    """Somebody wants a refresh, even if nobody knows why."""
    (tmp_path / "TRAIN").write_bytes(content)
    assert take_refresh_request(tmp_path) is not None
    assert take_refresh_request(tmp_path) is None


def test_what_cannot_be_written_is_said(tmp_path):
    """With the file's name."""
    with pytest.raises(WriteError, match="TRAIN: cannot be written"):
        request_refresh(tmp_path / "nowhere", "why")


def test_what_cannot_be_taken_away_is_said(tmp_path):
    """Else the refresh would run for ever."""
    (tmp_path / "TRAIN").mkdir()
    with pytest.raises(WriteError, match="TRAIN: cannot be taken away"):
        take_refresh_request(tmp_path)


def test_a_taker_finds_whole_requests_alone(tmp_path):
    """Whoever asks meanwhile."""
    reasons = [letter * 3000 for letter in "abcd"]
    is_enough = threading.Event()

    def ask():
        while not is_enough.is_set():
            for why in reasons:
                request_refresh(tmp_path, why)

    asker = threading.Thread(target=ask)
    asker.start()
    taken = []
    try:
        while len(taken) < 20:
            if (why := take_refresh_request(tmp_path)) is not None:
                taken.append(why)
    finally:
        is_enough.set()
        asker.join()
    assert set(taken) <= set(reasons)
