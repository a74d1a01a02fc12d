"""The JSON of the collector: lag, lost ranges and the last flush, from `.collector/STATUS`.

The collector replaces that file every 5 seconds, and a last time when it ends.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from serve.pages.documents import iso_time, number, read_document, seconds_since

_FILE: Final = ".collector/STATUS"
_SILENT_SECONDS: Final = 60  # a collector that runs has written since


def collector(events: Path, now: datetime) -> dict[str, Any]:
    """Return the state of the collector, in figures if there are any, and in a sentence.

    Args:
        events: Directory of the partitions.
        now: Current time.
    """
    try:
        found = read_document(events / _FILE)
        return _described(found, now) if found else {"summary": "No collector has run here."}
    except (ValueError, TypeError, KeyError) as error:
        return {"summary": f"The state of the collector is not valid: {error}.", "alarm": True}


def _described(found: dict[str, Any], now: datetime) -> dict[str, Any]:
    lags = [(number(n), number(seconds)) for _, _, n, seconds in found["lags"]]
    gaps = [number(end) - number(first) for _, _, first, end in found["gaps"]]
    at = iso_time(found["at"])
    figures = {
        "at": at,
        "is_running": found["is_running"] is True,
        "is_paused": found["is_paused"] is True,
        "lag_messages": sum(n for n, _ in lags),
        "lag_seconds": max((seconds for _, seconds in lags), default=0),
        "n_gaps": len(gaps),
        "n_lost": sum(gaps),
        "flushed_at": iso_time(found["flushed_at"]) if found["flushed_at"] else None,
    }
    said, is_alarm = _sentence(figures, seconds_since(at, now))
    return figures | {"summary": said, "alarm": is_alarm}


def _sentence(figures: dict[str, Any], age_seconds: int) -> tuple[str, bool]:
    """Return the state in words, and whether it is an alarm."""
    lost = f"{figures['n_lost']:,} messages were lost in {figures['n_gaps']} ranges"
    lost = lost if figures["n_gaps"] else "nothing was lost"
    if not figures["is_running"]:
        return f"The collector was stopped; {lost}.", False
    if age_seconds > _SILENT_SECONDS:
        return f"The collector has given no sign of life for {age_seconds / 60:,.0f} min.", True
    if figures["is_paused"]:
        return f"The collector is paused: events cannot be written; {lost}.", True
    behind = f"{figures['lag_messages']:,} messages and {figures['lag_seconds']:,.0f} s behind"
    behind = behind if figures["lag_messages"] else "not behind"
    return f"The collector is running, {behind}; {lost}.", False
