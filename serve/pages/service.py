"""The JSON of the service: counts since the start, workers, publishes, experiment, alarms.

    scoreboard, store ─────────────────────────────────────────────► this module
    files of collector, scheduler, looks ─► collector, jobs, looks ──┘

The counts only grow: who reads them twice computes rates, shares and quantiles in between.
"""

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from serve.counting import ANSWER_KINDS, ANSWERS, ARM_SOURCES, N_BUCKETS, Counts
from serve.pages.collector import collector
from serve.pages.generations import data_until
from serve.pages.jobs import jobs
from serve.pages.looks import looks_at
from serve.scoreboard import Scoreboard
from serve.settings import ServeSettings
from serve.status_paths import StatusPaths
from store.errors import ExperimentError, StoreError
from store.experiment import Experiment, experiment_beside
from store.figure_names import metric_name
from store.journal import flips
from store.layout import snapshot_folder
from store.manifest import read_manifest
from store.parse import parse_time
from store.pointer import pinned
from store.takedown import takedowns

_PERSONAL: Final = ("list", "fresh", "history", "recent")
_LISTS: Final = (*_PERSONAL, "segment", "popular", "closed_shard", "static")
_FAILED: Final = ("503", "5xx")
_SILENT_SECONDS: Final = 3.0  # a worker without a heartbeat is replaced then
_N_PUBLISHES: Final = 20


class _Lists(NamedTuple):
    """The lists that are served.

    Attributes:
        finished_at: Time when they were made, ISO 8601.
        age_seconds: Time since then.
        data_until: Time of the last event that they were made from, ISO 8601.
    """

    finished_at: str | None
    age_seconds: int | None
    data_until: str | None


def service(
    store: Path,
    settings: ServeSettings,
    scoreboard: Scoreboard,
    paths: StatusPaths,
    *,
    is_operator: bool,
) -> dict[str, Any]:
    """Return the state of the service.

    Args:
        store: Directory of the store.
        settings: The server's settings.
        scoreboard: Memory shared with the workers.
        paths: Directories of the collector, the scheduler and the looks.
        is_operator: Whether reasons in operators' words are included.
    """
    generation = scoreboard.generation
    lists = _lists(store, generation)
    experiment = _experiment(store, generation)
    counts = scoreboard.total_counts(experiment.identity if experiment else 0)
    workers = _workers(scoreboard)
    alarms = [scoreboard.problem] if scoreboard.problem else []
    if not generation:
        alarms.append("no snapshot is served")
    if lists.age_seconds is not None and lists.age_seconds > settings.stale_hours * 3600:
        alarms.append(f"the lists are {lists.age_seconds / 3600:.0f} hours old")
    if not any(worker["ready"] for worker in workers):
        alarms.append("no worker answers")
    now = datetime.now(UTC)
    found = {
        "collector": collector(paths.events, now),
        "cron": jobs(paths.cron, now, is_operator=is_operator),
    }
    alarms += [one["summary"].rstrip(".") for one in found.values() if one.get("alarm")]
    alarms += [f"alarm of the scheduler: {alarm['name']}" for alarm in found["cron"]["alarms"]]
    return found | {
        "at": now.isoformat(timespec="seconds"),
        "generation": generation or None,
        **lists._asdict(),
        "counts": _counts(counts),
        "workers": workers,
        "events": scoreboard.supervisor_counts(),
        "publishes": _publishes(store, is_operator=is_operator),
        "experiment": _arms(experiment, counts, paths) if experiment else None,
        "pin": pin.generation if (pin := pinned(store)) else None,
        "n_takedowns": len(takedowns(store)),
        "alarms": alarms,
    }


def _lists(store: Path, generation: int) -> _Lists:
    with contextlib.suppress(StoreError):
        if generation:
            manifest = read_manifest(snapshot_folder(store, generation))
            age = datetime.now(UTC) - parse_time(manifest.finished_at)
            return _Lists(manifest.finished_at, round(age.total_seconds()), data_until(manifest))
    return _Lists(None, None, None)


def _experiment(store: Path, generation: int) -> Experiment | None:
    with contextlib.suppress(ExperimentError):  # the server does without it, too
        return experiment_beside(store, generation) if generation else None
    return None


def _counts(counts: Counts) -> dict[str, Any]:
    """Return answers by kind; `below_ns[b]` counts timed lists of less than 2^b nanoseconds."""
    rows = list(zip(ANSWER_KINDS, counts.rows, strict=True))
    lists = [row for kind, row in rows if kind.source in _LISTS]
    return {
        "answers": sum(row[ANSWERS] for row in counts.rows),
        "failed": sum(row[ANSWERS] for kind, row in rows if kind.status in _FAILED),
        "lists": sum(row[ANSWERS] for row in lists),
        "personal": sum(row[ANSWERS] for kind, row in rows if kind.source in _PERSONAL),
        "below_ns": [sum(row[b] for row in lists) for b in range(N_BUCKETS)],
        "by_source": {f"{kind.source} {kind.status}": row[ANSWERS] for kind, row in rows},
    }


def _workers(scoreboard: Scoreboard) -> list[dict[str, Any]]:
    ages = {slot: scoreboard.seconds_since_beat(slot) for slot in range(scoreboard.n_slots)}
    return [
        {"slot": slot, "ready": scoreboard.is_ready(slot), "heartbeat_seconds": round(age, 2)}
        for slot, age in ages.items()
        if age < _SILENT_SECONDS  # other slots are free
    ]


def _publishes(store: Path, *, is_operator: bool) -> list[dict[str, Any]]:
    lines = flips(store)[-_N_PUBLISHES:]
    return [
        {"at": line.at, "generation": line.generation, "what": line.what}
        | ({"why": line.why} if is_operator else {})
        for line in reversed(lines)
    ]


def _arms(experiment: Experiment, counts: Counts, paths: StatusPaths) -> dict[str, Any]:
    return looks_at(paths.online, experiment) | {
        "name": experiment.name,
        "kind": experiment.kind,
        "metric": experiment.metric,
        "metric_words": metric_name(experiment.metric),
        "started_at": experiment.started_at,
        "arms": [
            {"name": arm.name, "share": arm.share, "generation": arm.generation}
            | {name: row[ANSWERS] for name, row in zip(ARM_SOURCES, rows, strict=True)}
            for arm, rows in zip(experiment.arms, counts.arms, strict=False)
        ],
    }
