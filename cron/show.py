"""What the scheduler does and has done, as text for people and JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from cron.due import due_at, is_due
from cron.jobs import Job
from cron.lock import is_free
from cron.settings import CronSettings
from cron.state import JobState, as_json, read_state, state_file

_STEP: Final = timedelta(minutes=1)
_DAY_MINUTES: Final = 1440
_DAYS_AHEAD: Final = 8


def jobs_text(jobs: Mapping[str, Job], *, is_json: bool) -> str:
    """Return the jobs, when they run, and their commands."""
    if is_json:
        rows = {
            name: {"enabled": job.enabled, "when": job.when, "command": list(job.command)}
            for name, job in jobs.items()
        }
        return json.dumps(rows)
    return _table(
        ("job", "runs", "command"),
        [(name, job.when if job.enabled else "off", job.line) for name, job in jobs.items()],
    )


def states(settings: CronSettings, jobs: Mapping[str, Job]) -> dict[str, dict[str, Any]]:
    """Return the last and the next run of each job that is enabled or has run."""
    folder, now = Path(settings.path), datetime.now(UTC)
    found = {}
    for name, job in jobs.items():
        state = read_state(state_file(folder, name))
        if job.enabled or state.began:
            next_at = next_run(job, state, now, settings.zone) if job.enabled else None
            found[name] = {
                "when": job.when,
                **as_json(state),
                "is_running": state.is_open and not is_free(folder, name),
                "next": next_at and next_at.isoformat(timespec="minutes"),
            }
    return found


def states_text(found: Mapping[str, Mapping[str, Any]], *, is_json: bool) -> str:
    """Return the states as JSON or as a table, times in UTC."""
    if is_json:
        return json.dumps(found)
    rows = [
        (
            name,
            "running" if state["is_running"] else state["ending"] or "has not run",
            (state["began"] or "").replace("+00:00", "Z"),
            f"{state['seconds']:.0f} s" if state["ending"] else "",
            (state["last_success"] or "never").replace("+00:00", "Z"),
            (state["next"] or state["when"]).replace("+00:00", "Z"),
        )
        for name, state in found.items()
    ]
    return _table(("job", "last run", "began", "took", "last success", "next"), rows)


def history_text(runs: Sequence[Mapping[str, Any]], *, is_json: bool) -> str:
    """Return the last runs, oldest first."""
    if is_json:
        return "\n".join(json.dumps(run) for run in runs)
    rows = [
        (
            str(run.get("began") or "").replace("+00:00", "Z"),
            str(run.get("job")),
            str(run.get("ending")),
            f"{run.get('seconds') or 0:.0f} s",
            "" if run.get("status") is None else f"exit status {run['status']}",
        )
        for run in runs
    ]
    return _table(("began", "job", "ended", "took", ""), rows)


def plan_text(settings: CronSettings, jobs: Mapping[str, Job]) -> str:
    """Return what would run in the next 24 hours, if every run succeeded."""
    folder, now = Path(settings.path), datetime.now(UTC)
    rows = []
    for name, job in jobs.items():
        if not job.enabled:
            continue
        state = read_state(state_file(folder, name))
        at = next_run(job, state, now, settings.zone)
        while at is not None and at < now + timedelta(days=1):
            rows.append((f"{at:%Y-%m-%dT%H:%M}Z", name, job.line))
            state = JobState(last_success=at, began=at)
            at = next_run(job, state, at + _STEP, settings.zone)
    return _table(("at", "job", "command"), sorted(rows))


def next_run(job: Job, state: JobState, now: datetime, zone: tzinfo | None) -> datetime | None:
    """Return when a job runs next by the clock, UTC; None for one that has no time."""
    at = due_at(job, now, zone)
    if at is None:
        return None
    if is_due(job, state, now, at):
        return now
    if state.last_failure and state.last_failure >= at and state.n_failures <= job.retries:
        return state.last_failure + job.pause(state.n_failures)
    later = now
    for _ in range(_DAYS_AHEAD * _DAY_MINUTES):
        later += _STEP
        if (due_at(job, later, zone) or at) > at:
            return due_at(job, later, zone)
    return None


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    return "\n".join(
        "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )
