"""Times in the stream's format: seconds are left out where they and the fraction are 0."""

from datetime import UTC, datetime, timedelta
from typing import Final

_SECONDS_LENGTH: Final = 19  # of 2026-01-01T12:23:12
_MINUTES_LENGTH: Final = 16
_MAX_CACHED: Final = 100_000


def seconds_of(at: bytes) -> int:
    """Return whole seconds since 1970 of a time such as `2026-01-01T12:23:12.345`."""
    return int(
        datetime.fromisoformat(at[:_SECONDS_LENGTH].decode()).replace(tzinfo=UTC).timestamp()
    )


def format_time(seconds: int, fraction: bytes = b"") -> bytes:
    """Return a time in the stream's format.

    Args:
        seconds: Seconds since 1970.
        fraction: Digits of a fraction of a second, empty without a fraction.
    """
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    return join_time(text, fraction)


def split_time(at: bytes) -> tuple[bytes, bytes]:
    """Split a time into the part up to its seconds, in full, and the digits of its fraction."""
    if len(at) == _MINUTES_LENGTH:
        return at + b":00", b""
    return at[:_SECONDS_LENGTH], at[_SECONDS_LENGTH + 1 :]


def join_time(text: bytes, fraction: bytes) -> bytes:
    """Join the two parts of `split_time`."""
    if fraction:
        return text + b"." + fraction
    return text[:_MINUTES_LENGTH] if text.endswith(b":00") else text


class TimeShift:
    """Moves times by an offset; the result for each second is cached.

    Args:
        offset_seconds: Offset, negative for earlier times.
    """

    def __init__(self, offset_seconds: int) -> None:
        self._offset = timedelta(seconds=offset_seconds)
        self._cache: dict[bytes, bytes] = {}

    def line(self, line: bytes) -> bytes:
        """Return a line with its time moved."""
        at, comma, rest = line.partition(b",")
        text, fraction = split_time(at)
        moved = self._cache.get(text)
        if moved is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            moved = (datetime.fromisoformat(text.decode()) + self._offset).isoformat().encode()
            self._cache[text] = moved
        return join_time(moved, fraction) + comma + rest
