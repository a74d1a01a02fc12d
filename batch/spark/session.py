"""The session: one connection to the master, with our code shipped to the executors.

Executors need the same Python packages as the driver; `batch` and `store` are sent to them.
Whatever else a cluster needs is configured as always with Spark, in `spark-defaults.conf`.
"""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from batch.errors import EngineError

_ROOT: Final = Path(__file__).resolve().parents[2]
_SHIPPED: Final = ("batch", "store")
_LOOPBACK: Final = "127.0.0.1"
_LOCAL_PARTITIONS: Final = 8  # of 200 by default, each of which takes a moment
_CONNECT_SECONDS: Final = 5.0
_SETTINGS: Final = {
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}


@contextlib.contextmanager
def spark_session(master: str) -> Iterator[Any]:
    """Yield a session of PySpark, which ends with the context.

    Args:
        master: URL of the master.

    Raises:
        EngineError: PySpark or Java is missing, or the master does not answer.
    """
    _check_reachable(master)
    _check_java()
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        os.environ.setdefault(name, sys.executable)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        # Batches of Arrow alone go to and fro, so that the version of pandas does not matter.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        session = _started(master)
        try:
            session.sparkContext.addPyFile(str(_package(Path(folder) / "marquee.zip")))
            yield session
        finally:
            session.stop()


def _started(master: str) -> Any:
    builder = _builder(master)
    try:
        return builder.getOrCreate()
    except Exception as error:  # of Py4J, of PySpark, or of the JVM's start
        raise EngineError(
            f"[batch] spark_master {master}",
            f"Spark cannot start: {_first_line(error)}",
            "check the URL, such as local[2] or spark://host:7077, and `java -version` (17)",
        ) from error


@contextlib.contextmanager
def job_errors(what: str) -> Iterator[None]:
    """Turn what Spark raises into an error of the batch.

    Args:
        what: What the jobs make, for the message.

    Raises:
        EngineError: A job has failed.
    """
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JError, PySparkException, ConnectionError) as error:
        raise EngineError(f"Spark, {what}", f"the job failed: {_first_line(error)}") from error


def _builder(master: str) -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise EngineError(
            "[batch] engine",
            "PySpark is not installed",
            "install the extra `spark`: pip install 'pyspark>=4'; or set engine = \"local\"",
        ) from error
    builder = SparkSession.builder.appName("marquee refresh").master(master)
    if _is_local(master):
        builder = builder.config("spark.sql.shuffle.partitions", str(_LOCAL_PARTITIONS))
        builder = builder.config("spark.driver.host", _LOOPBACK)
        builder = builder.config("spark.driver.bindAddress", _LOOPBACK)
    for name, value in _SETTINGS.items():
        builder = builder.config(name, value)
    return builder


def _is_local(master: str) -> bool:
    host = urlsplit(master).hostname if master.startswith("spark:") else None
    return master.startswith("local") or host in (_LOOPBACK, "localhost")


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = Path(home, "bin", "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        raise EngineError(
            "[batch] engine", "Spark needs Java", "install Java 17, or set JAVA_HOME to it"
        )


def _check_reachable(master: str) -> None:
    """Check that a standalone master listens; Spark itself would try for minutes."""
    if not master.startswith("spark:"):
        return
    try:
        for address in master.removeprefix("spark://").split(","):
            host, _, port = address.rpartition(":")
            with socket.create_connection((host, int(port)), _CONNECT_SECONDS):
                pass
    except (OSError, ValueError) as error:
        raise EngineError(
            f"[batch] spark_master {master}",
            f"the master cannot be reached: {error}",
            "check the URL, spark://host:7077, and that the master runs",
        ) from error


def _package(path: Path) -> Path:
    """Write the packages that executors import as a zip file, compiled once for all of them."""
    with zipfile.PyZipFile(str(path), "w") as archive:
        for name in _SHIPPED:
            archive.writepy(str(_ROOT / name))
    return path


def _first_line(error: BaseException) -> str:
    """Return the first line of a message; that of Python's own error in a task, if there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if ": " in line and line.split(":")[0].endswith("Error")]
    return (raised or lines or [type(error).__name__])[-1 if raised else 0][:300]
