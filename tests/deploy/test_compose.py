"""compose.yaml: valid, closed to the outside, and with commands and settings that exist."""

import fcntl
import importlib
import re
import subprocess

import pytest

from store.config import load_section
from tests.deploy.commands import check_command
from tests.deploy.files import DEPLOY, PROMETHEUS, ROOT, check, read_yaml

_FILE = DEPLOY / "compose.yaml"
_SERVICES = read_yaml(_FILE)["services"]
_OURS = [name for name, service in _SERVICES.items() if service["image"] == "marquee"]


def sections():
    """Return every section of marquee.toml with its class."""
    return {
        section: kind
        for package in ("batch", "stream", "serve", "store", "cron")
        for section, kind in importlib.import_module(f"{package}.__main__").SECTIONS.items()
    }


def test_the_checker_accepts_the_file(tmp_path):
    """compose-go, which docker compose is built of; and it refuses an unknown key."""
    status, text = check("compose-go", _FILE)
    assert status == 0, text
    broken = tmp_path / "compose.yaml"
    broken.write_text(_FILE.read_text().replace("read_only:", "readonly:"))
    assert check("compose-go", broken)[0] != 0


@pytest.mark.parametrize("name", _SERVICES)
def test_every_service_is_hardened(name):
    """Read-only root, no privileges, limits, a health check."""
    service = _SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert {"mem_limit", "pids_limit", "healthcheck"} <= service.keys()


def test_the_server_has_the_most_processor_time():
    """Ten times the weight of another service (1,024 shares) where all want a core."""
    shares = {name: one["cpu_shares"] for name, one in _SERVICES.items() if "cpu_shares" in one}
    assert shares == {"serve": 10 * 1024}


def test_only_the_server_is_reachable_from_outside():
    """Other ports are on loopback, or in a network that is closed."""
    ports = {name: service["ports"] for name, service in _SERVICES.items() if "ports" in service}
    assert ports == {"serve": ["8080:8080"], "grafana": ["127.0.0.1:3000:3000"]}
    assert read_yaml(_FILE)["networks"]["inside"]["internal"] is True
    outside = {name for name, service in _SERVICES.items() if "outside" in service["networks"]}
    assert outside == {"serve", "alertmanager", "grafana"}


@pytest.mark.parametrize("name", _OURS)
def test_our_services_start_with_valid_settings(name):
    """The command is known, and the file and the environment are accepted."""
    service = _SERVICES[name]
    check_command(service["command"])
    for section, kind in sections().items():
        load_section(section, kind, DEPLOY / "marquee.toml", service.get("environment", {}))


@pytest.mark.parametrize("folder", [".", "compose"])
def test_prometheus_scrapes_the_ports_of_the_settings(folder):
    """Each process on its default port, in the service that runs it; cron on that of its unit."""
    defaults = {section: kind() for section, kind in sections().items()}
    ports = {
        "serve": defaults["serve"].port,
        "collect": defaults["stream"].metrics_port,
        **{job: defaults[job].metrics_port for job in ("fresh", "online", "watch")},
        "cron": _port_of_cron(folder),
    }
    groups = read_yaml(PROMETHEUS / folder / "targets.yml")
    found = {group["labels"]["job"]: group["targets"][0].rpartition(":") for group in groups}
    assert {job: int(port) for job, (_, _, port) in found.items()} == ports
    hosts = {job: host for job, (host, _, _) in found.items()}
    inside = {job: "collect" if job == "fresh" else job for job in ports}
    assert hosts == (inside if folder == "compose" else dict.fromkeys(ports, "127.0.0.1"))


def _port_of_cron(folder):
    key = "MARQUEE_CRON_METRICS_PORT"
    if folder == "compose":
        return int(_SERVICES["cron"]["environment"][key])
    unit = (DEPLOY / "systemd" / "marquee-cron.service").read_text()
    return int(re.findall(rf"^Environment={key}=(\d+)$", unit, re.MULTILINE)[0])


def test_what_is_mounted_exists():
    """A missing file would be made as a directory."""
    mounts = [
        volume.split(":")[0] for service in _SERVICES.values() for volume in service["volumes"]
    ]
    paths = [DEPLOY / mount for mount in mounts if mount.startswith("./")]
    assert len(paths) > 5
    assert all(path.exists() for path in paths)


def test_the_image_is_given_what_it_copies():
    """`.dockerignore` leaves everything out but what it names."""
    given = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split()}
    copies = re.findall(r"^COPY (?!--)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    wanted = {word for words in copies for word in words.split()}
    assert {"stream", "requirements.lock"} <= wanted
    assert wanted <= given


def test_the_scheduler_is_healthy_while_it_holds_its_lock(tmp_path):
    """Its health check succeeds only then."""
    kind, command = _SERVICES["cron"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"

    def is_healthy():
        shell = ["sh", "-c", command.replace("$$", "$")]
        return subprocess.run(shell, cwd=tmp_path, check=False).returncode == 0

    assert not is_healthy()
    (tmp_path / "var" / "cron").mkdir(parents=True)
    with (tmp_path / "var" / "cron" / "LOCK").open("w") as lock:
        assert not is_healthy()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_healthy()
