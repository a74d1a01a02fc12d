"""The scheduler's state between two starts: the last success and the last failure.

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
    """The times of the last refreshes, as aware datetimes.

    Attributes:
        last_success: Start of the last refresh that ran to its end: it covers the
            events up to then. One that the gate refused counts, for the same events
            would be refused again. None if there was none.
        last_failure: End of the last failed refresh; None if there was none.
    """

    last_success: datetime | None = None
    last_failure: datetime | None = None


def read_state(file: Path) -> State:
    """Return the state in `file`; an empty state if the file is missing or damaged.

    An extra refresh costs less than a scheduler that does not start, so a damaged
    file is logged and is not an error.
    """
    try:
        return _parse(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        _log.info("%s: no such file; no refresh has run yet", file)
    except (OSError, ValueError) as error:
        _log.warning("%s: unreadable, starting as if no refresh had run: %s", file, error)
    return State()


def write_state(file: Path, state: State) -> None:
    """Replace `file`, durably.

    Raises:
        OSError: It cannot be written; the old state is kept.
    """
    times = {name: at and at.isoformat(timespec="seconds") for name, at in asdict(state).items()}
    replace_durable(file, json.dumps(times) + "\n")


def _parse(document: Any) -> State:
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of broken file
    return State(_instant(document.get("last_success")), _instant(document.get("last_failure")))


def _instant(text: Any) -> datetime | None:
    if text is None:
        return None
    at = datetime.fromisoformat(str(text))
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at
