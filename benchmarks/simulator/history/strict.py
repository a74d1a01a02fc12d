"""The strict patterns of a line as the scenario states them: the reference for broken lines.

This is a second, slow implementation, line by line, so that the refresh's
own parser is not checked against itself.
"""

import re
from datetime import datetime
from typing import Final

_TIME: Final = rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?"
_ITEM: Final = rb"[a-z0-9+._*-]{1,109}"
_EVENT: Final = (
    rb"GET /data/m/" + _ITEM + rb"/\d+\.mpg"
    rb"|GET /rate/" + _ITEM + rb"=\d+"
    rb"|GET /create_account"
    rb"|recommendation request [^,]+, status \d+, result: .*, ?\d+ ?ms"
)  # fmt: skip
_LINE: Final = re.compile(_TIME + rb",\d+,(?:" + _EVENT + rb")")


def is_sound(line: bytes) -> bool:
    """Return whether the strict patterns accept a line, given without LF; a CR may remain."""
    found = _LINE.fullmatch(line.removesuffix(b"\r"))
    if found is None:
        return False
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    try:
        datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  the stream's own clock
    except ValueError:
        return False
    return True
