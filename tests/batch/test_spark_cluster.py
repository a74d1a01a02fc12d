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
from pathlib import Path

import pytest

from store.pointer import current_or_none
from tests.histories import write_history
from tests.refreshes import files_by_name

_ROOT = Path(__file__).resolve().parents[2]
TABLE_FILES = ("recs.mdb", "factors.mdb", "seen.mdb")
_ENVIRONMENT = {
    "PYTHONPATH": str(_ROOT),
    "SPARK_LOCAL_IP": "127.0.0.1",
    "SPARK_DRIVER_MEMORY": "1g",
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_EXECUTOR_MEMORY": "512m",
    "MARQUEE_BATCH_MODEL": "ials",
    "MARQUEE_BATCH_FOLD_IN": "on",
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
    done = refresh(history, folder, "local", "")
    assert done.wait(_SECONDS) == 0, (folder / "log").read_text()
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


def refresh(history, folder, engine, master, **settings):
    """Start a refresh whose output is in `folder/log`."""
    environment = os.environ | _ENVIRONMENT | settings
    options = ("--engine", engine, *(("--master", master) if master else ()))
    inputs = ("--events", history.events, "--catalogue", history.catalogue)
    profiles = ("--profiles", history.profiles, "--store", folder / "store")
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "batch", "refresh", *options, *inputs, *profiles],
            cwd=folder, env=environment, stdout=log, stderr=log,
        )  # fmt: skip


def files_of(folder):
    """Return the data files of the first snapshot."""
    files = files_by_name(folder / "store/snapshots/000001")
    return {name: files[name] for name in files if name.endswith((".mdb", ".npy", ".ann"))}


def executors_of(workers):
    """Return the processes that the workers have started and that still run."""
    found = []
    for worker in workers:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{worker.pid}/task").iterdir():
                found += (task / "children").read_text().split()
    return [int(process) for process in found]


def test_one_process_makes_the_local_engines_files(history, local_files, tmp_path):
    """Each byte, with partitions of a few users each; and no message but the stages."""
    done = refresh(history, tmp_path, "spark", "local[2]", MARQUEE_BATCH_SPARK_PARTITIONS="5")
    assert done.wait(_SECONDS) == 0, (tmp_path / "log").read_text()
    assert files_of(tmp_path) == local_files
    assert "pandas" not in (tmp_path / "log").read_text()


def test_a_killed_executor_in_each_stage_changes_nothing(history, local_files, cluster, tmp_path):
    """Its tasks are done again elsewhere, and the files are the local engine's."""
    url, workers = cluster
    running = refresh(history, tmp_path, "spark", url)
    log = tmp_path / "log"
    for stage_before in ("catalogue", "events", "served model"):
        wait_for_stage(stage_before, running, log)
        wait_for(lambda: executors_of(workers) or running.poll() is not None)
        assert running.poll() is None, log.read_text()
        os.kill(executors_of(workers)[0], signal.SIGKILL)
    assert running.wait(_SECONDS) == 0, log.read_text()
    assert files_of(tmp_path) == local_files


def test_a_killed_driver_leaves_the_store_as_it_was(history, local_files, cluster, tmp_path):
    """Nothing is published; the next refresh has the same generation and the same files."""
    url, _ = cluster
    running = refresh(history, tmp_path, "spark", url)
    wait_for_stage("interactions", running, tmp_path / "log")
    running.kill()
    running.wait()
    assert current_or_none(tmp_path / "store") is None
    assert [*(tmp_path / "store").glob("snapshots/*")] == []
    done = refresh(history, tmp_path, "spark", "local[2]")
    assert done.wait(_SECONDS) == 0, (tmp_path / "log").read_text()
    assert files_of(tmp_path) == local_files


def test_a_master_that_is_not_one_is_named(history, tmp_path):
    """A URL of no kind that Spark takes, and the store is not made."""
    done = refresh(history, tmp_path, "spark", "sparc:host")
    assert done.wait(_SECONDS) == 1
    assert "[batch] spark_master sparc:host: Spark cannot start" in (tmp_path / "log").read_text()
    assert not (tmp_path / "store").exists()
