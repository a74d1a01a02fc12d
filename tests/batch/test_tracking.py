"""Tracking: runs from manifests, OpenLineage events of real refreshes, and systems that fail."""

import json
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from batch.__main__ import main
from batch.tracking.delivery import emit
from batch.tracking.pending import Pending
from batch.tracking.runs import failed_run, identity_of, run_of
from batch.tracking.settings import TrackingSettings
from store.config import load_section
from store.errors import ConfigError
from store.gate_result import GateCheck, GateResult
from store.manifest import manifest_of
from tests.histories import write_history
from tests.refreshes import inputs
from tests.snapshots import make_snapshot

_SPEC = "https://openlineage.io/spec"


class Receiver:
    """What a server received; it refuses while `status` is an error."""

    def __init__(self, status):
        self.status, self.events, self.keys = status, [], []
        self.url = ""


@contextmanager
def receiver(status):
    """Run a server of OpenLineage events."""
    received = Receiver(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = received.status  # once: the test may change it when it has the answer
            if status < 400:
                received.events.append(json.loads(body))
                received.keys.append(self.headers["Authorization"])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        received.url = f"http://127.0.0.1:{server.server_port}/api/v1/lineage"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


def write_config(folder, **tracking):
    """Write a configuration, and return its path."""
    path = folder / "marquee.toml"
    tracking = {"path": str(folder / "tracking"), **tracking}
    lines = [f"{key} = {json.dumps(value)}" for key, value in tracking.items()]
    path.write_text("\n".join(["[tracking]", *lines, ""]))
    return path


def refreshed(config, *arguments):
    """Run a refresh in this process, and return its exit status."""
    store = config.parent / "store"
    return main(["refresh", "--config", str(config), "--store", str(store), *map(str, arguments)])


def events_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("history"))


def test_a_refresh_emits_start_and_complete(tmp_path, history, capsys):
    """Inputs with rows and columns, the store with its generation; MLflow is down: a warning."""
    lineage = tmp_path / "new" / "lineage.jsonl"
    config = write_config(tmp_path, openlineage=str(lineage), mlflow="http://127.0.0.1:9")
    assert refreshed(config, *inputs(history)) == 0
    assert "warning: tracking: [tracking] mlflow" in capsys.readouterr().err

    start, complete = events_of(lineage)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert start["job"] == complete["job"]
    assert complete["schemaURL"] == f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
    names = [(one["namespace"], one["name"]) for one in start["inputs"]]
    assert names == [("file", str(history.events)), ("file", str(history.catalogue))]
    events, catalogue = complete["inputs"]
    n_lines = len(history.events.read_text().splitlines())
    statistics = events["inputFacets"]["inputStatistics"]
    assert (statistics["rowCount"], statistics["fileCount"]) == (n_lines, 1)
    assert statistics["size"] == history.events.stat().st_size
    assert {field["name"] for field in catalogue["facets"]["schema"]["fields"]} >= {"id", "title"}
    (output,) = complete["outputs"]
    assert output["name"] == str(tmp_path / "store")
    assert output["facets"]["version"]["datasetVersion"] == "1"
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 60
    assert complete["run"]["facets"]["marquee_snapshot"]["gate"] == "passed"


def test_a_failed_refresh_emits_fail(tmp_path, capsys):
    """The error's message, and no output."""
    lineage = tmp_path / "lineage.jsonl"
    config = write_config(tmp_path, openlineage=str(lineage))
    assert refreshed(config, "--events", tmp_path / "none.log") == 1
    start, fail = events_of(lineage)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    error = fail["run"]["facets"]["errorMessage"]
    assert "none.log: no such file" in error["message"]
    assert (fail["inputs"], fail["outputs"]) == (start["inputs"], [])
    assert not (tmp_path / "tracking").exists()


def test_a_failed_refresh_is_kept_for_mlflow_without_secrets(tmp_path, capsys):
    """A URL that was refused for its password is in no event and in no record."""
    lineage = tmp_path / "lineage.jsonl"
    config = write_config(tmp_path, openlineage=str(lineage), mlflow="http://127.0.0.1:9")
    assert refreshed(config, "--events", "mysql://me:secret@host/db?table=t") == 1
    assert "secret" not in capsys.readouterr().err
    assert not lineage.exists() or "secret" not in lineage.read_text()
    (path,) = (tmp_path / "tracking" / "failed").iterdir()
    assert "secret" not in path.read_text()
    run = failed_run(json.loads(path.read_text()))
    assert run.is_failed
    assert "has a password in it" in run.tags["marquee.error"]
    assert run.parameters["alpha"] == "2.0"


def test_events_for_a_url_wait_until_they_are_accepted(tmp_path, capsys, monkeypatch):
    """A receiver that refuses fails no refresh; `track` delivers in order, with the key."""
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k")
    with receiver(503) as server:
        config = write_config(tmp_path, openlineage=server.url)
        assert refreshed(config, "--events", tmp_path / "none.log") == 1
        assert "503" in capsys.readouterr().err
        track = ["track", "--config", str(config), "--store", str(tmp_path / "store"), "--json"]
        assert main(track) == 1
        assert server.events == []

        server.status = 201
        capsys.readouterr()
        assert main(track) == 0
        assert json.loads(capsys.readouterr().out)["n_events"] == 2
        assert [event["eventType"] for event in server.events] == ["START", "FAIL"]
        assert server.keys == ["Bearer k", "Bearer k"]
        assert main(track) == 0
        assert json.loads(capsys.readouterr().out)["n_events"] == 0


def test_nothing_is_done_without_a_system(tmp_path, capsys):
    """No file and no directory appears, and `track` says what to set."""
    config = write_config(tmp_path)
    assert refreshed(config, "--events", tmp_path / "none.log") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["marquee.toml"]
    assert main(["track", "--config", str(config)]) == 1
    assert (
        "[tracking]: names no system; set mlflow, openlineage, or both" in capsys.readouterr().err
    )


def test_a_run_has_the_figures_of_its_manifest(tmp_path):
    """Steps are the generation, or the place in the choice; missing figures are left out."""
    tried = [{"name": "a", "ndcg": [0.2, 0.1, 0.3], "seconds": 1.0}, {"name": "b", "ndcg": [0.4]}]
    parameters = {"alpha": 2.0, "rules": {"deny": ["x", "y"]}, "choice": {"tried": tried, "n": 3}}
    make_snapshot(tmp_path, {"ann": ["a"]}, ["a"], parameters=parameters)
    checks = [
        GateCheck("users", 0.95, 0.9, is_ok=True, note=""),
        GateCheck("loss to served", None, 0.5, is_ok=True, note=""),
    ]
    curve = {"n_users": 700, "models": {"ials": [[1, 0.25], [3, 0.5]]}}
    metrics = {"rmse": 0.9, "second_stage": "not used", "bad": float("nan")}
    groups = [{"group": "25-34", "n_users": 60, "ndcg": [0.2, 0.1, 0.3]}]
    metrics |= {"learning_curve": curve, "last_day": {"groups": groups}}
    manifest = replace(
        manifest_of(tmp_path, 1), generation=42, metrics=metrics, gate=GateResult(checks)
    )

    run = run_of(manifest)
    assert run.identity == identity_of(manifest) != identity_of(replace(manifest, generation=43))
    assert run.parameters == {"alpha": "2.0", "rules.deny": "x, y", "choice.n": "3"}
    found = {(name, step): value for name, value, step in run.metrics if "counts" not in name}
    assert found == {
        ("rmse", 42): 0.9,
        ("last_day.groups.25-34.n_users", 42): 60,
        ("last_day.groups.25-34.ndcg", 42): 0.2,
        ("last_day.groups.25-34.ndcg_lower", 42): 0.1,
        ("last_day.groups.25-34.ndcg_upper", 42): 0.3,
        ("gate/users", 42): 0.95,
        ("gate/users limit", 42): 0.9,
        ("gate/loss to served limit", 42): 0.5,
        ("learning_curve/ials", 1): 0.25,
        ("learning_curve/ials", 3): 0.5,
        ("choice/seconds", 1): 1.0,
        ("choice/ndcg", 1): 0.2,
        ("choice/ndcg_lower", 1): 0.1,
        ("choice/ndcg_upper", 1): 0.3,
        ("choice/ndcg", 2): 0.4,
    }
    assert run.tags["marquee.gate"] == "passed"


def test_pending_documents_leave_in_order_and_once(tmp_path):
    """An error keeps the rest; a damaged file does not bar the way; the number is bounded."""
    pending = Pending(tmp_path / "new")
    assert pending.deliver(print) == 0
    for number in range(3):
        pending.add({"n": number})
    sent = []

    def refuse_the_second(document):
        if document["n"] == 1:
            raise ConnectionError
        sent.append(document["n"])

    with pytest.raises(ConnectionError):
        pending.deliver(refuse_the_second)
    assert sent == [0]
    (tmp_path / "new" / "0.json").write_text("{")
    assert pending.deliver(lambda document: sent.append(document["n"])) == 2
    assert sent == [0, 1, 2]
    assert list((tmp_path / "new").iterdir()) == []

    for number in range(1000):
        (tmp_path / "new" / f"{number:020d}.json").write_text(f'{{"n": {number}}}')
    pending.add({"n": 1000})
    assert pending.deliver(lambda document: sent.append(document["n"])) == 1000
    assert sent[3:] == [*range(1, 1001)]


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path, capsys):
    """The directory of the lineage is a file."""
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path, openlineage=str(tmp_path / "file" / "lineage.jsonl"))
    assert refreshed(config, "--events", tmp_path / "none.log") == 1
    assert "warning: tracking:" in capsys.readouterr().err
    emit({}, TrackingSettings())  # no target: nothing happens


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('mlflow = "var/mlruns"', "mlflow must be the URL of a server"),
        ('mlflow = "http://me:pw@host"', "must be a valid URL without user and password"),
        ('openlineage = "http://host:port/"', "must be a valid URL"),
        ('alias = " "', "alias must not be empty"),
        ("timeout_seconds = 0", "timeout_seconds must be above 0"),
    ],
)
def test_a_setting_that_is_not_valid_is_refused(tmp_path, line, problem):
    (tmp_path / "marquee.toml").write_text(f"[tracking]\n{line}\n")
    with pytest.raises(ConfigError, match=problem):
        load_section("tracking", TrackingSettings, tmp_path / "marquee.toml")
