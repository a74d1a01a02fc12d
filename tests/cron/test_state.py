import logging
from datetime import UTC, datetime

import pytest

from cron.child import Ending, Run
from cron.state import JobState, add_to_history, read_history, read_state, write_state


def test_a_written_state_is_read_back(tmp_path):
    """Equal to the second."""
    began = datetime(2026, 3, 1, 2, 30, 4, tzinfo=UTC)
    state = JobState(began, began, 2, began, Ending.TIMED_OUT, -15, 7.5, 1234)
    write_state(tmp_path / "refresh.json", state)
    assert read_state(tmp_path / "refresh.json") == state


def test_a_missing_file_is_an_empty_state(tmp_path):
    """Without a file no refresh has run yet."""
    assert read_state(tmp_path / "refresh.json") == JobState()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"last_success": "2026-03-0',
        b"[]",
        b'{"last_success": 5}',
        b'{"last_success": "yesterday"}',
        b'{"last_success": "2026-03-01T02:30:04"}',
        b'{"ending": "vanished"}',
        b'{"n_failures": []}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_an_empty_state(tmp_path, caplog, content):
    """Its name is logged."""
    (tmp_path / "refresh.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_state(tmp_path / "refresh.json") == JobState()
    assert str(tmp_path / "refresh.json") in caplog.text


def test_the_history_leaves_out_torn_lines(tmp_path):
    """What a power cut left of a line is skipped; the newest runs are last."""
    at = datetime(2026, 3, 1, 2, 30, 4, tzinfo=UTC)
    for status in range(3):
        state = JobState().begin(at, 0, is_retry=False)
        add_to_history(tmp_path, "watch", state.end(at, Run(Ending.FAILED, status, 1.0)))
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"job": "wat')
    assert [run["status"] for run in read_history(tmp_path, 2)] == [1, 2]
    assert read_history(tmp_path, 9)[0] == {
        "job": "watch", "began": "2026-03-01T02:30:04+00:00", "ending": "failed", "status": 0,
        "seconds": 1.0,
    }  # fmt: skip
