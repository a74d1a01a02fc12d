"""The files of deploy/, read for tests: alerts, dashboards and the metrics that they name."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"


def read_yaml(path):
    """Return the one document of a file."""
    return yaml.safe_load(path.read_text())


def rules():
    """Return every rule: those that record, and the alerts."""
    return [
        rule for group in read_yaml(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]
    ]


def alerts():
    """Return every alert by name."""
    found = [rule for rule in rules() if "alert" in rule]
    by_name = {rule["alert"]: rule for rule in found}
    assert len(by_name) == len(found)
    return by_name


def dashboards():
    """Return every dashboard by the name of its file."""
    files = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}


def queries():
    """Return every expression of the dashboards: of panels, and of annotations."""
    return [
        entry["expr"]
        for board in dashboards().values()
        for entry in (
            *board["annotations"]["list"],
            *(target for panel in board["panels"] for target in panel["targets"]),
        )
    ]


def expressions():
    """Return every expression of rules and dashboards."""
    return [*(rule["expr"] for rule in rules()), *queries()]


def metrics_in(expression):
    """Return the names of metrics in an expression, without those that rules record."""
    without_texts = re.sub(r'"[^"]*"', '""', expression)
    return set(re.findall(r"(?<![\w:])marquee_\w+", without_texts))


def check(program, *arguments, cwd=None):
    """Run a program that checks files; skip where it is not installed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed: `.ci/campaigns deploy` installs it")
    done = subprocess.run(
        [path, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr
