"""The session: one connection to the master, with our code shipped to the executors.

Executors need the same Python packages as the driver; `batch` and `store` are sent to them.
Whatever else a cluster needs is configured as always with Spark, in `spark-defaults.conf`.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from batch.errors import EngineError
from batch.spark.master import check_master
from batch.spark.watch import executors_required

_ROOT: Final = Path(__file__).resolve().parents[2]
_SHIPPED: Final = ("batch", "store")
_LOOPBACK: Final = "127.0.0.1"
_LOCAL_PARTITIONS: Final = 8  # of 200 by default, each of which takes a moment
_LOCAL_MEMORY: Final = "3g"  # of 1g by default, in which a million users find no room
# The JVM moves few rows, whose values are blocks. To compile loops over rows, and to look at one
# job's results before the next, takes longer than these loops run.
_FEW_ROWS: Final = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.defaultJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.executor.defaultJavaOptions": "-XX:TieredStopAtLevel=1",
}
_SETTINGS: Final = {
    **_FEW_ROWS,
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
}


@contextlib.contextmanager
def spark_session(master: str, max_wait_seconds: float) -> Iterator[Any]:
    """Yield a session of PySpark, which ends with the context.

    Args:
        master: URL of the master.
        max_wait_seconds: Time that jobs wait for an executor; 0: no limit.

    Raises:
        EngineError: PySpark or Java is missing, the master does not answer, or gives no
            executor.
    """
    check_master(master)
    _check_java()
    for name in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        os.environ.setdefault(name, sys.executable)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        # Batches of Arrow alone go to and fro, so that the version of pandas does not matter.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        session = _started(master)
        try:
            context = session.sparkContext
            with job_errors("sending the code"):
                context.addPyFile(str(_package(Path(folder) / "marquee.zip")))
            with executors_required(context, master, max_wait_seconds):
                yield session
        finally:
            with _jvm_may_be_gone():
                session.stop()


def _started(master: str) -> Any:
    builder = _builder(master)
    try:
        return builder.getOrCreate()
    except Exception as error:  # of Py4J, of PySpark, or of the JVM's start
        problem, remedy = f"Spark cannot start: {_first_line(error)}", None
        if "stopped SparkContext" in problem:  # by Spark, which has given up
            from pyspark import __version__ as version

            problem = f"what listens there does not accept an application of Spark {version}"
            remedy = "check that it is a master of this version, and not the port of its page"
        raise EngineError(f"[batch] spark_master {master}", problem, remedy) from error


@contextlib.contextmanager
def job_errors(what: str) -> Iterator[None]:
    """Turn what Spark raises into an error of the batch.

    Args:
        what: What the jobs make, for the message.

    Raises:
        EngineError: A job has failed.
    """
    from py4j.protocol import Py4JError, Py4JNetworkError
    from pyspark.errors import PySparkException

    try:
        yield
    except (Py4JNetworkError, ConnectionError, EOFError) as error:
        raise EngineError(f"Spark, {what}", "the JVM of the driver has ended") from error
    except (Py4JError, PySparkException) as error:
        raise EngineError(f"Spark, {what}", f"the job failed: {_first_line(error)}") from error


def _jvm_may_be_gone() -> contextlib.suppress:
    """Return the context of a last call to a JVM that may have ended before."""
    from py4j.protocol import Py4JError

    return contextlib.suppress(Py4JError, ConnectionError)


def _builder(master: str) -> Any:
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise EngineError(
            "[batch] engine",
            "PySpark is not installed",
            "install the extra `spark`: pip install 'pyspark>=4.1'; or set engine = \"local\"",
        ) from error
    if master.startswith("local"):  # the JVM is the executor, too; spark-defaults.conf goes first
        os.environ.setdefault("SPARK_DRIVER_MEMORY", _LOCAL_MEMORY)
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


def _package(path: Path) -> Path:
    """Write the packages that executors import as a zip file, compiled once for all of them."""
    with zipfile.PyZipFile(str(path), "w") as archive:
        for name in _SHIPPED:
            archive.writepy(str(_ROOT / name))
    return path


def _first_line(error: BaseException) -> str:
    """Return the line of a message that says most: of Python's error in a task, or of Java's."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    raised = [line for line in lines if ": " in line and line.split(":")[0].endswith("Error")]
    of_java = [line.removeprefix(": ") for line in lines if line.startswith(": ")]
    return [type(error).__name__, *lines[:1], *of_java[:1], *raised][-1][:300]


def collected(frame: Any) -> list[dict[str, Any]]:
    """Return all rows of a DataFrame.

    They come as Arrow: `collect` loses rows in silence if the thread that serves them ends for
    want of memory, and takes several times as much of it.
    """
    rows: list[dict[str, Any]] = frame.toArrow().to_pylist()
    return rows
