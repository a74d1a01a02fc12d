"""The users in shards, on Kubernetes and by compose: valid, and routes, pods and settings agree."""

import re
import shlex

import pytest
import yaml

from benchmarks.harness.servers import free_port
from serve.__main__ import main
from store.config import load_section
from store.replica_settings import ReplicaSettings
from tests.deploy.commands import check_command
from tests.deploy.files import DEPLOY, check, read_yaml
from tests.deploy.test_compose import sections
from tests.nginx_process import running_nginx

_FOLDER = DEPLOY / "kubernetes-shards"
_COMPOSE = DEPLOY / "compose.shards.yaml"
_SERVICES = read_yaml(_COMPOSE)["services"]
_ROUTES = {
    "kubernetes": (_FOLDER / "front.yaml", _FOLDER / "routes.conf"),
    "compose": (_COMPOSE, DEPLOY / "compose.routes.conf"),
}


@pytest.fixture(scope="module")
def objects():
    """Every object of the kustomization by kind and name."""
    status, text = check("kubectl", "kustomize", _FOLDER)
    assert status == 0, text
    return {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(text)}


def arguments_of_routes(file):
    """Return the arguments of `serve routes` in a file's comments."""
    [command] = re.findall(r"python -m serve routes((?:.*\\\n)+.*)", file.read_text())
    return shlex.split(command.replace("\\\n", " ").replace("#", " "))


def machines(file):
    """Return the shards of each machine that the routes of a file name."""
    named = (one.partition("=") for one in arguments_of_routes(file) if "=" in one)
    return {address.removesuffix(":8080"): shards for address, _, shards in named}


def variables(objects, container):
    """Return the variables that the ConfigMaps of a container hold."""
    maps = [one["configMapRef"]["name"] for one in container["envFrom"] if "configMapRef" in one]
    return {key: text for name in maps for key, text in objects["ConfigMap", name]["data"].items()}


def test_the_schemas_accept_the_kustomization(objects, tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump_all(objects.values()))
    status, text = check("kubernetes-validate", "--strict", file)
    assert status == 0, text
    assert text.count("passed") == len(objects)
    file.write_text(file.read_text().replace("serviceName", "serviceNames"))
    assert check("kubernetes-validate", "--strict", file)[0] != 0


@pytest.mark.parametrize("name", _ROUTES)
def test_the_routes_are_those_of_the_command(name, capsys):
    file, routes = _ROUTES[name]
    assert main(["routes", *arguments_of_routes(file)]) == 0
    assert capsys.readouterr().out == routes.read_text()


def test_nginx_accepts_the_front(tmp_path):
    """With the names of Services, which exist there alone, replaced by an address."""
    port = free_port()
    routes = (_FOLDER / "routes.conf").read_text().replace("listen 8080", f"listen {port}")
    with running_nginx(tmp_path, port, re.sub(r"shards-\d\d-serve-\d", "127.0.0.1", routes)):
        pass
    whole = (_FOLDER / "nginx.conf").read_text()
    whole = whole.replace("/tmp/", f"{tmp_path}/").replace("routes.conf", f"{tmp_path}/routes.conf")
    (tmp_path / "routes.conf").write_text(re.sub(r"shards-\d\d-serve-\d", "127.0.0.1", routes))
    (tmp_path / "whole.conf").write_text(whole)
    status, text = check("nginx", "-t", "-q", "-c", tmp_path / "whole.conf")
    assert status == 0, text


def test_each_route_leads_to_a_pod_that_has_the_shards(objects):
    """The Service of a machine selects one pod, whose two containers are given its shards."""
    routed = machines(_FOLDER / "front.yaml")
    assert len(routed) == 4
    for name, shards in routed.items():
        service = objects["Service", name]["spec"]
        assert service["ports"][0]["port"] == 8080
        group, _, number = name.rpartition("-")
        pods = objects["StatefulSet", group]["spec"]
        labels = pods["template"]["metadata"]["labels"]
        assert pods["serviceName"] == group
        assert int(number) < pods["replicas"]
        assert service["selector"] == {**labels, "apps.kubernetes.io/pod-index": number}
        for container in pods["template"]["spec"]["containers"]:
            given = variables(objects, container)
            assert given["MARQUEE_SERVE_SHARDS"] == given["MARQUEE_REPLICA_SHARDS"] == shards
            check_command([word.replace("$(REPLICA_URL)", "s3://b") for word in container["args"]])
            for section, kind in sections().items():
                load_section(section, kind, DEPLOY / "kubernetes" / "marquee.toml", given)


def test_every_shard_has_two_pods_and_all_flip_together(objects):
    routed = machines(_FOLDER / "front.yaml")
    numbers = [number for shards in routed.values() for number in shards.split(",")]
    assert sorted(numbers) == ["0", "0", "1", "1", "2", "2", "3", "3"]
    [refresh] = [one for (kind, _), one in objects.items() if kind == "CronJob"]
    pod = refresh["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["initContainers"][0]["env"] == [{"name": "MARQUEE_BATCH_SHARDS", "value": "4"}]
    pull = objects["StatefulSet", "shards-01-serve"]["spec"]["template"]["spec"]["containers"][1]
    replica = load_section("replica", ReplicaSettings, None, variables(objects, pull))
    assert set(replica.barrier) == routed.keys()
    assert pull["env"][0]["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_clients_reach_the_front_alone(objects):
    selector = {"app.kubernetes.io/component": "front"}
    assert objects["Service", "recommendations"]["spec"]["selector"] == selector
    [rule] = objects["NetworkPolicy", "clients"]["spec"]["ingress"]
    assert {"podSelector": {"matchLabels": selector}} in rule["from"]
    assert ("Deployment", "serve") not in objects
    pod = objects["Deployment", "front"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_checker_accepts_the_compose_files(tmp_path):
    status, text = check("compose-go", DEPLOY / "compose.yaml", _COMPOSE)
    assert status == 0, text
    broken = tmp_path / "compose.yaml"
    broken.write_text(_COMPOSE.read_text().replace("stop_signal:", "stop_signals:"))
    assert check("compose-go", DEPLOY / "compose.yaml", broken)[0] != 0


def test_the_services_of_a_shard_agree_with_the_routes():
    """Server, pull and route have the same number; each is hardened, and its settings valid."""
    routed = machines(_COMPOSE)
    assert _SERVICES["cron"]["environment"]["MARQUEE_BATCH_SHARDS"] == str(len(routed))
    for name in set(_SERVICES) - {"cron"}:
        service = _SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert {"mem_limit", "pids_limit", "healthcheck"} <= service.keys()
        if service["command"]:
            check_command(service["command"])
    for address, shard in routed.items():
        serve, pull = _SERVICES[f"serve-{shard}"], _SERVICES[f"pull-{shard}"]
        assert serve["networks"]["inside"]["ipv4_address"] == address
        assert serve["environment"]["MARQUEE_SERVE_SHARDS"] == shard
        assert pull["environment"]["MARQUEE_REPLICA_SHARDS"] == shard
        assert serve["volumes"][0] == pull["volumes"][0] == f"shard-{shard}:/marquee/var"
        for section, kind in sections().items():
            load_section(
                section, kind, DEPLOY / "marquee.toml", serve["environment"] | pull["environment"]
            )
