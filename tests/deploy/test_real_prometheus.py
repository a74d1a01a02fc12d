"""A real Prometheus with our configuration scrapes our processes and answers every query."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request

import pytest
import yaml
from prometheus_client import start_http_server

from store.pull import pull
from store.remote import Remote
from store.replica_settings import ReplicaSettings
from tests.deploy.files import PROMETHEUS, alerts, expressions, metrics_in, queries
from tests.deploy.registries import PROCESSES, registry_of
from tests.serve.server import Server, wait_until
from tests.snapshots import make_snapshot
from tests.store.replicas import KEEP_ALL, push_to

_CAMPAIGN = "DEPLOY_CAMPAIGN"
_PROGRAMS = ("prometheus", "prometheus-node-exporter")


@pytest.fixture
def targets(tmp_path):
    """Addresses by job: a real server, and the registries of the others on ports of their own.

    The replicas are those that a real node exporter finds in a text file.
    """
    if not os.environ.get(_CAMPAIGN) or not all(map(shutil.which, _PROGRAMS)):
        pytest.skip("a real Prometheus runs by `.ci/campaigns deploy`")
    (store := tmp_path / "store").mkdir()
    make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    with contextlib.ExitStack() as stack:
        replicas = _report_of_a_replica(store, tmp_path)
        addresses = {"node": stack.enter_context(_node_exporter(replicas, tmp_path))}
        server = stack.enter_context(Server(store, tmp_path, "--workers", "1"))
        server.get("/recommend/zoe")
        addresses["serve"] = f"{server.host}:{server.port}"
        for process in PROCESSES:
            (folder := tmp_path / process).mkdir()
            http, thread = start_http_server(0, "127.0.0.1", registry_of(process, folder))
            stack.callback(thread.join)
            stack.callback(http.server_close)
            stack.callback(http.shutdown)
            addresses[process] = f"127.0.0.1:{http.server_port}"
        yield addresses


def _report_of_a_replica(store, tmp_path):
    """Push a store, pull it once, and return the directory of what `status --metrics` prints."""
    push_to(there := tmp_path / "there", store)
    pull(tmp_path / "replica", Remote(str(there)), KEEP_ALL, ReplicaSettings("a"))
    (folder := tmp_path / "replicas").mkdir()
    with (folder / "replicas.prom").open("w") as output:
        subprocess.run(
            [sys.executable, "-m", "store", "status", there, "--metrics"], stdout=output, check=True
        )
    return folder


@contextlib.contextmanager
def _node_exporter(folder, tmp_path):
    """Run Debian's node exporter for the text files of a directory; yield its address."""
    log = tmp_path / "node-exporter.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
             f"--collector.textfile.directory={folder}", "--web.listen-address=127.0.0.1:0"],
            stderr=output,
        )  # fmt: skip
    try:
        yield wait_until(lambda: _address(log, process))
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def prometheus(tmp_path, targets):
    """Run Debian's Prometheus with our files, other targets and a shorter interval."""
    folder = shutil.copytree(PROMETHEUS, tmp_path / "prometheus")
    file = folder / "prometheus.yml"
    file.write_text(file.read_text().replace("_interval: 15s", "_interval: 1s"))
    groups = [{"targets": [address], "labels": {"job": job}} for job, address in targets.items()]
    (folder / "targets.yml").write_text(yaml.safe_dump(groups))
    log = tmp_path / "prometheus.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={file}", f"--storage.tsdb.path={tmp_path}/tsdb",
             "--web.listen-address=127.0.0.1:0"],
            stderr=output,
        )  # fmt: skip
    try:
        address = f"http://{wait_until(lambda: _address(log, process))}"
        wait_until(lambda: _is_ready(address))
        yield address
    finally:
        process.terminate()
        process.wait()


def _address(log, process):
    assert process.poll() is None, log.read_text()
    for line in log.read_text().splitlines():
        if "Listening on" in line:
            return line.partition("address=")[2].split()[0]
    return None


def _is_ready(address):
    try:
        with urllib.request.urlopen(f"{address}/-/ready") as response:
            return response.status == 200
    except OSError:  # it answers 503 at first
        return False


def ask(prometheus, path, **parameters):
    """Return the data of an answer of Prometheus' API; an error of the query fails."""
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url) as response:
        answer = json.load(response)
    assert answer["status"] == "success", answer
    return answer["data"]


def test_every_query_is_answered(prometheus, targets):
    """All targets are scraped, all metrics are there, each query is valid, each rule loaded."""

    def jobs_up():
        return {
            found["metric"]["job"] for found in ask(prometheus, "query", query="up == 1")["result"]
        }

    wait_until(lambda: jobs_up() == targets.keys())
    wanted = {name for text in expressions() for name in metrics_in(text)}
    wait_until(lambda: wanted <= set(ask(prometheus, "label/__name__/values")))
    for query in queries():
        ask(prometheus, "query", query=query)
    served = ask(prometheus, "query", query='marquee_generation{job="serve"}')["result"]
    assert [found["value"][1] for found in served] == ["1"]
    groups = ask(prometheus, "rules")["groups"]
    loaded = {rule["name"] for group in groups for rule in group["rules"]}
    assert alerts().keys() <= loaded
    assert all(rule["health"] != "err" for group in groups for rule in group["rules"])


def test_a_dead_server_is_a_pending_alert(prometheus, targets, tmp_path):
    """The twin: what no longer answers is down, and the alert waits for its two minutes."""
    del targets["serve"]
    dead = [{"targets": ["127.0.0.1:1"], "labels": {"job": "serve"}}]
    (tmp_path / "prometheus" / "targets.yml").write_text(yaml.safe_dump(dead))

    def is_pending():
        found = ask(prometheus, "alerts")["alerts"]
        states = {alert["labels"]["alertname"]: alert["state"] for alert in found}
        return states.get("MarqueeServerDown") == "pending"

    wait_until(is_pending, seconds=60)
