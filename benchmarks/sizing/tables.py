"""Tables and figures: the errors of the models, their coefficients, and the plans."""

import dataclasses
from collections.abc import Mapping, Sequence

from batch.capacity.needs import BytesOf, needed_memory
from batch.capacity.sizes import DataSize
from batch.settings import BatchSettings
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.sizing.fit import Model, errors, figures_of
from benchmarks.sizing.fit_spark import TERMS, SparkModel, errors_on_spark, figures_on_spark
from benchmarks.sizing.measure import Measured, Shape
from benchmarks.sizing.on_spark import OnSpark
from benchmarks.sizing.plans import Plan


def print_errors(models: Mapping[str, Model], sizes: Sequence[Measured], seed: int) -> None:
    """Print each measured size, and how far the models are from it."""
    rows = []
    for one in sizes:
        found, differs = figures_of(one), errors(models[one.shape.model], one)
        needed = needed_memory(one.size, BatchSettings(model=one.shape.model)) / (1 << 20)
        differs["forecast"] = needed / found["peak_mib"] - 1
        _print_figures("marquee", one.size, one.shape, found, differs, seed)
        rows.append((
            _name(one.shape),
            *(f"{n:,}" for n in one.size),
            _with_error(f"{found['nightly_seconds']:,.0f}", differs.get("nightly_seconds")),
            _with_error(f"{found['search_seconds']:,.0f}", differs.get("search_seconds")),
            _with_error(f"{found['peak_mib']:,.0f}", differs["peak_mib"]),
            f"{differs['forecast']:+.0%}",
            _with_error(f"{found['snapshot_bytes'] / 1e6:,.0f}", differs["snapshot_bytes"]),
            f"{found['requests_per_core']:,.0f}",
        ))  # fmt: skip
    header = (
        "model", *DataSize._fields, "night, CPU s", "search, CPU s", "peak MiB", "forecast",
        "snapshot MB", "answers/CPU s",
    )  # fmt: skip
    print_table(header, rows)


def print_errors_on_spark(model: SparkModel, sizes: Sequence[OnSpark], seed: int) -> None:
    """Print each size that was measured by both engines, and how far the model is from it."""
    rows = []
    for one in sizes:
        found, differs = figures_on_spark(one), errors_on_spark(model, one)
        _print_figures("spark", one.size, one.shape, found, differs, seed)
        seconds, local = found["spark_seconds"], sum(one.local_seconds.values())
        print_figure(
            "sizing", "overhead", round(seconds / local, 3), "1", subject="spark", peer="local",
            ratio=round(seconds / local, 3), **one.size._asdict(), model=one.shape.model,
        )  # fmt: skip
        elapsed = [sum(of.values()) for of in (one.local_elapsed_seconds, one.elapsed_seconds)]
        shown = (
            "driver_seconds",
            "executor_seconds",
            "sweep_seconds",
            "spark_seconds",
            "driver_mib",
        )
        driver, executors, sweeps, every, memory = (
            _with_error(f"{found[name]:,.0f}", differs.get(name)) for name in shown
        )
        rows.append((
            _name(one.shape), *(f"{n:,}" for n in one.size), f"{local:,.0f}", driver, executors,
            sweeps, every, f"{seconds / local:.1f}", f"{elapsed[0]:,.0f} / {elapsed[1]:,.0f}",
            memory, f"{found['shard_bytes'] / 1e6:,.0f}",
        ))  # fmt: skip
    header = (
        "model", *DataSize._fields, "local, CPU s", "driver, CPU s", "executors, CPU s",
        "sweeps, CPU s", "Spark, CPU s", "Spark / local", "elapsed s", "driver MiB", "shards MB",
    )  # fmt: skip
    print_table(header, rows)


def print_coefficients(name: str, model: Model) -> None:
    """Print the coefficients that `batch.capacity.needs` has, of each stage that can be largest."""
    fields = BytesOf._fields
    for stage, found in model.peak_mib.items():
        values = {
            field: round(value * (1 << 20), 1) for field, value in zip(fields, found, strict=True)
        }
        print_figure(
            "sizing", "bytes_of", values.pop("process"), "B", subject="marquee", model=name,
            stage=stage, **values,
        )  # fmt: skip
    for what, found in model.n_bytes.items():
        values = {field: round(value, 1) for field, value in zip(fields, found, strict=True)}
        print_figure(
            "sizing", what, values.pop("process"), "B", subject="marquee", model=name, **values
        )


def print_coefficients_on_spark(model: SparkModel) -> None:
    """Print the coefficients of each part: seconds, MiB of the memory, or bytes of the shards."""
    for part, found in model.coefficients.items():
        values = dict(zip(TERMS[part], map(float, found), strict=True))
        unit = {"memory": "MiB", "shards": "B"}.get(part, "s")
        print_figure(
            "sizing", f"{part}_coefficients", values.pop("once"), unit, subject="spark", **values
        )


def print_plans(plans: Sequence[Plan]) -> None:
    """Print what each planned service takes."""
    rows = []
    for size, found, is_on_spark, beyond in plans:
        for field in dataclasses.fields(found):
            value = round(getattr(found, field.name), 4)
            print_figure(
                "sizing", field.name, value, _unit(field.name), subject="plan", **size._asdict()
            )
        is_cluster = found.machines > 1
        rows.append((
            *(f"{n:,}" for n in size[:3]),
            f"{max(1, round(beyond)):,} times",
            f"{found.memory_gib:,.0f}",
            f"cluster of {found.machines:,}" if is_cluster else "one",
            f"{found.driver_gib:,.1f}" if found.driver_gib else "",
            f"{found.core_hours:,.2f}",
            f"{found.overhead:.1f}{'' if is_on_spark else ', assumed'}" if is_cluster else "",
            f"{found.hours:,.2f}", f"{found.search_hours:,.2f}",
            f"{found.snapshot_gib:,.0f}", f"{found.history_gib:,.0f}", f"{found.pushed_gib:,.0f}",
            f"{found.serving_cores:,}", f"{found.cost_month:,.0f}",
        ))  # fmt: skip
    header = (
        "users", "items", "views", "largest fitted", "memory GiB", "machines", "driver GiB",
        "core hours", "Spark / local", "hours", "search hours", "snapshot GiB", "history GiB",
        "pushed GiB", "serving cores", "cost a month",
    )  # fmt: skip
    print_table(header, rows)


def _print_figures(
    subject: str,
    size: DataSize,
    shape: Shape,
    found: Mapping[str, float],
    differs: Mapping[str, float],
    seed: int,
) -> None:
    details = {**size._asdict(), "model": shape.model, "seed": seed}
    details["is_held_out"] = shape.is_held_out
    for name, value in found.items():
        print_figure("sizing", name, round(value, 3), _unit(name), subject=subject, **details)
    for name, value in differs.items():
        print_figure("sizing", f"{name}_error", round(value, 4), "1", subject=subject, **details)


def _name(shape: Shape) -> str:
    return shape.model + (", held out" if shape.is_held_out else "")


def _with_error(text: str, error: float | None) -> str:
    return text if error is None else f"{text} ({error:+.0%})"


def _unit(name: str) -> str:
    for ending, unit in (("seconds", "s"), ("mib", "MiB"), ("gib", "GiB"), ("bytes", "B")):
        if name.endswith(ending):
            return unit
    return {"requests_per_core": "1/s", "hours": "h", "core_hours": "h"}.get(name, "1")
