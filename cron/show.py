"""What the scheduler does and has done, as text for people and JSON for programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from cron.child import Ending
from cron.due import due_at, is_after_failure, is_due, is_given_up, last_due, retry_at
from cron.jobs import Job
from cron.lock import is_free
from cron.settings import CronSettings
from cron.state import JobState, as_json, read_state, state_file

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)


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
        is_running = state.is_open and not is_free(folder, name)
        if is_running:  # next: after this run, if it succeeds
            next_at = next_run(job, replace(state, last_success=state.began), now, settings.zone)
        else:
            next_at = next_run(job, state, now, settings.zone)
            state = replace(state, ending=Ending.INTERRUPTED) if state.is_open else state
        if job.enabled or state.began:
            found[name] = {
                "when": job.when,
                **as_json(state),
                "is_running": is_running,
                "next": next_at.isoformat(timespec="minutes") if job.enabled and next_at else None,
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
    """Return what would run in the next 24 hours, if every run succeeded at once."""
    now = datetime.now(UTC)
    rows = [(at, job) for job in jobs.values() for at in _times(settings, jobs, job, now)]
    rows.sort(key=lambda row: row[0])  # stable: at one time in the order of the jobs
    cells = [(f"{at:%Y-%m-%dT%H:%M}Z", job.name, job.line) for at, job in rows]
    return _table(("at", "job", "command"), cells)


def _times(
    settings: CronSettings, jobs: Mapping[str, Job], job: Job, now: datetime
) -> list[datetime]:
    """Return when a job would run in the next 24 hours; one without a time, after others."""
    if not job.enabled:
        return []
    if due_at(job, now, settings.zone) is None:
        return sorted({at for name in job.after for at in _times(settings, jobs, jobs[name], now)})
    found: list[datetime] = []
    state = read_state(state_file(Path(settings.path), job.name))
    at = next_run(job, state, now, settings.zone)
    while at is not None and at < now + _DAY:
        found.append(at)
        at = next_run(job, JobState(last_success=at), at, settings.zone)
    return found


def next_run(job: Job, state: JobState, now: datetime, zone: tzinfo | None) -> datetime | None:
    """Return when a job runs next by the clock, UTC; None for one that has no time."""
    at = due_at(job, now, zone)
    if is_due(job, state, now, at):
        return now
    if is_after_failure(state, now, at) and not is_given_up(job, state, zone):
        return retry_at(job, state)
    if at is None or job.every_minutes:
        return at and at + timedelta(minutes=job.every_minutes)
    later = now
    while (due := last_due(later, time.fromisoformat(job.at), zone)) <= at:
        later += _HOUR
    return due


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]
    return "\n".join(
        "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )
