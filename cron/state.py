"""What the clock remembers between two starts: how the refresh last went.

var/cron/refresh.json    {"last_success": "2026-03-01T02:30:04+00:00", "last_failure": null}
"""

import json
import logging
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from store.durable import replace_durable

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """How the refresh last went; all times are aware.

    Attributes:
        last_success: When the last refresh began that came to its end; it knows the
            events up to then. One that the gate refused counts, for the same events
            would be refused again. None if there was none.
        last_failure: When the last failed refresh ended, None if there was none.
    """

    last_success: datetime | None = None
    last_failure: datetime | None = None


def read_state(file: Path) -> State:
    """Return what `file` records; without a sound file, that nothing ever ran.

    A refresh too many is cheap and a clock that does not start is not, so a
    broken file is logged and no error.
    """
    try:
        return _parse(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        _log.info("%s: no such file, so no refresh has run yet", file)
    except (OSError, ValueError) as error:
        _log.warning("%s: unreadable, taken as no refresh yet: %s", file, error)
    return State()


def write_state(file: Path, state: State) -> None:
    """Replace `file`, durably.

    Raises:
        OSError: It cannot be written; the old record stands.
    """
    times = {name: at and at.isoformat(timespec="seconds") for name, at in asdict(state).items()}
    replace_durable(file, json.dumps(times) + "\n")


def _parse(document: Any) -> State:
    if not isinstance(document, dict):
        raise ValueError("it does not hold an object")  # noqa: TRY004 - one kind of broken file
    return State(_instant(document.get("last_success")), _instant(document.get("last_failure")))


def _instant(text: Any) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError(f"{text!r} names no time zone")
    return at
