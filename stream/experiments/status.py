"""What runs: the experiment, its arms and their snapshots."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from store.errors import StoreError
from store.experiment import EVERYONE, Arm, Experiment
from store.layout import snapshot_folder
from store.manifest import read_manifest
from store.parse import parse_time
from store.pointer import current_or_none

_DAY_SECONDS: Final = 86_400


def status_of(store: Path, experiment: Experiment) -> dict[str, Any]:
    """Return the status of a running experiment, as JSON has it."""
    age = datetime.now(UTC) - parse_time(experiment.started_at)
    return {
        "name": experiment.name,
        "kind": experiment.kind,
        "started_at": experiment.started_at,
        "days": round(age.total_seconds() / _DAY_SECONDS, 2),
        "planned_days": experiment.planned_days,
        "metric": experiment.metric,
        "population": experiment.population,
        "is_in_force": experiment.control.generation == current_or_none(store),
        "arms": [_arm(store, arm) for arm in experiment.arms],
        "teams": list(experiment.teams),
    }


def as_text(status: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that show a status."""
    days = f"{status['days']:.1f} of {status['planned_days']:g} days"
    yield f"{status['name']} ({status['kind']}), since {status['started_at']}, {days}"
    if not status["is_in_force"]:
        yield "not in force: the control is not current; look with `python -m store doctor`"
    for arm in status["arms"]:
        settings = ", ".join(f"{key} = {value!r}" for key, value in arm["settings"].items())
        shown = settings or "settings in force"
        yield (
            f"  {arm['name']:<12} {arm['share']:>6.1%}  generation {arm['generation']}"
            f" of {arm['built_at']}  {shown}"
        )
    if status["population"] != EVERYONE:
        yield "  figures of users without a view or rating before the start"
    if status["teams"]:
        first, second = status["teams"]
        yield f"  lists of generations {first} and {second} are interleaved"


def _arm(store: Path, arm: Arm) -> dict[str, Any]:
    try:
        built_at = read_manifest(snapshot_folder(store, arm.generation)).finished_at
    except StoreError:
        built_at = None
    return {
        "name": arm.name,
        "share": arm.share,
        "generation": arm.generation,
        "built_at": built_at,
        "settings": arm.settings,
    }
