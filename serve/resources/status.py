"""Health, readiness, and the served model."""

import hmac
from datetime import UTC, datetime
from typing import Any

import falcon

from serve.settings import ServeSettings
from serve.worker.index import has_vectors
from serve.worker.served import Served
from serve.worker.state import WorkerState
from store.experiment import Experiment
from store.layout import INDEX
from store.parse import parse_time

_RETRY_SECONDS = 5
_PUBLIC_TEXTS = ("model", "at")


class Health:
    """`/healthz`: 200 while the process lives; the body names its generation and any problem."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        served, problem = self._state.served, self._state.scoreboard.problem
        resp.media = {
            "status": "ok" if served and not problem else "degraded",
            "generation": served.generation if served else None,
            "built_at": served.snapshot.manifest.finished_at if served else None,
            "problem": problem or None,
            "taken_down": len(self._state.hidden),
        }

    on_head = on_get


class Ready:
    """`/readyz`: 503 only while no list can be served; an old snapshot is a warning."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        served = self._state.served
        if not (served or self._state.settings.emergency_list):
            raise falcon.HTTPServiceUnavailable(
                title="not ready",
                description="no snapshot can be served, and no emergency_list is configured",
                retry_after=_RETRY_SECONDS,
            )
        problem = self._state.scoreboard.problem
        warnings = [problem] if problem else []
        if served and has_vectors(served.snapshot) and not served.has_index:
            warnings.append(f"generation {served.generation}: lists by history disabled: {INDEX}")
        if served and is_stale(served, self._state.settings):
            warnings.append(f"the snapshot is {age_seconds(served) / 3600:.0f} hours old")
        resp.media = {"status": "ready", "warnings": warnings}

    on_head = on_get


class ModelStatus:
    """`/model/status`: the served snapshot, from its manifest; whole only with the token."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        token = state.settings.token()
        self._expected = f"Bearer {token}".encode() if token else b""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        served = self._state.served
        resp.media = {"generation": None}
        if served:
            resp.media = _described(served)
            if not self._is_operator(req):
                resp.media["parameters"] = _without_texts(served.snapshot.manifest.parameters)

    def _is_operator(self, req: falcon.Request) -> bool:
        sent = req.get_header("Authorization", default="").encode("utf-8", "replace")
        return bool(self._expected) and hmac.compare_digest(sent, self._expected)

    on_head = on_get


def age_seconds(served: Served) -> float:
    """Return the age of the snapshot."""
    finished = parse_time(served.snapshot.manifest.finished_at)  # checked when it was opened
    return (datetime.now(UTC) - finished).total_seconds()


def is_stale(served: Served, settings: ServeSettings) -> bool:
    """Return whether the snapshot is older than `stale_hours`."""
    return age_seconds(served) > settings.stale_hours * 3600


def _described(served: Served) -> dict[str, Any]:
    manifest = served.snapshot.manifest
    return {
        "generation": manifest.generation,
        "parent": manifest.parent,
        "finished_at": manifest.finished_at,
        "age_seconds": round(age_seconds(served)),
        "code_version": manifest.code_version,
        "counts": manifest.counts,
        "data": [
            {key: source.get(key) for key in ("kind", "bytes", "sha256")}
            for source in manifest.inputs
        ],
        "parameters": manifest.parameters,
        "metrics": manifest.metrics,
        "gate": manifest.gate.as_json(),
        "experiment": _experiment(served.experiment) if served.experiment else None,
    }


def _experiment(running: Experiment) -> dict[str, Any]:
    return {
        "name": running.name,
        "kind": running.kind,
        "started_at": running.started_at,
        "arms": [
            {"name": arm.name, "share": arm.share, "generation": arm.generation}
            for arm in running.arms
        ],
    }


def _without_texts(value: Any) -> Any:
    """Return the numbers of some parameters: no path, and no item that is kept from lists."""
    return {
        key: _without_texts(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if key in _PUBLIC_TEXTS or isinstance(inner, dict | float | int) or inner is None
    }
