"""One size, measured on Spark and on the local engine in turn, with the same data.

                ┌─► local ─► processor time
    history ────┤
                └─► Spark ─► processor time of the driver │ of the JVM and its Python workers
                             memory of the driver         │ shard files

With `local[2]` the JVM is executor and driver in one, so its time is all counted as the executors'.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Any, Final, NamedTuple

from batch.capacity.sizes import DataSize
from benchmarks.harness.descendants import DescendantSeconds
from benchmarks.harness.errors import BenchmarkError
from benchmarks.refresh.timed import refresh_command, time_refresh
from benchmarks.sizing.measure import Shape, bytes_below, generated, size_of
from store.layout import snapshot_folder
from store.pointer import current

_POLL_SECONDS: Final = 0.2
N_PROCESSORS: Final = 2
_MASTER: Final = f"local[{N_PROCESSORS}]"  # all processes of such a master are below the driver
_ENVIRONMENT: Final = {
    "MARQUEE_BATCH_SHARDS": "8",  # a service beyond one machine has some
    "SPARK_DRIVER_MEMORY": "2g",  # of the JVM, which is the executor, too
}
_STAGE: Final = re.compile(r"(.{14}) *\d+\.\d\d s")  # as `batch.stages` prints it


class OnSpark(NamedTuple):
    """Time and memory of one size by both engines.

    Attributes:
        shape: What was generated.
        size: What the refresh counted in it.
        local_seconds: Processor time of the local engine by stage.
        driver_seconds: Processor time of Spark's driver by stage, the Python process alone.
        executor_seconds: Processor time by stage of the processes below the driver: the JVM and
            its Python workers.
        driver_mib: Peak memory of the driver by stage, the Python process alone.
        elapsed_seconds: Elapsed time on Spark by stage.
        local_elapsed_seconds: Elapsed time of the local engine by stage.
        shard_bytes: Size of the shard files.
    """

    shape: Shape
    size: DataSize
    local_seconds: Mapping[str, float]
    driver_seconds: Mapping[str, float]
    executor_seconds: Mapping[str, float]
    driver_mib: Mapping[str, float]
    elapsed_seconds: Mapping[str, float]
    local_elapsed_seconds: Mapping[str, float]
    shard_bytes: int


def measure_on_spark(shape: Shape, seed: int) -> OnSpark:
    """Measure one size, cold, in shards.

    Args:
        shape: Size of the generated service, and model.
        seed: Random seed of the service.

    Raises:
        SystemExit: The refresh by the local engine failed.
        BenchmarkError: The refresh on Spark failed.
    """
    with generated(shape, seed) as (folder, inputs), _environment():
        local = time_refresh(folder / "local", inputs, shape.model).summary
        cluster = [*inputs, "--engine", "spark", "--master", _MASTER]
        store = folder / "spark"
        with refresh_command(store, cluster, shape.model) as command:
            summary, executor_seconds = _run(command, folder)
        return OnSpark(
            shape,
            size_of(summary),
            local["cpu_seconds"],
            summary["cpu_seconds"],
            executor_seconds,
            summary["peak_mib"],
            summary["seconds"],
            local["seconds"],
            bytes_below(snapshot_folder(store, current(store)), "recs.*.mdb"),
        )


def _run(command: Sequence[str], folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Run a refresh; return its summary, and the processor time below it by stage."""
    output, log = folder / "summary.json", folder / "log"
    seconds: dict[str, float] = {}
    with output.open("w") as out, log.open("w") as err, log.open() as lines:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        try:
            below, before = DescendantSeconds(process.pid), 0.0
            while (status := process.poll()) is None:
                sleep(_POLL_SECONDS)
                total = below.read()
                for stage in _ended(lines):
                    seconds[stage] = total - before
                    before = total
        except BaseException:  # Ctrl-C, too: its JVM ends with it
            process.kill()
            process.wait()
            raise
    if status:
        raise BenchmarkError("refresh on Spark", log.read_text()[-1000:], "see its last line")
    return json.loads(output.read_text()), seconds


def _ended(lines: Iterator[str]) -> Iterator[str]:
    """Yield the stages that have ended since the last call, and show their lines."""
    for line in lines:
        print(line, end="", file=sys.stderr)
        if match := _STAGE.fullmatch(line.rstrip("\n")):
            yield match[1].rstrip()


@contextmanager
def _environment() -> Iterator[None]:
    """Set what the environment does not have yet, until the context ends."""
    missing = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]
