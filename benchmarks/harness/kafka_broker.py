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
from pathlib import Path
from typing import Final, Self

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


class KafkaBroker:
    """A broker that can be killed and started again with its data. A context manager.

    Args:
        libs: Directory of the jars.
        folder: Directory of its data, which is made.

    Attributes:
        bootstrap: Address of the broker, `host:port`.

    Raises:
        RefusedError: It does not start.
    """

    def __init__(self, libs: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        port = free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self._properties = folder / "server.properties"
        self._log = folder / "log"
        text = _PROPERTIES.format(port=port, controller=free_port(), folder=folder)
        self._properties.write_text(text, encoding="utf-8")
        self._java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        self._java += ["-cp", f"{libs}/*"]
        formatting = [*self._java, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID]
        with self._log.open("wb") as log:
            subprocess.run(
                [*formatting, "-c", self._properties], check=True, stdout=log, stderr=log
            )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the broker, and wait until it answers.

        Raises:
            RefusedError: It does not start.
        """
        command = [*self._java, "kafka.Kafka", str(self._properties)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait(self.bootstrap, self._process, self._log)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill the broker; its data stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


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
        KafkaBroker(libs, Path(name) / "broker") as broker,
    ):
        print(broker.bootstrap, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
