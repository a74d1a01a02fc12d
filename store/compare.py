"""Comparison of two manifests: parameters, metrics, checks of the gate and counts, name by name.

    quality by group     NDCG@20 of age 25-34     0.21   0.25   differs, 1.4 intervals
    choice of the model  share of ease …          1.0    –      only in the first
    parameters           alpha                    2.0    20.0   differs

`store.diff` compares the lists of two generations, this module what they were built with
and how good they were. It reads manifests alone, so a pruned generation can be compared.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from store.figure_names import SUBJECTS, figure_name
from store.manifest import Manifest
from store.model_files import SERVED_MODEL

_CHOICE: Final = "choice"
_LEFT_OUT: Final = frozenset({SERVED_MODEL, "choice.tried"})  # form of the files; log of a search
_DATA_UNTIL: Final = "data_until"
_EVALUATED: Final = "last_day.n_users"
_OF_LAST_DAY: Final = ("last_day.ndcg.", "last_day.change.", "last_day.groups.", "last_day_ndcg_")
_N_USERS: Final = ".n_users"
_COURSES: Final = frozenset({"learning_curve"})  # metrics that are a course of training


class Presence(StrEnum):
    """Where an entry has a value, and whether the values are equal."""

    SAME = "same"
    DIFFERS = "differs"
    ONLY_A = "only a"
    ONLY_B = "only b"


@dataclass(frozen=True, slots=True)
class ComparedEntry:
    """One entry of two manifests.

    Attributes:
        part: Part of the manifest: `build`, `parameters`, `metrics`, `gate` or `counts`.
        name: Name in that part; names of nested objects are joined by dots.
        a: Value in the first manifest; None if it is null or missing.
        b: Value in the second one.
        presence: Where it has a value, and whether the values are equal.
        subject: Subject of the entry, one of `SUBJECTS`.
        words: Name in plain words.
        n_intervals: Change of a mean in half-widths of its 95 % interval; above 1 it is
            significant. None if the entry is not two means with intervals, or `is_comparable`
            is false.
        is_comparable: Whether both values are of the same data: quality on the last day is
            not, where the last days or their users differ.
    """

    part: str
    name: str
    a: Any
    b: Any
    presence: Presence
    subject: str
    words: str
    n_intervals: float | None
    is_comparable: bool = True


def compare(a: Manifest, b: Manifest) -> list[ComparedEntry]:
    """Return all entries of two manifests, by subject; first what changed most for its interval.

    Groups of users are matched by their names, parts of the choice of a model by the model's.
    Lists of plain values are one entry; other objects in a list are numbered from 1. The log of
    the search for a model, its learning curve and the form of its files are left out:
    `store show` has them.
    """
    of_a, of_b = _parts(a), _parts(b)
    is_same_day = have_same_last_day(a, b)
    entries = [
        _entry(part, name, of_a[part], of_b[part], is_same_day or not _is_of_last_day(part, name))
        for part in of_a
        for name in sorted(of_a[part].keys() | of_b[part].keys())
    ]
    return sorted(entries, key=_order)


def have_same_last_day(a: Manifest, b: Manifest) -> bool:
    """Return whether quality was measured on the same last day, of as many users."""
    days, numbers = (
        {one.metrics.get(_DATA_UNTIL) for one in (a, b)},
        {metrics_of(one).get(_EVALUATED) for one in (a, b)},
    )
    return len(days) == 1 and len(numbers) == 1


def _is_of_last_day(part: str, name: str) -> bool:
    return part == "metrics" and name.startswith(_OF_LAST_DAY) and not name.endswith(_N_USERS)


def interval(part: str, value: Any) -> tuple[float, float, float] | None:
    """Return mean, low and high of a metric with its interval; None for another value."""
    is_interval = (
        part == "metrics"
        and isinstance(value, list)
        and len(value) == 3
        and all(type(one) in (int, float) for one in value)
        and value[1] <= value[0] <= value[2]
    )
    return (value[0], value[1], value[2]) if is_interval else None


def relative_change(entry: ComparedEntry) -> float | None:
    """Return the change of a number or a mean as a share of the first; None if it has none."""
    a, b = (
        found[0] if (found := interval(entry.part, value)) else value
        for value in (entry.a, entry.b)
    )
    is_number = entry.is_comparable and all(type(value) in (int, float) for value in (a, b))
    return (b - a) / abs(a) if is_number and a and a != b else None


def flattened(
    document: Mapping[str, Any], left_out: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Return the plain values of nested objects by their dotted names.

    Args:
        document: JSON object.
        left_out: Dotted names that are left out, with all that is below them.
    """
    return dict(_walk(document, "", left_out))


def parameters_of(manifest: Manifest) -> dict[str, Any]:
    """Return the parameters of a snapshot by their dotted names."""
    return flattened(manifest.parameters, _LEFT_OUT)


def metrics_of(manifest: Manifest) -> dict[str, Any]:
    """Return the metrics of a snapshot by their dotted names, those of a group by its name.

    The learning curve is left out: it has a number for each sweep.
    """
    return flattened(_by_group(manifest.metrics), _COURSES)


def _parts(manifest: Manifest) -> dict[str, dict[str, Any]]:
    gate = manifest.gate
    return {
        "build": {
            "arm": manifest.arm,
            "began_at": manifest.began_at,
            "code_version": manifest.code_version,
            "parent": manifest.parent,
        },
        "parameters": flattened(_by_model(manifest.parameters), _LEFT_OUT),
        "metrics": metrics_of(manifest),
        "gate": {"result": gate.result} | {check.rule: check.figure for check in gate.checks},
        "counts": dict(manifest.counts),
    }


def _entry(
    part: str, name: str, a: dict[str, Any], b: dict[str, Any], is_comparable: bool
) -> ComparedEntry:
    if name not in b:
        presence = Presence.ONLY_A
    elif name not in a:
        presence = Presence.ONLY_B
    else:
        presence = Presence.SAME if a[name] == b[name] else Presence.DIFFERS
    subject, words = figure_name(part, name)
    one, other = a.get(name), b.get(name)
    n_intervals = None
    if is_comparable:
        n_intervals = _n_intervals(interval(part, one), interval(part, other))
    return ComparedEntry(
        part, name, one, other, presence, subject, words, n_intervals, is_comparable
    )


def _n_intervals(
    a: tuple[float, float, float] | None, b: tuple[float, float, float] | None
) -> float | None:
    """Return the difference of two means in half-widths of its 95 % interval.

    Source:
        Schenker and Gentleman, "On Judging the Significance of Differences by Examining the
        Overlap Between Confidence Intervals", The American Statistician 55(3), 2001: of
        independent means the half-widths add as the root of their squares.
    """
    if a is None or b is None:
        return None
    width = math.hypot(*((high - low) / 2 for _, low, high in (a, b)))
    return round(abs(b[0] - a[0]) / width, 3) if width else None


def _order(entry: ComparedEntry) -> tuple[int, float, float]:
    """Return the place of an entry; parameters stay in the order of their names."""
    place = SUBJECTS.index(entry.subject)
    if entry.part in ("parameters", "build"):
        return place, 0.0, 0.0
    return place, -(entry.n_intervals or 0.0), -abs(relative_change(entry) or 0.0)


def _by_group(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return metrics whose lists of groups are objects by the groups' names."""
    named: dict[str, Any] = {}
    for name, value in metrics.items():
        named[name] = _by_group(value) if isinstance(value, dict) else _named_by(value, "group")
    return named


def _by_model(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return parameters whose choice has its parts by the models' names, whatever their order."""
    choice = parameters.get(_CHOICE)
    if not isinstance(choice, dict):
        return parameters
    return {**parameters, _CHOICE: {**choice, "parts": _named_by(choice.get("parts"), "model")}}


def _named_by(value: Any, key: str) -> Any:
    """Return a list of objects as one object, by what each has under `key`.

    A list in which one has no name, or two have the same, stays as it is.
    """
    if not (isinstance(value, list) and value and all(isinstance(one, dict) for one in value)):
        return value
    names = [one.get(key) for one in value]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return value
    return {
        one[key]: {name: figure for name, figure in one.items() if name != key} for one in value
    }


def _walk(value: Any, name: str, left_out: frozenset[str]) -> Iterator[tuple[str, Any]]:
    if name in left_out:
        return
    inner: Iterable[tuple[str, Any]]
    if isinstance(value, dict) and (value or not name):
        inner = value.items()
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        inner = ((str(number), one) for number, one in enumerate(value, 1))
    else:
        yield name, value
        return
    for key, one in inner:
        yield from _walk(one, f"{name}.{key}" if name else key, left_out)
