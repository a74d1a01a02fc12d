"""`python -m batch track`: deliver what is missing to the systems that record refreshes.

    var/tracking/openlineage/*.json ─► URL
    var/tracking/failed/*.json      ─► MLflow: a failed run each
    store: manifests, CURRENT       ─► MLflow: runs, model versions, alias

A refresh ends with it; the scheduler's job `track` makes up for what a server missed, and for
rollbacks. One runs at a time.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batch.errors import TrackingError
from batch.tracking.delivery import deliver_events
from batch.tracking.mlflow_server import MlflowServer
from batch.tracking.pending import Pending
from batch.tracking.runs import failed_run, identity_of, run_of
from batch.tracking.settings import TrackingSettings
from store.errors import StoreError
from store.layout import (
    MANIFEST,
    REPORT_HTML,
    REPORT_JSON,
    generations,
    manifests_folder,
    snapshot_folder,
)
from store.locks import locked
from store.manifest import Manifest, manifest_of
from store.pointer import current_or_none

REPORTS: Final = (REPORT_HTML, REPORT_JSON)
FAILED: Final = "failed"  # folder of what MLflow is to be told of refreshes without a snapshot
_LOCK: Final = "LOCK"
_WAIT_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class TrackOutcome:
    """What was delivered.

    Attributes:
        n_events: Number of OpenLineage events.
        n_failed: Number of runs without a snapshot.
        recorded: Generations that got a run and a model version.
        served: Generation that the alias points to; None without one.
        is_moved: Whether the alias pointed elsewhere before.
        warnings: Sentences about manifests that cannot be read.
    """

    n_events: int
    n_failed: int
    recorded: tuple[int, ...]
    served: int | None
    is_moved: bool
    warnings: tuple[str, ...]


def track(store: Path, settings: TrackingSettings) -> TrackOutcome:
    """Deliver what is missing, and point the alias to what is served.

    Args:
        store: Directory of the store.
        settings: Section `[tracking]`.

    Raises:
        TrackingError: A server cannot be reached, or refuses; what was delivered stays.
        StoreBusyError: Another process is doing it.
        StoreError: The directory of `[tracking] path` cannot be written.
    """
    folder = Path(settings.path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrackingError(folder, f"cannot be made: {error.strerror}") from error
    with locked(folder / _LOCK, wait_seconds=_WAIT_SECONDS):
        n_events = deliver_events(settings)
        if not settings.mlflow:
            return TrackOutcome(n_events, 0, (), None, is_moved=False, warnings=())
        server = MlflowServer(settings)
        n_failed = Pending(folder / FAILED).deliver(
            lambda document: server.record(failed_run(document), {})
        )
        known, recorded, warnings = server.versions(), [], []
        for generation in _all_generations(store):
            try:
                manifest = manifest_of(store, generation)
            except StoreError as error:
                warnings.append(str(error))
                continue
            if identity_of(manifest) not in known:
                known[identity_of(manifest)] = _record(store, server, manifest)
                recorded.append(generation)
        served = current_or_none(store)
        version = None
        if served is not None:
            with contextlib.suppress(StoreError):  # a warning says so already
                version = known.get(identity_of(manifest_of(store, served)))
        is_moved = version is not None and server.point_alias(version)
    return TrackOutcome(
        n_events,
        n_failed,
        tuple(recorded),
        served if version else None,
        is_moved,
        tuple(warnings),
    )


def _record(store: Path, server: MlflowServer, manifest: Manifest) -> str:
    """Record the run of a snapshot with its files, and return its model version."""
    folder = snapshot_folder(store, manifest.generation)
    text = json.dumps(manifest.as_json(), indent=2, sort_keys=True)
    reports = {name: folder / name for name in REPORTS if (folder / name).is_file()}
    run = run_of(manifest)
    run_id = server.record(run, {MANIFEST: text, **reports})
    return server.register(run, run_id)


def _all_generations(store: Path) -> list[int]:
    """Return the generations in the store and those that were pruned, the oldest first."""
    kept = (path.stem for path in manifests_folder(store).glob("*.json"))
    return sorted({*generations(store), *(int(stem) for stem in kept if stem.isdecimal())})


def as_text(outcome: TrackOutcome, settings: TrackingSettings) -> str:
    """Return some lines for a terminal."""
    lines = [f"OpenLineage: {outcome.n_events:,} events delivered"] if settings.openlineage else []
    if settings.mlflow:
        recorded = ", ".join(map(str, outcome.recorded)) or "none was missing"
        lines.append(f"MLflow: generations recorded: {recorded}; failed runs: {outcome.n_failed:,}")
        pointed = "now points" if outcome.is_moved else "points"
        lines.append(
            f"MLflow: {settings.model}@{settings.alias} {pointed} to generation {outcome.served}"
            if outcome.served
            else "MLflow: nothing is served"
        )
    return "\n".join([*lines, *(f"warning: {warning}" for warning in outcome.warnings)])


def as_document(outcome: TrackOutcome) -> dict[str, Any]:
    """Return the outcome as one JSON object."""
    return {name: getattr(outcome, name) for name in outcome.__slots__}
