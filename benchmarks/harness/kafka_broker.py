"""A real Kafka broker for tests and benchmarks: one node, KRaft, in a directory of its own.

var/kafka/libs/*.jar     fetched by `.ci/campaigns stream`; needs Java 17

python -m benchmarks.harness.kafka_broker      runs it until its input ends
"""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from confluent_kafka import Consumer, KafkaException

from benchmarks.harness.errors import NotInstalledError, RefusedError
from benchmarks.harness.servers import free_port

_LIBS: Final = Path(__file__).resolve().parents[2] / "var" / "kafka" / "libs"
_START_SECONDS: Final = 60.0
_CLUSTER_ID: Final = "MkU3OEVBNTcwNTJENDM2Qg"
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


def find_jars() -> Path | None:
    """Return the directory of Kafka's jars; None without them, or without Java."""
    return _LIBS if shutil.which("java") and any(_LIBS.glob("kafka_2.13-*.jar")) else None


@contextlib.contextmanager
def kafka_broker(libs: Path, folder: Path) -> Iterator[str]:
    """Run a broker, and yield its address.

    Args:
        libs: Directory of the jars.
        folder: Directory of its data, which is made.

    Raises:
        RefusedError: It does not start.
    """
    folder.mkdir(parents=True)
    port = free_port()
    properties = folder / "server.properties"
    properties.write_text(
        _PROPERTIES.format(port=port, controller=free_port(), folder=folder), encoding="utf-8"
    )
    java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    java += ["-cp", f"{libs}/*"]
    log_file = folder / "log"
    with log_file.open("wb") as log:
        subprocess.run(
            [*java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", properties],
            check=True,
            stdout=log,
            stderr=log,
        )
        process = subprocess.Popen([*java, "kafka.Kafka", properties], stdout=log, stderr=log)
    try:
        _wait(f"127.0.0.1:{port}", process, log_file)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait(bootstrap: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    """Wait until the broker answers."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "wait", "log_level": 0})
    deadline = time.monotonic() + _START_SECONDS
    try:
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(KafkaException):
                if consumer.list_topics(timeout=1.0).brokers:
                    return
    finally:
        consumer.close()
    raise RefusedError("Kafka broker", f"does not start: {log_file.read_text()[-500:]}")


def main() -> None:
    """Run a broker until the input ends; print its address."""
    libs = find_jars()
    if libs is None:
        raise NotInstalledError(
            "Kafka broker", "has no jars or no Java", "see benchmarks/README.md"
        )
    with (
        tempfile.TemporaryDirectory(prefix="marquee-kafka-") as name,
        kafka_broker(libs, Path(name) / "broker") as bootstrap,
    ):
        print(bootstrap, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
