"""Delivery of OpenLineage events: a line of a file, or a POST each.

event ─► file: appended
event ─► var/tracking/openlineage ─► URL, the oldest first; removed when it was accepted
"""

import http.client
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from batch.errors import TrackingError
from batch.tracking.pending import Pending
from batch.tracking.settings import TrackingSettings, is_url
from store.durable import append_durable

_FOLDER: Final = "openlineage"
_SECONDS: Final = 5.0
_KEY: Final = "OPENLINEAGE_API_KEY"  # as the clients of OpenLineage call it


def emit(event: dict[str, Any], settings: TrackingSettings) -> None:
    """Append an event to the file, or keep it for the URL; nothing without a target.

    Raises:
        TrackingError: It cannot be written.
    """
    target = settings.openlineage
    try:
        if is_url(target):
            Pending(Path(settings.path) / _FOLDER).add(event)
        elif target:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            append_durable(Path(target), json.dumps(event) + "\n")
    except OSError as error:
        where = settings.path if is_url(target) else target
        raise TrackingError(where, f"cannot be written: {error.strerror}") from error


def deliver_events(settings: TrackingSettings) -> int:
    """Send the events that wait for the URL, and return their number.

    Raises:
        TrackingError: The URL cannot be reached, or refuses one; it waits for the next call.
    """
    if not is_url(settings.openlineage):
        return 0
    return Pending(Path(settings.path) / _FOLDER).deliver(
        lambda event: _post(settings.openlineage, event)
    )


def _post(url: str, event: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(_KEY):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(event).encode(), headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise TrackingError(f"[tracking] openlineage: {url}", str(error)) from error
