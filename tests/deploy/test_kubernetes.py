"""The kustomization: valid, restricted, and with commands and settings that exist."""

import pytest
import yaml

from store.config import load_section
from tests.deploy.commands import check_command
from tests.deploy.files import DEPLOY, check, read_yaml
from tests.deploy.test_compose import sections

_FOLDER = DEPLOY / "kubernetes"


def documents():
    """Return every object of the files that the kustomization names."""
    names = read_yaml(_FOLDER / "kustomization.yaml")["resources"]
    files = [
        _FOLDER / name / "replicas.yaml" if name == "replicas" else _FOLDER / name for name in names
    ]
    return [found for file in files for found in yaml.safe_load_all(file.read_text())]


def pods():
    """Return the specification of every pod by the name of what makes it."""
    found = {}
    for one in documents():
        spec = one.get("spec", {})
        spec = spec["jobTemplate"]["spec"] if one["kind"] == "CronJob" else spec
        if "template" in spec:
            found[one["metadata"]["name"]] = spec["template"]["spec"]
    return found


def containers():
    """Return every container by pod and name."""
    return {
        (pod, container["name"]): container
        for pod, spec in pods().items()
        for container in (*spec.get("initContainers", []), *spec["containers"])
    }


def test_the_schemas_accept_the_kustomization(tmp_path):
    """kubernetes-validate has Kubernetes' own schemas; and it refuses an unknown key."""
    status, text = check("kubectl", "kustomize", _FOLDER)
    assert status == 0, text
    file = tmp_path / "all.yaml"
    file.write_text(text)
    status, text = check("kubernetes-validate", "--strict", file)
    assert status == 0, text
    assert text.count("passed") == len(list(yaml.safe_load_all(file.read_text())))
    file.write_text(file.read_text().replace("readinessProbe", "readynessProbe"))
    assert check("kubernetes-validate", "--strict", file)[0] != 0


@pytest.mark.parametrize("pod", pods())
def test_pods_are_restricted(pod):
    """The namespace enforces it, so that a pod that is not would never start."""
    spec = pods()[pod]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for (of, _), container in containers().items():
        if of == pod:
            assert container["securityContext"] == {
                "readOnlyRootFilesystem": True,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("pod", pods())
def test_variables_of_services_are_switched_off(pod):
    """MARQUEE_PORT of a Service named marquee would be refused as a setting."""
    assert pods()[pod]["enableServiceLinks"] is False


@pytest.mark.parametrize("place", containers(), ids="-".join)
def test_commands_exist(place):
    """Kubernetes puts the replicas' URL into the arguments."""
    arguments = containers()[place]["args"]
    check_command([word.replace("$(REPLICA_URL)", "s3://bucket/marquee") for word in arguments])


def test_the_configuration_is_valid():
    for section, kind in sections().items():
        load_section(section, kind, _FOLDER / "marquee.toml", {})


def test_a_disruption_leaves_a_replica():
    """Budget, replicas and roll-out: there is always one that serves."""
    by_kind = {
        (one["kind"], one["metadata"]["name"]): one["spec"] for one in documents() if "spec" in one
    }
    serve = by_kind["Deployment", "serve"]
    assert serve["replicas"] > by_kind["PodDisruptionBudget", "serve"]["maxUnavailable"]
    assert serve["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert by_kind["Service", "recommendations"]["selector"] == serve["selector"]["matchLabels"]
