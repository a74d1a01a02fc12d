"""Times as the stream writes them: seconds are left out where they and the fraction are 0."""

from datetime import UTC, datetime, timedelta
from typing import Final

_TO_SECONDS: Final = 19  # 2026-01-01T12:23:12
_TO_MINUTES: Final = 16
_MOST_KNOWN: Final = 100_000


def seconds_of(at: bytes) -> int:
    """Return whole seconds since 1970 of a time such as `2026-01-01T12:23:12.345`."""
    return int(datetime.fromisoformat(at[:_TO_SECONDS].decode()).replace(tzinfo=UTC).timestamp())


def written(seconds: int, fraction: bytes = b"") -> bytes:
    """Return a time as the stream writes it.

    Args:
        seconds: Since 1970.
        fraction: Digits of a fraction of a second, none for none.
    """
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    return joined(text, fraction)


def parts(at: bytes) -> tuple[bytes, bytes]:
    """Split a time into what ends in its seconds, in full, and the digits of its fraction."""
    if len(at) == _TO_MINUTES:
        return at + b":00", b""
    return at[:_TO_SECONDS], at[_TO_SECONDS + 1 :]


def joined(text: bytes, fraction: bytes) -> bytes:
    """Put together what `parts` has split."""
    if fraction:
        return text + b"." + fraction
    return text[:_TO_MINUTES] if text.endswith(b":00") else text


class Jump:
    """Moves times by a distance; each second is worked out once.

    Args:
        by_seconds: Forth, or back below 0.
    """

    def __init__(self, by_seconds: int) -> None:
        self._by = timedelta(seconds=by_seconds)
        self._known: dict[bytes, bytes] = {}

    def line(self, line: bytes) -> bytes:
        """Return a line with its time moved."""
        at, comma, rest = line.partition(b",")
        text, fraction = parts(at)
        moved = self._known.get(text)
        if moved is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            moved = (datetime.fromisoformat(text.decode()) + self._by).isoformat().encode()
            self._known[text] = moved
        return joined(moved, fraction) + comma + rest
