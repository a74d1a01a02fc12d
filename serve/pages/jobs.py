"""The JSON of the scheduler's jobs and alarms, from `STATUS` and `ALARMS` in `var/cron`.

The scheduler replaces `STATUS` once a minute, and a last time when it ends.
"""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

from serve.pages.documents import number, read_document, seconds_since, text

_SILENT_SECONDS: Final = 180  # a scheduler that runs has written since
_TIMES: Final = ("began", "last_success", "last_failure", "next")


def jobs(cron: Path, now: datetime, *, is_operator: bool) -> dict[str, Any]:
    """Return the last and the next run of each job, open alarms, and the state in a sentence.

    Args:
        cron: Directory of the scheduler's state.
        now: Current time.
        is_operator: Whether texts of alarms, which may hold lines of logs, are included.
    """
    try:
        found = read_document(cron / "STATUS")
        if found is None:
            return {"summary": "No scheduler has run here.", "jobs": [], "alarms": []}
        rows = [_row(name, job) for name, job in found["jobs"].items()]
        said, is_silent = _sentence(found, rows, now)
        alarms = _alarms(read_document(cron / "ALARMS") or {}, is_operator=is_operator)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        said = f"The state of the scheduler is not valid: {error}."
        return {"summary": said, "alarm": True, "jobs": [], "alarms": []}
    return {"summary": said, "alarm": is_silent, "at": found["at"], "jobs": rows, "alarms": alarms}


def _row(name: str, job: dict[str, Any]) -> dict[str, Any]:
    ending = "running" if job["is_running"] else job["ending"] or "has not run"
    times = {key: None if job[key] is None else text(job[key]) for key in _TIMES}
    return {"name": name, "when": text(job["when"]), "result": text(ending), **times} | {
        "seconds": number(job["seconds"]), "n_failures": number(job["n_failures"]),
    }  # fmt: skip


def _sentence(found: dict[str, Any], rows: list[dict[str, Any]], now: datetime) -> tuple[str, bool]:
    """Return the state in words, and whether the scheduler is silent."""
    age_seconds = seconds_since(text(found["at"]), now)
    if found["is_running"] is not True:
        return "The scheduler was stopped.", False
    if age_seconds > _SILENT_SECONDS:
        return f"The scheduler has given no sign of life for {age_seconds / 60:,.0f} min.", True
    failed = [row["name"] for row in rows if row["n_failures"]]
    if failed:
        return f"The scheduler is running; failed last: {', '.join(failed)}.", False
    return "The scheduler is running; no job failed last.", False


def _alarms(found: dict[str, Any], *, is_operator: bool) -> list[dict[str, Any]]:
    return [
        {"name": name, "level": number(alarm["level"]), "since": text(alarm["since"])}
        | ({"text": text(alarm["text"])} if is_operator else {})
        for name, alarm in found.items()
        if alarm["level"]
    ]
