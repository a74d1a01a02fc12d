"""OpenLineage events of a refresh: what ran, what it read, and what it wrote.

    START     job, inputs by name
    COMPLETE  inputs with schema and rows, the snapshot with its generation and lists
    FAIL      the error's message; ABORT if it was interrupted

The store is one dataset, and the generation its version, so a graph of lineage has one
node for it. An input is what the configuration names: a file, a directory, a table.

Source:
    OpenLineage specification 2-0-2, https://openlineage.io/spec/2-0-2/OpenLineage.json, and
    its naming of datasets, https://openlineage.io/docs/spec/naming/.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from batch.input_counts import NamedInput
from batch.sql.url import is_database_url, parse_url
from batch.version import code_version

_SPEC: Final = "https://openlineage.io/spec"
_EVENT: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_RUN_FACET: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunFacet"
_FACETS: Final = {  # version of each facet of the specification
    "DatasetVersionDatasetFacet": "1-0-1",
    "ErrorMessageRunFacet": "1-0-1",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "SchemaDatasetFacet": "1-2-0",
}
_LIST_FIELDS: Final = {"user_id": "key of a list", "items": "item ids, best first"}

Facet = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WrittenSnapshot:
    """The output of a refresh.

    Attributes:
        generation: Generation of the snapshot.
        is_current: Whether it is served now.
        gate: Result of the gate.
        n_lists: Number of users with a list.
        n_bytes: Size of its files.
        n_files: Number of its files.
    """

    generation: int
    is_current: bool
    gate: str
    n_lists: int
    n_bytes: int
    n_files: int


class LineageRun:
    """The events of one refresh.

    Args:
        run_id: UUID of the run.
        namespace: Namespace of the job.
        job: Name of the job.
        store: Directory of the store.
    """

    def __init__(self, run_id: str, namespace: str, job: str, store: Path) -> None:
        self._run_id = run_id
        self._job = {"namespace": namespace, "name": job}
        self._store = store

    @functools.cached_property
    def _producer(self) -> str:
        return f"pkg:generic/marquee@{quote(code_version())}"

    def start(self, inputs: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Return the event at the begin.

        Args:
            inputs: Paths and URLs of the inputs by their use.
        """
        names = dict.fromkeys(name for of_use in inputs.values() for name in of_use)
        return self._event("START", [_dataset(name) for name in names], [_dataset(self._store)])

    def complete(self, inputs: Sequence[NamedInput], written: WrittenSnapshot) -> dict[str, Any]:
        """Return the event after a snapshot was written."""
        about = {
            "generation": written.generation,
            "isCurrent": written.is_current,
            "gate": written.gate,
        }
        facets = {"marquee_snapshot": self._of_our_own(about)}
        return self._event(
            "COMPLETE", [self._read(one) for one in inputs], [self._written(written)], facets
        )

    def fail(
        self, inputs: Mapping[str, Sequence[str]], message: str, *, is_abort: bool = False
    ) -> dict[str, Any]:
        """Return the event of a refresh that has failed, or was interrupted."""
        error = self._facet("ErrorMessageRunFacet", message=message, programmingLanguage="Python")
        begin = self.start(inputs)
        return self._event(
            "ABORT" if is_abort else "FAIL", begin["inputs"], [], {"errorMessage": error}
        )

    def _event(
        self,
        kind: str,
        inputs: list[dict[str, Any]],
        outputs: list[dict[str, Any]],
        facets: Mapping[str, Facet] | None = None,
    ) -> dict[str, Any]:
        job_type = self._facet(
            "JobTypeJobFacet", processingType="BATCH", integration="MARQUEE", jobType="JOB"
        )
        return {
            "eventType": kind,
            "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run": {"runId": self._run_id, "facets": dict(facets or {})},
            "job": self._job | {"facets": {"jobType": job_type}},
            "inputs": inputs,
            "outputs": outputs,
            "producer": self._producer,
            "schemaURL": _EVENT,
        }

    def _read(self, one: NamedInput) -> dict[str, Any]:
        fields = [
            {"name": column, "description": role} for role, column in sorted(one.columns.items())
        ]
        statistics = self._facet(
            "InputStatisticsInputDatasetFacet",
            rowCount=one.n_rows,
            fileCount=one.n_files,
            **({} if one.n_bytes is None else {"size": one.n_bytes}),
        )
        schema = {"schema": self._facet("SchemaDatasetFacet", fields=fields)} if fields else {}
        return _dataset(one.name) | {
            "facets": schema,
            "inputFacets": {"inputStatistics": statistics},
        }

    def _written(self, written: WrittenSnapshot) -> dict[str, Any]:
        fields = [{"name": name, "description": text} for name, text in _LIST_FIELDS.items()]
        statistics = self._facet(
            "OutputStatisticsOutputDatasetFacet",
            rowCount=written.n_lists,
            size=written.n_bytes,
            fileCount=written.n_files,
        )
        version = self._facet("DatasetVersionDatasetFacet", datasetVersion=str(written.generation))
        return _dataset(self._store) | {
            "facets": {
                "schema": self._facet("SchemaDatasetFacet", fields=fields),
                "version": version,
            },
            "outputFacets": {"outputStatistics": statistics},
        }

    def _facet(self, name: str, **content: Any) -> Facet:
        url = f"{_SPEC}/facets/{_FACETS[name]}/{name}.json#/$defs/{name}"
        return {"_producer": self._producer, "_schemaURL": url, **content}

    def _of_our_own(self, content: Facet) -> Facet:
        return {"_producer": self._producer, "_schemaURL": _RUN_FACET, **content}


def _dataset(source: str | Path) -> dict[str, Any]:
    """Return namespace and name of a file, a directory, or a table of a database."""
    if isinstance(source, Path) or not is_database_url(source):
        return {"namespace": "file", "name": str(Path(source).absolute())}
    url = parse_url(source)
    selected = url.table or url.query
    name = f"{url.database}.{selected}" if selected else url.database
    port = f":{url.port}" if url.port else ""
    return {"namespace": f"{url.dialect}://{url.host}{port}", "name": name}
