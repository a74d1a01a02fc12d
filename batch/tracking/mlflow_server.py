"""The MLflow server, made equal to the store: one run and one model version for each snapshot.

    manifest without a version ─► run ─► parameters, metrics, files ─► FINISHED ─► version
    CURRENT ─► the version with its identity ─► alias `production`

Nothing is remembered between calls but on the server: the tag `marquee.snapshot` of a run and
of a version is the identity of the snapshot. So each step may be cut off anywhere, and the
next call goes on. The package mlflow is imported here alone.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batch.errors import TrackingError
from batch.tracking.runs import SNAPSHOT_TAG, TrackedRun
from batch.tracking.settings import TrackingSettings

if TYPE_CHECKING:
    from mlflow import MlflowClient

_EXTRA: Final = "install the extra `mlflow`: pip install 'mlflow-skinny>=3.1'"
_ENVIRONMENT: Final = {  # defaults: a server that is down must not keep a refresh waiting
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_BATCH_PARAMETERS: Final = 100  # limits of one request
_BATCH_METRICS: Final = 500
_FAILED: Final = "FAILED"
_FINISHED: Final = "FINISHED"


class MlflowServer:
    """A connection to an MLflow server.

    Args:
        settings: Section `[tracking]`.

    Raises:
        TrackingError: The package is not installed, or the server cannot be reached.
    """

    def __init__(self, settings: TrackingSettings) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._settings = settings
        self._client = _client(settings.mlflow)
        with self._explained():
            experiment = self._client.get_experiment_by_name(settings.experiment)
            self._experiment_id = (
                experiment.experiment_id
                if experiment
                else self._client.create_experiment(settings.experiment)
            )

    def versions(self) -> dict[str, str]:
        """Return the number of each model version by the identity of its snapshot.

        Raises:
            TrackingError: The server cannot be reached, or refuses.
        """
        found: dict[str, str] = {}
        token: str | None = None
        with self._explained():
            while True:
                page = self._client.search_model_versions(
                    f"name = '{self._settings.model}'", max_results=1000, page_token=token
                )
                for version in page:
                    if identity := version.tags.get(SNAPSHOT_TAG):
                        found[identity] = version.version
                if not (token := page.token):
                    return found

    def record(self, run: TrackedRun, files: Mapping[str, str | Path]) -> str:
        """Record a run, unless it is complete there already, and return its id.

        Args:
            run: The run.
            files: Artifacts by name: a text, or the path of a file.

        Raises:
            TrackingError: The server cannot be reached, or refuses.
        """
        with self._explained():
            if run_id := self._complete_run(run.identity):
                return run_id
            tags = {**run.tags, SNAPSHOT_TAG: run.identity}
            began_at, ended_at = _milliseconds(run.began_at), _milliseconds(run.ended_at)
            made = self._client.create_run(self._experiment_id, began_at, tags, run.name)
            run_id = str(made.info.run_id)
            self._log(run_id, run, ended_at)
            for name, content in files.items():
                if isinstance(content, Path):
                    self._client.log_artifact(run_id, str(content))
                else:
                    self._client.log_text(run_id, content, name)
            status = _FAILED if run.is_failed else _FINISHED
            self._client.set_terminated(run_id, status, ended_at)
        return run_id

    def register(self, run: TrackedRun, run_id: str) -> str:
        """Register the snapshot of a run as a model version, and return its number.

        Raises:
            TrackingError: The server cannot be reached, or refuses.
        """
        from mlflow.exceptions import MlflowException

        model, tags = self._settings.model, {**run.tags, SNAPSHOT_TAG: run.identity}
        with self._explained():
            with contextlib.suppress(MlflowException):  # it exists already, or the next call says
                self._client.create_registered_model(model)
            source = str(self._client.get_run(run_id).info.artifact_uri)
            made = self._client.create_model_version(
                model, source, run_id, tags, description=run.name, await_creation_for=0
            )
        return str(made.version)

    def point_alias(self, version: str) -> bool:
        """Point the alias to a version, and return whether it pointed elsewhere before.

        Raises:
            TrackingError: The server cannot be reached, or refuses.
        """
        model, alias = self._settings.model, self._settings.alias
        with self._explained():
            aliases = self._client.get_registered_model(model).aliases
            if str(aliases.get(alias)) == version:
                return False
            self._client.set_registered_model_alias(model, alias, version)
        return True

    def _complete_run(self, identity: str) -> str | None:
        """Return the id of the complete run of a snapshot, and delete what a crash left of it."""
        found = self._client.search_runs(
            [self._experiment_id], f"tags.`{SNAPSHOT_TAG}` = '{identity}'"
        )
        complete = None
        for run in found:
            if run.info.status in (_FINISHED, _FAILED):
                complete = str(run.info.run_id)
            else:
                self._client.delete_run(run.info.run_id)
        return complete

    def _log(self, run_id: str, run: TrackedRun, at: int) -> None:
        from mlflow.entities import Metric, Param

        parameters = [Param(name, text) for name, text in run.parameters.items()]
        for first in range(0, len(parameters), _BATCH_PARAMETERS):
            batch = parameters[first : first + _BATCH_PARAMETERS]
            self._client.log_batch(run_id, params=batch)
        metrics = [Metric(name, value, at, step) for name, value, step in run.metrics]
        for first in range(0, len(metrics), _BATCH_METRICS):
            self._client.log_batch(run_id, metrics=metrics[first : first + _BATCH_METRICS])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what mlflow raises as an error of our own."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except (MlflowException, OSError) as error:  # those of requests are OSErrors
            reason = " ".join(str(error).split())[:300]
            raise TrackingError(f"[tracking] mlflow: {self._settings.mlflow}", reason) from error


def _client(url: str) -> "MlflowClient":
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise TrackingError("[tracking] mlflow", f"cannot be used: {error}", _EXTRA) from error
    return MlflowClient(tracking_uri=url, registry_uri=url)


def _milliseconds(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)
