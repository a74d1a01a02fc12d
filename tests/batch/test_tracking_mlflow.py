"""Tracking against a real MLflow server, and events read by the client of OpenLineage.

`.ci/campaigns tracking` makes the environments that this needs.
"""

import importlib.util
import inspect
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from store.journal import journal
from store.publish import rollback
from tests.histories import write_history
from tests.snapshots import REFUSED_GATE, make_snapshot

_SERVER = os.environ.get("TRACKING_SERVER", "")  # the program `mlflow` of an environment of its own
_HAS_CLIENTS = all(importlib.util.find_spec(name) for name in ("mlflow", "openlineage"))
pytestmark = [
    pytest.mark.skipif(
        not (_SERVER and _HAS_CLIENTS),
        reason="mlflow is not installed: `.ci/campaigns tracking` installs it",
    ),
    pytest.mark.filterwarnings("ignore"),  # those of other projects' clients
]
_ROOT = Path(__file__).parents[2]


class Mlflow:
    """A server on a port of its own, which can be stopped and started again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{one.getsockname()[1]}"

    @contextmanager
    def running(self):
        """Run the server; it has ended afterwards, with all its workers."""
        port = self.url.rpartition(":")[2]
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        files = ["--artifacts-destination", str(self.folder / "artifacts")]
        environ = {
            **os.environ,
            "PATH": f"{Path(_SERVER).parent}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with (self.folder / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [_SERVER, "server", "--port", port, "--workers", "1", *store, *files],
                cwd=self.folder, env=environ, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            try:
                self._wait(process)
                yield self
            finally:
                os.killpg(process.pid, 9)
                process.wait()

    def _wait(self, process):
        while process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail((self.folder / "server.log").read_text())


class Marquee:
    """A store and a configuration that names the server."""

    def __init__(self, folder, url, **tracking):
        self.folder, self.store = folder, folder / "store"
        tracking = {
            "mlflow": url, "path": str(folder / "tracking"), "model": folder.name,
            "experiment": folder.name, **tracking,
        }  # fmt: skip
        lines = [f"{key} = {json.dumps(value)}" for key, value in tracking.items()]
        folder.mkdir()
        (folder / "marquee.toml").write_text("\n".join(["[tracking]", *lines, ""]))

    def run(self, verb, *arguments):
        """Run a command of the batch in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "batch", verb, "--store", self.store, *arguments],
            cwd=self.folder, env={**os.environ, "PYTHONPATH": str(_ROOT)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip

    def track(self):
        """Deliver what is missing, and return the outcome."""
        done = self.run("track", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class Registry:
    """What the server has of one experiment and model, by MLflow's own client."""

    def __init__(self, marquee, url):
        from mlflow import MlflowClient

        self.client = MlflowClient(url, url)
        self.name = marquee.folder.name

    def runs(self):
        """Return the runs by their name; there are no two of one name."""
        experiment = self.client.get_experiment_by_name(self.name)
        runs = self.client.search_runs([experiment.experiment_id])
        found = {run.info.run_name: run for run in runs}
        assert len(found) == len(runs)
        return found

    def tag_of_versions(self, tag):
        """Return a tag of each model version by its number."""
        found = self.client.search_model_versions(f"name = '{self.name}'")
        return {version.version: version.tags.get(tag) for version in found}

    def served(self):
        """Return the generation that the alias points to."""
        version = self.client.get_model_version_by_alias(self.name, "production")
        return int(version.tags["marquee.generation"])

    def artifact(self, run, name):
        """Return the text of an artifact."""
        return Path(self.client.download_artifacts(run.info.run_id, name)).read_text()


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    with Mlflow(tmp_path_factory.mktemp("server")).running() as server:
        yield server


def test_a_refresh_is_a_run_and_a_rollback_moves_the_alias(tmp_path, mlflow):
    """Two refreshes and a rollback; parameters, metrics by step, the manifest as it is."""
    history = write_history(tmp_path / "history")
    lineage = tmp_path / "lineage.jsonl"
    marquee = Marquee(tmp_path / "nights", mlflow.url, openlineage=str(lineage))
    inputs = ("--events", history.events, "--catalogue", history.catalogue)
    registry = Registry(marquee, mlflow.url)
    for generation in (1, 2):
        done = marquee.run("refresh", *inputs)
        assert (done.returncode, "warning: tracking" in done.stderr) == (0, False), done.stderr
        assert registry.served() == generation

    run = registry.runs()["generation 2"]
    manifest = json.loads((marquee.store / "snapshots/000002/MANIFEST.json").read_text())
    assert json.loads(registry.artifact(run, "MANIFEST.json")) == manifest
    assert run.info.status == "FINISHED"
    assert run.data.params["alpha"] == str(manifest["parameters"]["alpha"])
    assert run.data.params["gate.min_users_share"] == "0.9"
    client, run_id = registry.client, run.info.run_id
    (recall,) = client.get_metric_history(run_id, "index_recall_at_20")
    assert (recall.value, recall.step) == (manifest["metrics"]["index_recall_at_20"], 2)
    tried = manifest["parameters"]["choice"]["tried"]
    curve = client.get_metric_history(run_id, "choice/ndcg")
    assert {one.step: one.value for one in curve} == {
        step: one["ndcg"][0] for step, one in enumerate(tried, 1) if one["ndcg"]
    }

    rollback(marquee.store, "a test")
    assert journal(marquee.store)[-1].what == "rollback"
    assert registry.served() == 2
    outcome = marquee.track()
    assert (outcome["served"], outcome["is_moved"], outcome["recorded"]) == (1, True, [])
    assert registry.served() == 1
    assert not marquee.track()["is_moved"]

    assert marquee.run("refresh", "--events", "none.log").returncode == 1
    events = [json.loads(line) for line in lineage.read_text().splitlines()]
    assert [event["eventType"] for event in events] == [*["START", "COMPLETE"] * 2, "START", "FAIL"]
    for event in events:
        check_event(event)
    (name,) = registry.runs().keys() - {"generation 1", "generation 2"}
    failed = registry.runs()[name]
    assert (name.split()[0], failed.info.status) == ("failed", "FAILED")
    assert "none.log: no such file" in failed.data.tags["marquee.error"]


def check_event(event):
    """Check an event by OpenLineage's classes: types, time, UUID, versions of all schemas."""
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

    assert event["schemaURL"] == RunEvent._get_schema()
    RunEvent(
        eventTime=event["eventTime"],
        run=Run(event["run"]["runId"], facets_of(event["run"])),
        job=Job(event["job"]["namespace"], event["job"]["name"], facets_of(event["job"])),
        eventType=RunState[event["eventType"]],
        producer=event["producer"],
    )
    for dataset in (*event["inputs"], *event["outputs"]):
        assert dataset.keys() <= {"namespace", "name", "facets", "inputFacets", "outputFacets"}
        for kind in ("facets", "inputFacets", "outputFacets"):
            facets_of(dataset, kind)


def facets_of(owner, kind="facets"):
    """Return the facets as objects of the classes that their schemas name."""
    from openlineage.client import facet_v2
    from openlineage.client.generated.base import RunFacet

    modules = [one for one in vars(facet_v2).values() if inspect.ismodule(one)]
    classes = {name: value for module in modules for name, value in vars(module).items()}
    classes["RunFacet"] = RunFacet
    found = {}
    for name, facet in owner.get(kind, {}).items():
        content = {key: value for key, value in facet.items() if not key.startswith("_")}
        cls = classes[facet["_schemaURL"].rpartition("/")[2]]
        assert facet["_schemaURL"] == cls._get_schema()
        found[name] = cls(**({} if cls is RunFacet else content), producer=facet["_producer"])
    return found


def test_refused_snapshots_are_recorded_and_never_served(tmp_path, mlflow):
    """Generation 2 is refused: the alias stays; a report beside the manifest is attached."""
    marquee = Marquee(tmp_path / "refused", mlflow.url)
    make_snapshot(marquee.store, {"ann": ["a"]}, ["a"])
    make_snapshot(marquee.store, {"ann": ["b"]}, ["a"], gate=REFUSED_GATE, flip=False)
    (marquee.store / "snapshots/000002/report.html").write_text("<p>a report</p>")
    assert marquee.track()["recorded"] == [1, 2]

    registry = Registry(marquee, mlflow.url)
    assert registry.tag_of_versions("marquee.gate") == {"1": "passed", "2": "refused"}
    assert registry.served() == 1
    assert registry.artifact(registry.runs()["generation 2"], "report.html") == "<p>a report</p>"
    assert marquee.track()["recorded"] == []


def test_what_a_crash_left_is_recorded_again(tmp_path, mlflow):
    """A run that is not complete is replaced, a complete one without a version is used."""
    marquee = Marquee(tmp_path / "crashed", mlflow.url)
    for _ in range(2):
        make_snapshot(marquee.store, {"ann": ["a"]}, ["a"], parameters={"alpha": 2.0})
    registry = Registry(marquee, mlflow.url)
    experiment = registry.client.create_experiment(registry.name)
    identity = "1 2026-03-01T02:30:00+00:00"
    registry.client.create_run(experiment, tags={"marquee.snapshot": identity}, run_name="torn")
    assert marquee.track()["recorded"] == [1, 2]
    assert set(registry.runs()) == {"generation 1", "generation 2"}

    first = registry.runs()["generation 2"].info.run_id
    registry.client.delete_model_version(registry.name, "2")
    assert marquee.track()["recorded"] == [2]
    assert registry.runs()["generation 2"].info.run_id == first
    assert registry.served() == 2


def test_a_server_that_was_down_gets_everything_later(tmp_path):
    """Nothing is lost, nothing is twice; a pruned generation is recorded by its manifest."""
    (folder := tmp_path / "server").mkdir()
    server = Mlflow(folder)
    marquee = Marquee(tmp_path / "outage", server.url)
    make_snapshot(marquee.store, {"ann": ["a"]}, ["a"])
    with server.running():
        assert marquee.track()["recorded"] == [1]
    make_snapshot(marquee.store, {"ann": ["b"]}, ["a"])
    done = marquee.run("track")
    assert done.returncode == 1
    assert f"[tracking] mlflow: {server.url}" in done.stderr
    assert "Traceback" not in done.stderr
    with server.running():
        assert marquee.track() == {
            "n_events": 0, "n_failed": 0, "recorded": [2], "served": 2, "is_moved": True,
            "warnings": [],
        }  # fmt: skip
        assert set(Registry(marquee, server.url).runs()) == {"generation 1", "generation 2"}


def test_a_server_that_never_answers_delays_a_refresh_by_its_limit(tmp_path):
    """Its port accepts connections, and nothing comes back."""
    history = write_history(tmp_path / "history")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        marquee = Marquee(tmp_path / "silent", url, timeout_seconds=6)
        done = marquee.run("refresh", "--events", history.events)
    assert done.returncode == 0, done.stderr
    assert f"warning: tracking: no answer from {url} in 6 s" in done.stderr
    assert (marquee.store / "CURRENT").read_text() == "1\n"
