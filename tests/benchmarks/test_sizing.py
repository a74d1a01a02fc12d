"""Sizing: a law that is known is found again, and plans follow from it by hand."""

import json
import re

import pytest

from batch.capacity.sizes import DataSize
from benchmarks.sizing.__main__ import main
from benchmarks.sizing.costs import Prices, costs
from benchmarks.sizing.fit import errors, figures_of, fit
from benchmarks.sizing.measure import Measured, Shape
from benchmarks.sizing.sizes import to_line

MIB = 1 << 20


def measured(users, items, views, model="als", *, is_held_out=False):
    """Return a size whose figures follow a law: two stages, one of each kind."""
    ratings = views // 2
    return Measured(
        Shape(users, items, views, model, is_held_out=is_held_out),
        DataSize(users, items, views, ratings),
        {"events": 1e-6 * views, "top-k": 2 + 1e-4 * users + 1e-8 * users * items},
        {"events": 100 + 1e-4 * views, "top-k": 200 + 1e-3 * users},
        history_bytes=24 * views,
        snapshot_bytes=MIB + 2000 * users,
        pushed_bytes=MIB + 1900 * users,
        requests_per_core=20_000.0,
    )


SIZES = [
    measured(10_000, 1_000, 300_000),
    measured(80_000, 1_000, 400_000),
    measured(20_000, 9_000, 900_000),
    measured(50_000, 4_000, 5_000_000),
    measured(9_000, 7_000, 2_000_000),
    measured(30_000, 2_000, 800_000),
    measured(70_000, 9_000, 4_000_000),
    measured(1_000, 500, 20_000),
    measured(4_000, 3_000, 9_000_000),
    measured(300_000, 600, 7_000_000),
    measured(90_000, 12_000, 1_500_000),
    measured(2_000, 15_000, 3_000_000),
]
HELD_OUT = measured(200_000, 6_000, 9_000_000, is_held_out=True)


def test_a_known_law_is_found_again():
    """Far beyond the sizes that were fitted, the stage that is largest there decides."""
    model = fit(SIZES, "als")
    assert errors(model, HELD_OUT) == pytest.approx(
        dict.fromkeys(errors(model, HELD_OUT), 0), abs=0.01
    )
    far = measured(10**9, 100_000, 2 * 10**10)
    assert figures_of(far)["peak_mib"] == 100 + 1e-4 * 2e10
    assert model.figures(far.size)["peak_mib"] == pytest.approx(
        figures_of(far)["peak_mib"], rel=0.01
    )


def test_a_law_that_is_not_linear_shows_in_the_error():
    """The twin: time that grows with the square of the views is not met by the model."""
    bent = [
        one._replace(cpu_seconds={"events": 1e-9 * one.size.views**1.5})
        for one in [*SIZES, HELD_OUT]
    ]
    assert abs(errors(fit(bent[:-1], "als"), bent[-1])["nightly_seconds"]) > 0.1


def test_costs_by_hand():
    """One machine of 10 cores, all of it parallel: 36,000 s of processor time are an hour."""
    figures = {
        "nightly_seconds": 36_000.0, "search_seconds": 0.0, "peak_mib": 50 * 1024.0,
        "history_bytes": 10 * 2.0**30, "snapshot_bytes": 2.0**30, "pushed_bytes": 2.0**30,
        "requests_per_core": 1000.0,
    }  # fmt: skip
    prices = Prices(
        core_month=73.0, disk_month=1.0, cores=10, memory_gib=100.0, parallel_share=1.0,
        auto_over_als=1.0, choice_seconds=0.0, requests_per_user=86.4, peak_factor=1.0,
        utilisation=0.5, replicas=2, generations=7,
    )  # fmt: skip
    found = costs(figures, 1_000_000, prices)
    assert found.machines == 1
    assert found.hours == pytest.approx(1.0)
    assert (
        found.serving_cores == 2 * 2
    )  # 1,000 requests a second; each of two machines has them all
    assert found.cost_month == pytest.approx(73 * (4 + 10 * 30 / 730) + 10 + 7 * 3)
    larger = costs(figures | {"peak_mib": 250 * 1024.0}, 1_000_000, prices)
    assert larger.machines == 3
    assert larger.hours == pytest.approx(1.5 / 3)  # half more work


def test_recorded_sizes_make_tables_and_a_picture(tmp_path, capsys):
    record, file = tmp_path / "sizing.jsonl", tmp_path / "sizing.svg"
    record.write_text("".join(f"{to_line(one)}\n" for one in [*SIZES, HELD_OUT]))
    arguments = ["--measured", str(record), "--users", "1000000", "1000000000"]
    assert main([*arguments, "--picture", str(file)]) == 0
    output = capsys.readouterr()
    figures = [json.loads(line) for line in output.out.splitlines()]
    found = {
        (one["metric"], one["users"]): one["value"] for one in figures if one["subject"] == "plan"
    }
    assert found["machines", 10**9] > found["machines", 10**6] == 1
    assert found["snapshot_gib", 10**9] == pytest.approx(
        1000 * found["snapshot_gib", 10**6], rel=0.01
    )
    assert "als, held out" in output.err
    assert len(re.findall("<polyline", file.read_text())) == 4


def test_a_model_without_sizes_is_refused(tmp_path, capsys):
    record = tmp_path / "sizing.jsonl"
    record.write_text(f"{to_line(HELD_OUT)}\n")
    assert main(["--measured", str(record)]) == 1
    assert "als: has no size that the model can be fitted to" in capsys.readouterr().err


@pytest.mark.parametrize("line", ['{"shape": {"users": 3}}', "3", "[]", '{"executor_seconds": 1}'])
def test_what_was_not_recorded_is_refused(tmp_path, capsys, line):
    record = tmp_path / "sizing.jsonl"
    record.write_text(f"{line}\n")
    assert main(["--measured", str(record)]) == 1
    assert "cannot be read: not a measurement" in capsys.readouterr().err
