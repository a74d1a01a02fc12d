"""The Spark engine on Spark: in one process, and on a standalone master with two workers.

`.ci/campaigns spark` runs them, in an environment that has PySpark.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from store.layout import generations
from store.pointer import current_or_none
from tests.histories import write_history
from tests.refreshes import files_by_name

_ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {
    "PYTHONPATH": str(_ROOT),
    "SPARK_LOCAL_IP": "127.0.0.1",
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",  # JVMs of seconds
    "SPARK_DRIVER_MEMORY": "1g",
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_EXECUTOR_MEMORY": "512m",
    "MARQUEE_BATCH_MODEL": "ials",
    "MARQUEE_BATCH_FOLD_IN": "on",
}
_MARK = "SPARK_CLUSTER_TEST"  # in the environment of a refresh and of all that it starts
_KILLS = {  # by the stage before: events, interactions, users, write
    "catalogue": signal.SIGKILL,
    "events": signal.SIGTERM,
    "served model": signal.SIGKILL,
    "fingerprint": signal.SIGKILL,
}
_SECONDS = 400

pytestmark = pytest.mark.skipif(
    not os.environ.get("SPARK_CAMPAIGN"), reason="needs PySpark and Java: .ci/campaigns spark"
)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_history(tmp_path_factory.mktemp("history"), n_users=300)


@pytest.fixture(scope="module")
def local_files(history, tmp_path_factory):
    """Files of the local engine's snapshot."""
    folder = tmp_path_factory.mktemp("local")
    status, log = refreshed(history, folder, "local")
    assert status == 0, log
    return files_of(folder)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A standalone master and two workers of one core; their URL, and the workers' processes."""
    import pyspark

    folder = tmp_path_factory.mktemp("cluster")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"spark://127.0.0.1:{port}"
    command = Path(pyspark.__file__).parent / "bin/spark-class"
    own = ("--host", "127.0.0.1", "--webui-port", "0")
    environment = os.environ | _ENVIRONMENT
    with contextlib.ExitStack() as running:

        def start(name, *arguments):
            log = running.enter_context((folder / f"{name}.log").open("wb"))
            role = f"org.apache.spark.deploy.{name.rstrip('12').lower()}.{name.rstrip('12')}"
            process = subprocess.Popen(
                [command, role, *own, *arguments], stdout=log, stderr=log, env=environment
            )
            running.callback(process.wait, 60)
            running.callback(process.terminate)
            return process

        start("Master", "--port", str(port))
        wait_for(lambda: "I have been elected leader" in (folder / "Master.log").read_text())
        workers = [
            start(f"Worker{n}", "-c", "1", "-m", "1g", "-d", str(folder / f"w{n}"), url)
            for n in (1, 2)
        ]
        for n in (1, 2):
            log = folder / f"Worker{n}.log"
            wait_for(lambda log=log: "Successfully registered" in log.read_text())
        yield url, workers


def wait_for(is_so):
    """Wait until a fact holds."""
    deadline = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_stage(name, running, log):
    """Wait until a refresh has finished a stage."""

    def is_finished():
        assert running.poll() is None, log.read_text()
        return re.search(rf"^{name} ", log.read_text(), re.M)

    wait_for(is_finished)


@contextlib.contextmanager
def refreshing(history, folder, engine, master="", **settings):
    """Run a refresh, whose output is in `folder/log`, and end it with the context.

    No process of it is left then: neither its JVM nor the Python processes of `local[N]`.
    """
    mark = str(folder / uuid.uuid4().hex)
    environment = os.environ | _ENVIRONMENT | settings | {_MARK: mark}
    options = ("--engine", engine, *(("--master", master) if master else ()))
    inputs = ("--events", history.events, "--catalogue", history.catalogue)
    profiles = ("--profiles", history.profiles, "--store", folder / "store")
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", "batch", "refresh", *options, *inputs, *profiles],
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
    with running:
        try:
            yield running
        finally:
            running.kill()
    wait_for(lambda: not marked_processes(mark))


def refreshed(history, folder, engine, master="", **settings):
    """Run a refresh to its end, and return its exit status and its output."""
    with refreshing(history, folder, engine, master, **settings) as running:
        return running.wait(_SECONDS), (folder / "log").read_text()


def marked_processes(mark):
    """Return the command lines, by process id, of those whose mark begins so."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{_MARK}={mark}".encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (process / "cmdline").read_bytes()
    return found


def jvm_of(folder):
    """Return the process id of the JVM of the refresh that runs in a folder, once it is there."""

    def found():
        return [
            one
            for one, command in marked_processes(str(folder)).items()
            if b"pyspark-shell" in command
        ]

    wait_for(found)
    return found()[0]


def files_of(folder):
    """Return the data files of the first snapshot."""
    files = files_by_name(folder / "store/snapshots/000001")
    return {name: files[name] for name in files if name.endswith((".mdb", ".npy", ".ann"))}


def executors_of(workers):
    """Return the processes that the workers have started and that still run.

    A worker was the shell of `spark-class` before, whose ended child nobody waits for.
    """
    found: list[str] = []
    for worker in workers:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{worker.pid}/task").iterdir():
                found += (task / "children").read_text().split()
    return [int(process) for process in found if not has_ended(process)]


def has_ended(process):
    """Return whether a process is gone, or a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_one_process_makes_the_local_engines_files(history, local_files, tmp_path):
    """Each byte, with partitions of a few users each; and no message but the stages."""
    partitions = {"MARQUEE_BATCH_SPARK_PARTITIONS": "5"}
    status, log = refreshed(history, tmp_path, "spark", "local[2]", **partitions)
    assert status == 0, log
    assert files_of(tmp_path) == local_files
    assert "pandas" not in log


@pytest.mark.parametrize(("given", "mib"), [(None, 3072), ("700m", 700)])
def test_a_jvm_that_is_the_executor_has_its_memory(given, mib):
    """Three GB, unless the environment says otherwise."""
    environment = {**os.environ, **_ENVIRONMENT, "SPARK_DRIVER_MEMORY": given or ""}
    if given is None:
        del environment["SPARK_DRIVER_MEMORY"]
    code = (
        "from batch.spark.session import spark_session\n"
        "with spark_session('local[1]', 0) as session:\n"
        "    runtime = session.sparkContext._jvm.java.lang.Runtime\n"
        "    print(runtime.getRuntime().maxMemory() >> 20)\n"
    )
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert 0.9 * mib < int(output.stdout.split()[-1]) <= mib  # less one survivor space


def test_sweeps_have_the_same_bits_where_an_executor_is_killed(history, cluster, tmp_path):
    """Of a sample of a fifth of the users; in one process, and with an executor lost in a sweep."""
    url, workers = cluster
    few = {"MARQUEE_BATCH_SPARK_SAMPLE": "500", "MARQUEE_BATCH_SPARK_PARTITIONS": "5"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    status, output = refreshed(history, whole, "spark", "local[2]", **few)
    assert status == 0, output
    assert re.search("^sweeps ", output, re.M)
    with refreshing(history, killed, "spark", url, **few) as running:
        wait_for_stage("trial", running, killed / "log")
        wait_for(lambda: executors_of(workers) or running.poll() is not None)
        os.kill(executors_of(workers)[0], signal.SIGKILL)
        assert running.wait(_SECONDS) == 0, (killed / "log").read_text()
    assert files_of(killed) == files_of(whole)


def test_a_killed_executor_in_each_stage_changes_nothing(history, local_files, cluster, tmp_path):
    """Its tasks are done again elsewhere, and the files are the local engine's."""
    url, workers = cluster
    with refreshing(history, tmp_path, "spark", url) as running:
        log = tmp_path / "log"
        for stage_before in ("catalogue", "events", "served model"):
            wait_for_stage(stage_before, running, log)
            wait_for(lambda: executors_of(workers) or running.poll() is not None)
            assert running.poll() is None, log.read_text()
            os.kill(executors_of(workers)[0], signal.SIGKILL)
        assert running.wait(_SECONDS) == 0, log.read_text()
    assert files_of(tmp_path) == local_files


def test_a_killed_driver_in_each_stage_frees_the_cluster(history, local_files, cluster, tmp_path):
    """Nothing is published, no executor is left, and the next refresh finds free cores.

    Each of these is the next one of that before; the last has the local engine's files.
    """
    url, workers = cluster
    log, store = tmp_path / "log", tmp_path / "store"
    for stage_before, how in _KILLS.items():
        with refreshing(history, tmp_path, "spark", url) as running:
            wait_for_stage(stage_before, running, log)
            wait_for(lambda: executors_of(workers))
            running.send_signal(how)
            assert running.wait(_SECONDS) == -how
        wait_for(lambda: not executors_of(workers))
        assert current_or_none(store) is None
        assert generations(store) == []  # the files of a killed write are the next one's to remove
    status, output = refreshed(history, tmp_path, "spark", url)
    assert status == 0, output
    assert files_of(tmp_path) == local_files


def test_a_killed_jvm_is_said_in_one_sentence(history, cluster, tmp_path):
    """The driver's Python ends by itself; the cluster is free, and the store is not made."""
    url, workers = cluster
    with refreshing(history, tmp_path, "spark", url) as running:
        wait_for_stage("catalogue", running, tmp_path / "log")
        wait_for(lambda: executors_of(workers))
        os.kill(jvm_of(tmp_path), signal.SIGKILL)
        assert running.wait(_SECONDS) == 1
    assert failure(tmp_path).startswith(
        "refresh failed: Spark, reading events: the JVM of the driver has ended; "
    )
    wait_for(lambda: not executors_of(workers))
    assert not (tmp_path / "store").exists()


def test_a_cluster_that_gives_no_executor_is_an_error(history, cluster, tmp_path):
    """Here no worker has the memory; on a master without workers, it is the same wait."""
    url, workers = cluster
    limits = {"SPARK_EXECUTOR_MEMORY": "2g", "MARQUEE_BATCH_SPARK_WAIT_SECONDS": "3"}
    status, log = refreshed(history, tmp_path, "spark", url, **limits)
    assert status == 1
    assert f"{url}: the cluster has given no executor for 3 s: " in failure(tmp_path), log
    assert executors_of(workers) == []
    assert not (tmp_path / "store").exists()


def test_what_listens_there_and_is_not_a_master_is_named(history, tmp_path):
    """A port that answers nothing: Spark gives up after a minute, and the store is not made."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"spark://127.0.0.1:{silent.getsockname()[1]}"
        status, log = refreshed(history, tmp_path, "spark", url)
    assert status == 1
    assert f"{url}: what listens there does not accept an application" in failure(tmp_path), log
    assert not (tmp_path / "store").exists()


def failure(folder):
    """Return the sentence that a refresh has failed with; Py4J's own messages may follow it."""
    lines = (folder / "log").read_text().splitlines()
    return next(line for line in lines if line.startswith("refresh failed: "))
