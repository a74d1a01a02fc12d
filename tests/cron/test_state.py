import logging
from datetime import UTC, datetime

import pytest

from cron.state import State, read_state, write_state


def test_a_written_state_is_read_back(tmp_path):
    """Equal to the second."""
    state = State(last_success=datetime(2026, 3, 1, 2, 30, 4, tzinfo=UTC))
    write_state(tmp_path / "refresh.json", state)
    assert read_state(tmp_path / "refresh.json") == state


def test_a_missing_file_is_an_empty_state(tmp_path):
    """Without a file no refresh has run yet."""
    assert read_state(tmp_path / "refresh.json") == State()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"last_success": "2026-03-0',
        b"[]",
        b'{"last_success": 5}',
        b'{"last_success": "yesterday"}',
        b'{"last_success": "2026-03-01T02:30:04"}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_an_empty_state(tmp_path, caplog, content):
    """Its name is logged."""
    (tmp_path / "refresh.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert read_state(tmp_path / "refresh.json") == State()
    assert str(tmp_path / "refresh.json") in caplog.text
