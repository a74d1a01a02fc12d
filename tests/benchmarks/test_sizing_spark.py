"""Sizing on Spark: known laws are found again, plans use them, real processes are counted."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batch.capacity.sizes import DataSize
from benchmarks.harness.descendants import DescendantSeconds
from benchmarks.harness.processes import wait_until
from benchmarks.sizing.__main__ import main
from benchmarks.sizing.costs import Prices, costs
from benchmarks.sizing.fit_spark import errors_on_spark, figures_on_spark, fit_on_spark
from benchmarks.sizing.measure import Measured, Shape
from benchmarks.sizing.on_spark import OnSpark, measure_on_spark
from benchmarks.sizing.sizes import from_line, to_line

_MIB = 1 << 20
_HAS_PYSPARK = importlib.util.find_spec("pyspark") is not None
_BURNING = """
import os, signal, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # as Spark's daemon of Python workers does
if child := os.fork():
    print(child, flush=True)
    sys.stdin.read()
else:
    while time.process_time() < 0.3:
        pass
    print("burnt", flush=True)
    signal.pause()
"""


def on_spark(users, items, views, *, is_held_out=False):
    """Return a size whose figures follow a law: once, and for each of what it depends on."""
    size = DataSize(users, items, views, views // 2)
    events, share = size.views + size.ratings, sampled_share(size)
    sums = 2 * (events // 2_000_000 + 1) * items
    sweeps = {"sweeps": 3 + 2e-6 * events + 1e-4 * sums} if share < 1 else {}
    tables = {"events": 1e-5 * events, "users": 1e-8 * users * items, "write": 2 + 1e-5 * users}
    memory = 200 + 1e-4 * events * share + 1e-3 * users * share
    return OnSpark(
        Shape(users, items, views, "als", is_held_out=is_held_out),
        size,
        local_seconds={"events": 1e-5 * events},
        driver_seconds={"train": 2 + 1e-6 * events * share, "write": 3e-5 * users},
        executor_seconds={"catalogue": 9} | tables | sweeps,
        driver_mib={"train": memory, "write": 150},
        elapsed_seconds={"events": 7e-6 * events},
        local_elapsed_seconds={"events": 7e-6 * events},
        shard_bytes=_MIB + 900 * users,
    )


def sampled_share(size):
    """Return the share of the users that the driver trains on: 300 views an item, or 2 million."""
    return min(1, max(300 * size.items, 2_000_000) / size.views)


_SIZES = [
    on_spark(10_000, 1_000, 1_000_000),
    on_spark(80_000, 1_000, 4_000_000),
    on_spark(20_000, 9_000, 5_000_000),
    on_spark(50_000, 4_000, 9_000_000),
    on_spark(300_000, 2_000, 3_000_000),
    on_spark(600_000, 7_000, 7_000_000),
    on_spark(30_000, 12_000, 1_500_000),
]
_HELD_OUT = on_spark(200_000, 6_000, 9_000_000, is_held_out=True)
_LOCAL = Measured(
    Shape(50_000, 4_000, 900_000, "als"),
    DataSize(50_000, 4_000, 900_000, 450_000),
    {"events": 20.0},
    {"events": 900.0},
    history_bytes=20_000_000,
    snapshot_bytes=100 * _MIB,
    pushed_bytes=100 * _MIB,
    requests_per_core=20_000.0,
)


def test_known_laws_are_found_again():
    """Far beyond the sizes that were fitted, with sweeps and without."""
    model = fit_on_spark(_SIZES)
    for one in (_HELD_OUT, on_spark(10**9, 100_000, 2 * 10**10), on_spark(10**8, 10**5, 10**7)):
        assert errors_on_spark(model, one) == pytest.approx(
            dict.fromkeys(errors_on_spark(model, one), 0), abs=0.01
        )


def test_time_that_grows_faster_than_the_model_shows_in_the_error():
    """The twin: sweeps whose time grows with the square of the events are not met."""
    bent = [
        one._replace(executor_seconds={"sweeps": 1e-12 * one.size.views**2})
        for one in [*_SIZES, _HELD_OUT]
    ]
    assert abs(errors_on_spark(fit_on_spark(bent[:-1]), bent[-1])["spark_seconds"]) > 0.1


def test_all_processor_time_is_that_of_driver_executors_and_sweeps():
    found = figures_on_spark(_HELD_OUT)
    parts = (found[name] for name in ("driver_seconds", "executor_seconds", "sweep_seconds"))
    assert found["spark_seconds"] == pytest.approx(sum(parts))
    assert found["driver_mib"] == pytest.approx(200 + 1e-4 * 3_000_000 + 1e-3 * 200_000 * 2 / 9)


def test_the_driver_is_not_divided():
    """Three machines of 10 cores: 10 hours of the driver stay 10, 30 of the executors become 1."""
    figures = {
        "nightly_seconds": 10 * 3600.0, "peak_mib": 250 * 1024.0, "history_bytes": 0.0,
        "snapshot_bytes": 0.0, "pushed_bytes": 0.0, "requests_per_core": 1000.0,
        "driver_seconds": 10 * 3600.0, "spark_seconds": 40 * 3600.0, "driver_mib": 2048.0,
    }  # fmt: skip
    prices = Prices(cores=10, memory_gib=100.0, parallel_share=0.0, auto_over_als=1.0)
    found = costs(figures, 1_000_000, prices)
    assert (found.machines, found.driver_gib) == (3, 2)
    assert found.core_hours == pytest.approx(40)
    assert found.hours == pytest.approx(10 + 1)
    assert found.overhead == pytest.approx(4)


def test_plans_take_the_measured_overhead(tmp_path, capsys):
    """Of a cluster alone; where Spark was not measured, the plan says that it is assumed."""
    record, picture = tmp_path / "sizing.jsonl", tmp_path / "sizing.svg"
    record.write_text(f"{to_line(_LOCAL)}\n")
    arguments = ["--measured", str(record), "--users", "1000000", "1000000000"]
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert plans(output.out)["overhead", 10**9] == 1.5
    assert "1.5, assumed" in output.err

    record.write_text("".join(f"{to_line(one)}\n" for one in [_LOCAL, *_SIZES, _HELD_OUT]))
    assert main([*arguments, "--picture", str(picture)]) == 0
    output = capsys.readouterr()
    found = plans(output.out)
    figures = fit_on_spark(_SIZES).figures(DataSize(10**9, 100_000, 2 * 10**10, 128 * 10**8))
    assert found["core_hours", 10**9] == pytest.approx(figures["spark_seconds"] * 1.13 / 3600)
    assert found["driver_gib", 10**9] == pytest.approx(figures["driver_mib"] / 1024, rel=1e-3)
    assert found["overhead", 10**6] == 1
    assert found["driver_gib", 10**6] == 0
    assert "assumed" not in output.err
    assert "als, held out" in output.err
    assert len(re.findall("<polyline", picture.read_text())) == 6


def plans(output):
    """Return the value of each metric and number of users of the plans."""
    figures = [json.loads(line) for line in output.splitlines()]
    return {
        (one["metric"], one["users"]): one["value"] for one in figures if one["subject"] == "plan"
    }


@pytest.mark.skipif(_HAS_PYSPARK, reason="PySpark is installed")
def test_spark_that_is_asked_for_and_not_installed_is_an_error(tmp_path, capsys):
    record = tmp_path / "sizing.jsonl"
    record.write_text(f"{to_line(_LOCAL)}\n")
    assert main(["--measured", str(record), "--spark"]) == 1
    assert "sizing: PySpark: is not installed; pip install" in capsys.readouterr().err


def test_time_of_a_process_that_has_ended_is_kept():
    """Also where its parent is not told of it."""
    command = [sys.executable, "-c", _BURNING]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        lines = {parent.stdout.readline().strip() for _ in range(2)}
        [child] = (int(line) for line in lines - {"burnt"})
        below = DescendantSeconds(parent.pid)
        before = below.read()
        assert before >= 0.29
        os.kill(child, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{child}").exists())
        assert DescendantSeconds(parent.pid).read() == 0  # one that has not seen it
        assert below.read() >= before
        parent.communicate()


@pytest.mark.skipif(
    not os.environ.get("SPARK_CAMPAIGN"), reason="needs PySpark and Java: .ci/campaigns spark"
)
def test_both_engines_are_measured_on_the_same_data():
    """The JVM works where all users are passed over, and the driver where the sample is trained."""
    found = measure_on_spark(Shape(400, 100, 4_000, "als"), seed=42)
    assert set(found.executor_seconds) == set(found.driver_seconds)
    assert found.executor_seconds["events"] > 1
    assert found.executor_seconds["train"] < found.executor_seconds["events"]
    assert figures_on_spark(found)["spark_seconds"] > sum(found.local_seconds.values())
    assert from_line(to_line(found)) == found
    assert found.shard_bytes >= 8 * 2 * os.sysconf("SC_PAGE_SIZE")  # no file of LMDB is smaller
