"""Servers and pulls on machines of their own, which are cut off: nothing is lost, all catch up.

Three machines in network namespaces, each with a store, a server and `pull --watch`; the
remote is an S3 server behind the hub, or a directory. All of it are real processes.
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from store.config import StoreSettings
from store.layout import generations, snapshot_folder
from store.manifest import verify
from store.pointer import current
from store.prune import prune
from store.publish import pin, rollback, unpin, writing
from store.signing import make_key
from store.takedown import restore, take_down
from tests.snapshots import make_snapshot
from tests.store.conftest import ROOT
from tests.store.network import HUB, HUB_ADDRESS, Network, may_make_namespaces
from tests.store.replicas import flip_a_bit, snapshot_files

if not os.environ.get("REPLICAS_CAMPAIGN"):
    pytest.skip("a campaign of some minutes: .ci/campaigns replicas", allow_module_level=True)
if not may_make_namespaces():
    pytest.skip("needs root, iproute2 and network namespaces", allow_module_level=True)

NAMES = ("a", "b", "c")
POLL_SECONDS = 0.5
LEAD_SECONDS = 3.0
MAX_WAIT_SECONDS = 10.0
REACH_SECONDS = 20.0  # in which each change reaches all machines, lead and slow processes included
MAX_SKEW_SECONDS = 2.0  # between the first and the last server that answers from a generation
START_SECONDS = 120.0
MIB_PER_SECOND = 4
LARGE = b"a large index" * 1_300_000  # 17 MB: four seconds at that rate
S3_PORT, SERVER_PORT = 5000, 8080
SETTINGS = f"""[replica]
barrier = ["a", "b", "c"]
lead_seconds = {LEAD_SECONDS}
report_seconds = 1
max_wait_seconds = {MAX_WAIT_SECONDS}
max_mib_per_second = {MIB_PER_SECOND}
[store]
trusted_keys = ["KEY"]
[serve]
user = "root"
"""


def say(line):
    """Show a figure of the campaign; `-s` lets it through."""
    sys.stderr.write(f"{line}\n")


def wait_until(is_true, seconds=REACH_SECONDS):
    """Wait for a fact."""
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() - began < seconds, f"not true within {seconds} s"
        time.sleep(0.02)


class S3Remote:
    """A bucket of an S3 server at the hub."""

    url = "s3://bucket/marquee"

    def __init__(self, network, folder):
        self._network = network
        self.log = folder / "s3.log"
        with self.log.open("w") as log:
            arguments = [sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", S3_PORT]
            self._server = network.popen(HUB, arguments, stdout=log, stderr=log)
        wait_until(self._is_up, START_SECONDS)
        self._request("PUT", "/bucket")

    def url_of(self, _name):
        return self.url

    def cut(self, name):
        self._network.cut(name)

    def reconnect(self, name):
        self._network.reconnect(name)

    def read(self, file):
        """Return the content of a file, None if it is missing."""
        status, content = self._request("GET", f"/bucket/marquee/{file}")
        return content if status == 200 else None

    def damage(self, file):
        content = bytearray(self.read(file))
        content[len(content) // 2] ^= 1
        self._request("PUT", f"/bucket/marquee/{file}", bytes(content))

    def remove(self, file):
        self._request("DELETE", f"/bucket/marquee/{file}")

    def n_fetched(self, file):
        """Return how often machines have fetched a file, each in one request or more."""
        return self.log.read_text().count(f'"GET /bucket/marquee/{file} ')

    def stop(self):
        self._server.terminate()
        self._server.wait(30)

    def _is_up(self):
        with contextlib.suppress(OSError):
            return self._request("GET", "/")[0] == 200
        return False

    def _request(self, method, path, body=None):
        connection = http.client.HTTPConnection(HUB_ADDRESS, S3_PORT, timeout=10)
        connection.sock = self._network.connect(HUB, HUB_ADDRESS, S3_PORT)
        with contextlib.closing(connection):
            key = "Credential=here/20260101/us-east-1/s3/aws4_request"
            headers = {"Authorization": f"AWS4-HMAC-SHA256 {key}"}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()


class DirectoryRemote:
    """A directory that each machine has mounted: a symbolic link, which is removed to cut it."""

    def __init__(self, _network, folder):
        self._folder = folder
        self.there = folder / "there"
        self.there.mkdir()
        self.url = str(self.there)
        for name in NAMES:
            self.reconnect(name)

    def url_of(self, name):
        return str(self._folder / f"mount-{name}")

    def cut(self, name):
        (self._folder / f"mount-{name}").unlink()

    def reconnect(self, name):
        (self._folder / f"mount-{name}").symlink_to(self.there)

    def read(self, file):
        try:
            return (self.there / file).read_bytes()
        except FileNotFoundError:
            return None

    def damage(self, file):
        flip_a_bit(self.there / file)

    def remove(self, file):
        (self.there / file).unlink()

    def n_fetched(self, _file):
        return None  # a directory keeps no log

    def stop(self):
        pass


class Machine:
    """A machine with a store, a server and a pull that watches."""

    def __init__(self, network, remote, folder, name):
        self.network, self.remote, self.name = network, remote, name
        self.folder = folder / f"machine-{name}"
        self.folder.mkdir()
        key = str(folder / "push.key.pub")
        (self.folder / "marquee.toml").write_text(SETTINGS.replace("KEY", key))
        self.store = self.folder / "store"
        self.log = self.folder / "pull.log"
        self.processes = []

    def start(self):
        watching = ["store", "--store", self.store, "pull", self.remote.url_of(self.name)]
        serving = ["serve", "--store", self.store, "--bare", "--workers", 1, "--port", SERVER_PORT]
        for arguments, log in (
            ([*watching, "--watch", POLL_SECONDS], self.log),
            (serving, self.folder / "server.log"),
        ):
            with log.open("a") as file:
                command = [sys.executable, "-m", *arguments]
                environ = environment(MARQUEE_REPLICA_NAME=self.name)
                self.processes.append(
                    self.network.popen(
                        self.name, command, cwd=self.folder, env=environ, stderr=file
                    )
                )

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(60)
        self.processes.clear()

    def answer(self):
        """Return generation and body of an answer of the server; None while there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", SERVER_PORT)
        try:
            connection.sock = self.network.connect(self.name, "127.0.0.1", SERVER_PORT)
            with contextlib.closing(connection):
                connection.request("GET", "/recommend/ann")
                answer = connection.getresponse()
                generation = answer.headers["X-Marquee-Generation"]
                return (int(generation) if generation else None, answer.read().decode())
        except OSError:
            return (None, "")

    def serves(self, generation):
        return self.answer()[0] == generation

    def report(self):
        content = self.remote.read(f"replicas/{self.name}.json")
        return json.loads(content) if content else {"ready": None, "current": None, "problem": ""}


def environment(**added):
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("MARQUEE_")}
    s3 = {
        "AWS_ACCESS_KEY_ID": "here",
        "AWS_SECRET_ACCESS_KEY": "only",
        "AWS_ENDPOINT_URL": f"http://{HUB_ADDRESS}:{S3_PORT}",
    }
    return inherited | s3 | {"PYTHONPATH": str(ROOT)} | added


class Fleet:
    """The machine that pushes, at the hub, and those that pull."""

    def __init__(self, network, remote, folder):
        self.network, self.remote = network, remote
        self.origin, self.key = folder / "origin", folder / "push.key"
        make_key(self.key)
        self.machines = {name: Machine(network, remote, folder, name) for name in NAMES}

    def publish(self, index=b"small", keep=100):
        generation = make_snapshot(
            self.origin, {"ann": ["x", "y"]}, ["x", "z"], index=index, spares={"ann": ["w"]}
        )
        with writing(self.origin):
            prune(self.origin, keep)
        self.push()
        return generation

    def push(self):
        self.pushed_at = time.monotonic()
        done = self.marquee("push", self.remote.url)
        assert done.returncode == 0, done.stderr

    def marquee(self, *arguments):
        """Run `python -m store` at the hub."""
        command = [sys.executable, "-m", "store", "--store", self.origin, *arguments]
        process = self.network.popen(
            HUB,
            command,
            cwd=self.machines["a"].folder,
            env=environment(MARQUEE_STORE_SIGNING_KEY=str(self.key)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def all_serve(self, generation, names=NAMES):
        return all(self.machines[name].serves(generation) for name in names)

    def wait_for(self, generation, names=NAMES, seconds=REACH_SECONDS):
        wait_until(lambda: self.all_serve(generation, names), seconds)
        took = time.monotonic() - self.pushed_at
        say(f"generation {generation} on {', '.join(names)}: {took:.1f} s after the push began")

    def is_ready(self, generation, names=NAMES):
        return all(self.machines[name].report()["ready"] == generation for name in names)


class Sampler:
    """Asks each server all the time, and records when it first answers from a generation."""

    def __init__(self, fleet, generation):
        self._fleet, self._generation = fleet, generation
        self.first_at: dict[str, float] = {}
        self._threads = [threading.Thread(target=self._sample, args=(name,)) for name in NAMES]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in self._threads:
            thread.join()

    def _sample(self, name):
        deadline = time.monotonic() + 2 * REACH_SECONDS
        while time.monotonic() < deadline:
            if self._fleet.machines[name].serves(self._generation):
                self.first_at[name] = time.time()
                return
            time.sleep(0.01)


@pytest.fixture(scope="module", params=[S3Remote, DirectoryRemote], ids=["s3", "directory"])
def fleet(request, tmp_path_factory):
    """Three machines that serve generation 1."""
    folder = tmp_path_factory.mktemp("fleet")
    with contextlib.ExitStack() as undo:
        network = undo.enter_context(Network(NAMES))
        remote = request.param(network, folder)
        undo.callback(remote.stop)
        fleet = Fleet(network, remote, folder)
        fleet.publish()
        for machine in fleet.machines.values():
            undo.callback(machine.stop)
            machine.start()
        fleet.wait_for(1, seconds=START_SECONDS)
        yield fleet


def test_a_publish_reaches_all_at_one_time(fleet):
    """No server answers from it before all have it in place."""
    began = time.time()
    with Sampler(fleet, generation := current(fleet.origin) + 1) as sampler:
        fleet.publish()
    assert set(sampler.first_at) == set(NAMES)
    first, last = min(sampler.first_at.values()), max(sampler.first_at.values())
    say(f"published in {last - began:.1f} s, {last - first:.2f} s between the servers")
    ready_at = [machine.report()["ready_at"] for machine in fleet.machines.values()]
    assert first > max(ready_at)
    assert last - first < MAX_SKEW_SECONDS
    assert last - began < REACH_SECONDS
    assert fleet.is_ready(generation)


def test_rollback_takedown_and_pin_reach_all_but_the_dead_at_once(fleet):
    """And the dead one when it is back."""
    generation = fleet.publish()
    fleet.wait_for(generation)
    fleet.remote.cut("c")
    rollback(fleet.origin, "bad lists")
    take_down(fleet.origin, ["x"], "rights ended")
    fleet.push()
    fleet.wait_for(generation - 1, ("a", "b"))
    wait_until(lambda: all(fleet.machines[n].answer()[1].startswith("y,w") for n in "ab"))
    assert fleet.machines["c"].answer() == (generation, "x,y")

    pin(fleet.origin, "festival", generation)
    fleet.publish()  # a later one, which the pin holds back
    fleet.wait_for(generation, ("a", "b"))
    fleet.remote.reconnect("c")
    wait_until(lambda: fleet.machines["c"].answer()[1].startswith("y,w"))
    fleet.wait_for(generation)

    restore(fleet.origin, ["x"], "renewed")
    newest = unpin(fleet.origin, "over")
    fleet.push()
    fleet.wait_for(newest)
    assert {machine.answer() for machine in fleet.machines.values()} == {(newest, "x,y")}


def test_a_machine_that_was_off_for_a_week_catches_up(fleet):
    """All of its generations were pruned at the origin; the others did not wait for it."""
    fleet.machines["c"].stop()
    had = set(generations(fleet.machines["c"].store))
    for _ in range(7):
        newest = fleet.publish(keep=2)
    fleet.wait_for(newest, ("a", "b"), REACH_SECONDS + MAX_WAIT_SECONDS)
    assert had.isdisjoint(generations(fleet.origin))
    status = json.loads(fleet.marquee("status", fleet.remote.url, "--json").stdout)
    states = {entry["replica"]: entry["state"] for entry in status["replicas"]}
    assert states == {"a": "ok", "b": "ok", "c": "no reports"}
    fleet.machines["c"].start()
    fleet.wait_for(newest, seconds=START_SECONDS)
    node = fleet.machines["c"].store
    assert snapshot_files(node, newest) == snapshot_files(fleet.origin, newest)
    assert len(generations(node)) <= StoreSettings().keep
    assert fleet.marquee("status", fleet.remote.url).returncode == 0


def test_a_damaged_file_is_fetched_once_and_reported(fleet):
    """The old generation is served; a repair is followed."""
    served = current(fleet.origin)
    fleet.remote.cut("a"), fleet.remote.cut("b"), fleet.remote.cut("c")
    generation = fleet.publish(index=b"index" * 100_000)
    file = f"snapshots/{generation:06d}/items.ann"
    fleet.remote.damage(file)
    n_before = fleet.remote.n_fetched(file)
    for name in NAMES:
        fleet.remote.reconnect(name)
    problem = f"{file}: does not match its SHA256SUMS"
    machines = fleet.machines.values()
    wait_until(lambda: all(problem in one.report()["problem"] for one in machines))
    n_once = fleet.remote.n_fetched(file)
    time.sleep(6 * POLL_SECONDS)
    assert fleet.remote.n_fetched(file) == n_once
    if n_once is not None:
        assert n_once == n_before + len(NAMES)
    assert [one.log.read_text().count(problem) for one in machines] == [1, 1, 1]
    assert fleet.all_serve(served)
    fleet.remote.remove(file)
    fleet.push()
    fleet.wait_for(generation)


def test_a_machine_that_is_cut_off_during_its_pull(fleet):
    """It takes as long as the rate says; the others leave the machine out, and it catches up."""
    began = time.monotonic()
    generation = fleet.publish(index=LARGE)
    part = fleet.machines["c"].store / f"pulling/snapshots/{generation:06d}/items.ann.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 1 << 20)
    fleet.remote.cut("c")
    if fleet.remote.n_fetched("") is None:  # what is open stays open: a directory has no link
        fleet.machines["c"].stop()
    fleet.wait_for(generation, ("a", "b"), REACH_SECONDS + MAX_WAIT_SECONDS)
    assert time.monotonic() - began > len(LARGE) / (MIB_PER_SECOND << 20)
    assert "is served without c: " in fleet.machines["a"].log.read_text()
    assert not fleet.machines["c"].serves(generation)
    fleet.remote.reconnect("c")
    if not fleet.machines["c"].processes:
        fleet.machines["c"].start()
    fleet.wait_for(generation, seconds=2 * REACH_SECONDS + START_SECONDS)
    verify(snapshot_folder(fleet.machines["c"].store, generation))


def test_a_machine_that_is_cut_off_once_all_are_ready_flips_with_the_others(fleet):
    """The time of the flip is agreed by then; afterwards it serves what the others do."""
    with Sampler(fleet, generation := current(fleet.origin) + 1) as sampler:
        fleet.publish()
        wait_until(lambda: fleet.is_ready(generation))
        time.sleep(LEAD_SECONDS / 2)  # all have looked by now
        fleet.remote.cut("c")
    fleet.remote.reconnect("c")
    assert set(sampler.first_at) == set(NAMES)
    spread = max(sampler.first_at.values()) - min(sampler.first_at.values())
    say(f"{spread:.2f} s between the servers")
    assert spread < MAX_SKEW_SECONDS
    wait_until(lambda: fleet.machines["c"].report()["current"] == generation)


def test_a_machine_that_is_cut_off_before_it_is_ready_is_left_out(fleet):
    """The others wait no longer than the setting says; it follows when it is back."""
    fleet.remote.cut("c")
    time.sleep(POLL_SECONDS)
    generation = fleet.publish()
    wait_until(lambda: fleet.is_ready(generation, ("a", "b")))
    assert not fleet.all_serve(generation, ("a", "b"))
    fleet.wait_for(generation, ("a", "b"), MAX_WAIT_SECONDS + REACH_SECONDS)
    assert not fleet.machines["c"].serves(generation)
    fleet.remote.reconnect("c")
    fleet.wait_for(generation, seconds=2 * REACH_SECONDS)
