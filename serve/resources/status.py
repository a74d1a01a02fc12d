"""Is it alive, can it serve, and what does it serve?"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import falcon

from serve.settings import ServeSettings
from serve.worker.served import Served

if TYPE_CHECKING:
    from serve.worker.app import MarqueeApp

_RETRY_SECONDS = 5


class Health:
    """`/healthz`: this process is alive; the body says what it serves and what is wrong."""

    def __init__(self, app: "MarqueeApp") -> None:
        self._app = app

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        served, problem = self._app.served, self._app.page.problem
        resp.media = {
            "status": "ok" if served and not problem else "degraded",
            "generation": served.generation if served else None,
            "built_at": served.snapshot.manifest.finished_at if served else None,
            "problem": problem or None,
            "taken_down": len(self._app.hidden),
        }

    on_head = on_get


class Ready:
    """`/readyz`: 503 only while no list can be served; an old snapshot is a warning."""

    def __init__(self, app: "MarqueeApp") -> None:
        self._app = app

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        served = self._app.served
        if not (served or self._app.settings.emergency_list):
            raise falcon.HTTPServiceUnavailable(
                title="not ready",
                description="no snapshot can be served, and no emergency_list is configured",
                retry_after=_RETRY_SECONDS,
            )
        warnings = [self._app.page.problem] if self._app.page.problem else []
        if served and is_stale(served, self._app.settings):
            warnings.append(f"the snapshot is {age_seconds(served) / 3600:.0f} hours old")
        resp.media = {"status": "ready", "warnings": warnings}

    on_head = on_get


class ModelStatus:
    """`/model/status`: the snapshot that is served, as its manifest tells it."""

    def __init__(self, app: "MarqueeApp") -> None:
        self._app = app

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        served = self._app.served
        resp.media = _described(served) if served else {"generation": None}

    on_head = on_get


def age_seconds(served: Served) -> float:
    """How long ago the snapshot was finished."""
    finished = datetime.fromisoformat(served.snapshot.manifest.finished_at)
    return (datetime.now(UTC) - finished).total_seconds()


def is_stale(served: Served, settings: ServeSettings) -> bool:
    """Tell whether the snapshot is older than it should ever become."""
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
    }
