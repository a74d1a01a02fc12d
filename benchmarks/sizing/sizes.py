"""The sizes that are measured, and the file that they are recorded in: JSON, one line a size."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from batch.capacity.sizes import DataSize
from benchmarks.harness.errors import BenchmarkError
from benchmarks.sizing.measure import Measured, Shape, measure
from benchmarks.sizing.on_spark import OnSpark, measure_on_spark

SHAPES: Final = (
    Shape(25_000, 20_000, 2_000_000, "als"),
    Shape(50_000, 5_000, 2_000_000, "als"),
    Shape(200_000, 5_000, 2_000_000, "als"),
    Shape(100_000, 10_000, 5_000_000, "als", is_rated=False),
    Shape(100_000, 10_000, 5_000_000, "als"),
    Shape(150_000, 8_000, 6_000_000, "als", is_held_out=True),
    Shape(20_000, 2_000, 500_000, "auto"),
    Shape(50_000, 5_000, 1_000_000, "auto"),
    Shape(20_000, 8_000, 400_000, "auto"),
    Shape(40_000, 4_000, 700_000, "auto", is_held_out=True),
)
SPARK_SHAPES: Final = (
    Shape(20_000, 2_000, 600_000, "als"),
    Shape(25_000, 20_000, 2_500_000, "als"),
    Shape(50_000, 5_000, 2_500_000, "als"),
    Shape(200_000, 5_000, 2_500_000, "als"),
    Shape(100_000, 2_000, 5_000_000, "als"),
    Shape(100_000, 10_000, 5_000_000, "als"),
    Shape(600_000, 5_000, 3_000_000, "als"),
    Shape(300_000, 3_000, 4_000_000, "als"),
    Shape(150_000, 8_000, 6_000_000, "als", is_held_out=True),
    Shape(250_000, 6_000, 8_000_000, "als", is_held_out=True),
)
QUICK_SHAPES: Final = (
    Shape(400, 100, 4_000, "als"),
    Shape(800, 100, 8_000, "als"),
    Shape(600, 150, 6_000, "als", is_held_out=True),
)
_SPARK_FIELD: Final = "executor_seconds"


class Sizes(NamedTuple):
    """Measured sizes.

    Attributes:
        local: Refreshed by the local engine, pushed and served.
        spark: Refreshed by both engines.
    """

    local: list[Measured]
    spark: list[OnSpark]


def measure_sizes(
    shapes: Iterable[Shape], seed: int, serving_seconds: int, record: Path | None
) -> list[Measured]:
    """Measure sizes by the local engine, and record each as soon as it is measured.

    Args:
        shapes: Sizes to measure.
        seed: Random seed of the services.
        serving_seconds: Length of the load on each server; 0: not served.
        record: File to add the sizes to.
    """
    sizes = []
    for shape in shapes:
        sizes.append(measure(shape, seed, serving_seconds))
        _record(sizes[-1], record)
    return sizes


def measure_sizes_on_spark(
    shapes: Iterable[Shape], seed: int, record: Path | None
) -> list[OnSpark]:
    """Measure sizes by both engines, and record each as soon as it is measured.

    Args:
        shapes: Sizes to measure.
        seed: Random seed of the services.
        record: File to add the sizes to.
    """
    sizes = []
    for shape in shapes:
        sizes.append(measure_on_spark(shape, seed))
        _record(sizes[-1], record)
    return sizes


def read_sizes(file: Path) -> Sizes:
    """Return the recorded sizes.

    Raises:
        BenchmarkError: The file cannot be read, or has other lines.
    """
    try:
        sizes = Sizes([], [])
        for line in file.read_text().splitlines():
            found = from_line(line)
            if isinstance(found, OnSpark):
                sizes.spark.append(found)
            else:
                sizes.local.append(found)
    except (OSError, ValueError) as error:
        raise BenchmarkError(file, f"cannot be read: {error}", "record it with --record") from error
    return sizes


def to_line(found: Measured | OnSpark) -> str:
    """Return a measured size as one line, which `from_line` reads."""
    parts = {"shape": found.shape._asdict(), "size": found.size._asdict()}
    return json.dumps(found._asdict() | parts)


def from_line(line: str) -> Measured | OnSpark:
    """Return what `to_line` wrote.

    Raises:
        ValueError: The line is not such a one.
    """
    try:
        found = json.loads(line)
        kind = OnSpark if _SPARK_FIELD in found else Measured
        parts = {"shape": Shape(**found["shape"]), "size": DataSize(**found["size"])}
        return kind(**found | parts)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a measurement: {error}") from error


def _record(found: Measured | OnSpark, record: Path | None) -> None:
    if record:
        with record.open("a") as file:
            file.write(f"{to_line(found)}\n")
