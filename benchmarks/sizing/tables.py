"""Tables and figures: the errors of the models, their coefficients, and the plans."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from batch.capacity.needs import BytesOf, needed_memory
from batch.capacity.sizes import DataSize
from batch.settings import BatchSettings
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.sizing.costs import Costs
from benchmarks.sizing.fit import Model, errors, figures_of
from benchmarks.sizing.measure import Measured


class Plan(NamedTuple):
    """A service that was not measured, and what it takes.

    Attributes:
        size: Number of users, items, views and ratings.
        costs: Machines, time, disk and cost of it.
    """

    size: DataSize
    costs: Costs


def print_errors(models: Mapping[str, Model], sizes: Sequence[Measured], seed: int) -> None:
    """Print each measured size, and how far the models are from it."""
    rows = []
    for one in sizes:
        found, differs = figures_of(one), errors(models[one.shape.model], one)
        needed = needed_memory(one.size, BatchSettings(model=one.shape.model)) / (1 << 20)
        differs["forecast"] = needed / found["peak_mib"] - 1
        details = {**one.size._asdict(), "model": one.shape.model, "seed": seed}
        details["is_held_out"] = one.shape.is_held_out
        for name, value in found.items():
            print_figure("sizing", name, round(value, 3), _unit(name), subject="marquee", **details)
        for name, value in differs.items():
            print_figure(
                "sizing", f"{name}_error", round(value, 4), "1", subject="marquee", **details
            )
        rows.append((
            one.shape.model + (", held out" if one.shape.is_held_out else ""),
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


def print_plans(plans: Sequence[Plan]) -> None:
    """Print what each planned service takes."""
    rows = []
    for size, found in plans:
        for field in dataclasses.fields(found):
            value = round(getattr(found, field.name), 4)
            print_figure(
                "sizing", field.name, value, _unit(field.name), subject="plan", **size._asdict()
            )
        rows.append((
            *(f"{n:,}" for n in size[:3]),
            f"{found.memory_gib:,.0f}",
            "one" if found.machines == 1 else f"cluster of {found.machines:,}",
            f"{found.core_hours:,.2f}", f"{found.hours:,.2f}", f"{found.search_hours:,.2f}",
            f"{found.snapshot_gib:,.0f}", f"{found.history_gib:,.0f}", f"{found.pushed_gib:,.0f}",
            f"{found.serving_cores:,}", f"{found.cost_month:,.0f}",
        ))  # fmt: skip
    header = (
        "users", "items", "views", "memory GiB", "machines", "core hours", "hours", "search hours",
        "snapshot GiB", "history GiB", "pushed GiB", "serving cores", "cost a month",
    )  # fmt: skip
    print_table(header, rows)


def _with_error(text: str, error: float | None) -> str:
    return text if error is None else f"{text} ({error:+.0%})"


def _unit(name: str) -> str:
    for ending, unit in (("seconds", "s"), ("mib", "MiB"), ("gib", "GiB"), ("bytes", "B")):
        if name.endswith(ending):
            return unit
    return {"requests_per_core": "1/s", "hours": "h", "core_hours": "h"}.get(name, "1")
