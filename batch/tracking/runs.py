"""A refresh as a run: names, texts and numbers as a tracking server takes them.

    manifest: parameters        alpha = "20.0", choice.parts.1.model = "ease"
              metrics, counts   rating_rmse 1.60 at step 42, the generation
              gate              gate/users 1.07, gate/users limit 0.9 at step 42
              the choice        choice/ndcg 0.43, 0.45, 0.42, … one step a model that was tried
              learning curve    learning_curve/ials 0.11, 0.18, … one step a sweep

With the generation as the step, a chart of several runs shows the figure over the nights.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from batch.parent import LEARNING_CURVE
from store.compare import flattened, metrics_of, parameters_of
from store.manifest import Manifest

SNAPSHOT_TAG: Final = "marquee.snapshot"  # tag of runs and model versions
_ODD: Final = re.compile(r"[^\w\-. /]", re.ASCII)  # in the name of a metric or parameter
_MAX_NAME: Final = 250
_MAX_TEXT: Final = 500  # the limit of older servers
_BOUNDS: Final = ("", "_lower", "_upper")  # of an interval [value, lower, upper]


class StepMetric(NamedTuple):
    """One value of a metric.

    Attributes:
        name: Name of the metric.
        value: Value, finite.
        step: Step: the generation, or the place in a series from 1.
    """

    name: str
    value: float
    step: int


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A refresh, as it is recorded.

    Attributes:
        identity: Text that no other refresh has.
        name: Name of the run.
        began_at: Time when it began, ISO 8601.
        ended_at: Time when it ended, ISO 8601.
        parameters: Parameters by name.
        metrics: Values of its metrics.
        tags: Further facts by name.
        is_failed: Whether it ended without a snapshot.
    """

    identity: str
    name: str
    began_at: str
    ended_at: str
    parameters: Mapping[str, str]
    metrics: tuple[StepMetric, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    is_failed: bool = False


def identity_of(manifest: Manifest) -> str:
    """Return a text that no other snapshot has, also if a store begins again with 1."""
    return f"{manifest.generation} {manifest.began_at}"


def run_of(manifest: Manifest) -> TrackedRun:
    """Return the run of the refresh that wrote a snapshot."""
    tags = {
        "marquee.generation": str(manifest.generation),
        "marquee.parent": str(manifest.parent or ""),
        "marquee.code_version": manifest.code_version,
        "marquee.gate": manifest.gate.result,
        "marquee.arm": manifest.arm or "",
    }
    return TrackedRun(
        identity_of(manifest),
        f"generation {manifest.generation}",
        manifest.began_at,
        manifest.finished_at,
        as_texts(parameters_of(manifest)),
        tuple(_metrics(manifest)),
        {name: text for name, text in tags.items() if text},
    )


def failed_run(document: Mapping[str, Any]) -> TrackedRun:
    """Return the run of a refresh that ended without a snapshot.

    Args:
        document: `run_id`, `began_at`, `ended_at`, `error`, and `parameters`.

    Raises:
        ValueError: The document has another form.
    """
    try:
        run_id, began_at = str(document["run_id"]), str(document["began_at"])
        ended_at, error = str(document["ended_at"]), str(document["error"])
        parameters = flattened(document["parameters"])
    except (KeyError, TypeError, AttributeError) as problem:
        raise ValueError(f"not the record of a refresh: {problem!r}") from problem
    datetime.fromisoformat(began_at), datetime.fromisoformat(ended_at)
    tags = {"marquee.error": error[:_MAX_TEXT]}
    return TrackedRun(
        run_id,
        f"failed {began_at}",
        began_at,
        ended_at,
        as_texts(parameters),
        (),
        tags,
        is_failed=True,
    )


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as texts, lists joined by commas, and names without odd characters."""
    return {_name(name): _text(value) for name, value in values.items()}


def _metrics(manifest: Manifest) -> Iterator[StepMetric]:
    step = manifest.generation
    for name, value in metrics_of(manifest).items():
        yield from _metric(name, value, step)
    for check in manifest.gate.checks:
        yield from _metric(f"gate/{check.rule}", check.figure, step)
        yield from _metric(f"gate/{check.rule} limit", check.threshold, step)
    for name, count in manifest.counts.items():
        yield from _metric(f"counts/{name}", count, step)
    yield from _choice(manifest.parameters.get("choice"))
    yield from _learning_curve(manifest.metrics.get(LEARNING_CURVE))


def _choice(choice: Any) -> Iterator[StepMetric]:
    """Yield the figures of each model that the choice tried, in its order."""
    tried = choice.get("tried") if isinstance(choice, dict) else None
    for step, one in enumerate(tried if isinstance(tried, list) else (), 1):
        if isinstance(one, dict):
            yield from _metric("choice/seconds", one.get("seconds"), step)
            yield from _metric("choice/ndcg", one.get("ndcg"), step)


def _learning_curve(curve: Any) -> Iterator[StepMetric]:
    """Yield the quality of each model after its sweeps."""
    models = curve.get("models") if isinstance(curve, dict) else None
    for model, points in models.items() if isinstance(models, dict) else ():
        for sweep, ndcg in points:
            yield from _metric(f"learning_curve/{model}", ndcg, sweep)


def _metric(name: str, value: Any, step: int) -> Iterator[StepMetric]:
    """Yield a number, or those of an interval under names of their own; nothing else."""
    numbers = value if isinstance(value, list) and len(value) <= len(_BOUNDS) else [value]
    for bound, number in zip(_BOUNDS, numbers, strict=False):
        if isinstance(number, int | float) and math.isfinite(number):
            yield StepMetric(_name(f"{name}{bound}"), float(number), step)


def _name(name: str) -> str:
    return _ODD.sub("_", name)[:_MAX_NAME]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return str(value)[:_MAX_TEXT]
