"""The rules of alerts, Alertmanager's example, and the metrics that they and dashboards name."""

import re
from collections import defaultdict

import pytest
import yaml

from serve.resources.metrics import _SHOWN_BUCKETS
from store.arms import start_experiment
from store.commands.status import _METRICS
from tests.deploy.files import (
    PROMETHEUS,
    alerts,
    check,
    expressions,
    metrics_in,
    queries,
    read_yaml,
    rules,
)
from tests.deploy.registries import PROCESSES, registry_of
from tests.experiments import experiment_of
from tests.serve.server import Server, wait_until
from tests.snapshots import make_snapshot


@pytest.mark.parametrize("process", PROCESSES)
def test_metrics_of_stream_and_scheduler_are_registered(process, tmp_path):
    """Rules and dashboards name no metric of a process that it does not have, and some it has."""
    prefix = f"marquee_{process}_"
    named = {name for text in expressions() for name in metrics_in(text) if name.startswith(prefix)}
    assert named
    registered = set(registry_of(process, tmp_path)._names_to_collectors)
    assert named - registered == set()


def test_metrics_of_the_server_are_answered(tmp_path):
    """Every other metric is one that a real server answers, in an experiment."""
    others = tuple(f"marquee_{process}_" for process in (*PROCESSES, "replica"))
    named = {name for text in expressions() for name in metrics_in(text)}
    named = {name for name in named if not name.startswith(others)}
    (store := tmp_path / "store").mkdir()
    for _ in range(2):
        make_snapshot(store, {"ann": ["alien"]}, ["brazil"])
    start_experiment(store, experiment_of(2, 1), "made by a test")
    seen = ("marquee_request_seconds_bucket", "marquee_arm_request_seconds_bucket")
    with Server(store, tmp_path, "--workers", "1") as server:
        server.get("/recommend/zoe")

        def is_seen():
            server.get("/recommend/ann")  # one of 16 is timed
            return all(name in server.get("/metrics").text for name in seen)

        wait_until(is_seen)
        answered = set(re.findall(r"^(marquee_\w+)", server.get("/metrics").text, re.MULTILINE))
    assert "marquee_requests_total" in named
    assert named - answered == set()


def test_metrics_of_replicas_are_printed():
    """By `store status --metrics`."""
    named = {name for text in expressions() for name in metrics_in(text)}
    named = {name for name in named if name.startswith("marquee_replica_")}
    assert named
    assert named <= {f"marquee_replica_{name}" for name in _METRICS}


def test_buckets_in_expressions_exist():
    """An `le` that no bucket has would select nothing, and an alert would never fire."""
    served = {f"{(1 << bucket) / 1e9:g}" for bucket in _SHOWN_BUCKETS}
    limits = {
        (name, limit)
        for text in expressions()
        for name, limit in re.findall(r'(marquee_\w+)_bucket\{[^}]*\ble="([^"]+)"', text)
    }
    assert {limit for name, limit in limits if name == "marquee_request_seconds"} <= served
    assert {name for name, _ in limits} == {
        "marquee_request_seconds",
        "marquee_fresh_event_seconds",
    }
    assert ("marquee_fresh_event_seconds", "100.0") in limits


def test_recorded_series_exist():
    """Expressions name no series that no rule records."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = {name for text in expressions() for name in re.findall(r"marquee:[\w:]+", text)}
    assert named <= recorded


def test_each_alert_is_tested_both_ways():
    """The unit tests have a case where it fires, and one where it does not."""
    fires = defaultdict(set)
    for group in read_yaml(PROMETHEUS / "alerts_test.yml")["tests"]:
        for case in group["alert_rule_test"]:
            fires[case["alertname"]].add(bool(case["exp_alerts"]))
    assert fires == {name: {True, False} for name in alerts()}


def test_promtool_accepts_the_configuration():
    """The configuration, and the rules that it loads."""
    status, text = check("promtool", "check", "config", "prometheus.yml", cwd=PROMETHEUS)
    assert status == 0, text


def test_promtool_refuses_a_broken_rule(tmp_path):
    """The twin: the check finds what it should."""
    broken = (PROMETHEUS / "alerts.yml").read_text().replace("absent(", "absents(")
    (tmp_path / "alerts.yml").write_text(broken)
    status, text = check("promtool", "check", "rules", tmp_path / "alerts.yml")
    assert status != 0
    assert "absents" in text


def test_promtool_runs_the_unit_tests():
    """Each alert fires when it should, and is quiet else."""
    status, text = check("promtool", "test", "rules", "alerts_test.yml", cwd=PROMETHEUS)
    assert status == 0, text


def test_promtool_parses_every_query(tmp_path):
    """Queries of dashboards are expressions of Prometheus."""
    file = tmp_path / "queries.yml"
    recorded = [{"record": f"q{n}", "expr": text} for n, text in enumerate(queries())]
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": recorded}]}))
    status, text = check("promtool", "check", "rules", file)
    assert status == 0, text
    assert f"{len(recorded)} rules found" in text


def test_amtool_accepts_the_example():
    """Pages and tickets have receivers."""
    status, text = check("amtool", "check-config", PROMETHEUS / "alertmanager.yml")
    assert status == 0, text
    severities = {rule["labels"]["severity"] for rule in alerts().values()}
    assert severities == {"page", "ticket"}
    for severity in severities:
        status, text = check(
            "amtool", "config", "routes", "test", f"severity={severity}",
            "--config.file", PROMETHEUS / "alertmanager.yml",
        )  # fmt: skip
        assert status == 0, text
        assert f"{severity}s" in text.splitlines()
