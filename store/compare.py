"""Comparison of two manifests: parameters, metrics, checks of the gate and counts, name by name.

    parameters   alpha          2.0   20.0   differs
    metrics      share_ease     1.0   –      only in the first
    gate         result         passed

`store.diff` compares the lists of two generations, this module what they were built with
and how good they were. It reads manifests alone, so a pruned generation can be compared.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from store.manifest import Manifest
from store.model_files import SERVED_MODEL

_LEFT_OUT: Final = frozenset({SERVED_MODEL, "choice.tried"})  # form of the files; log of a search
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
    """

    part: str
    name: str
    a: Any
    b: Any
    presence: Presence


def compare(a: Manifest, b: Manifest) -> list[ComparedEntry]:
    """Return all entries of two manifests, part by part in the order of their names.

    Lists of plain values are one entry; objects in a list are numbered from 1. The log of
    the search for a model, its learning curve and the form of its files are left out:
    `store show` has them.
    """
    of_a, of_b = _parts(a), _parts(b)
    return [
        _entry(part, name, of_a[part], of_b[part])
        for part in of_a
        for name in sorted(of_a[part].keys() | of_b[part].keys())
    ]


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


def _parts(manifest: Manifest) -> dict[str, dict[str, Any]]:
    gate = manifest.gate
    return {
        "build": {
            "arm": manifest.arm,
            "began_at": manifest.began_at,
            "code_version": manifest.code_version,
            "parent": manifest.parent,
        },
        "parameters": parameters_of(manifest),
        "metrics": flattened(manifest.metrics, _COURSES),
        "gate": {"result": gate.result} | {check.rule: check.figure for check in gate.checks},
        "counts": dict(manifest.counts),
    }


def _entry(part: str, name: str, a: dict[str, Any], b: dict[str, Any]) -> ComparedEntry:
    if name not in b:
        presence = Presence.ONLY_A
    elif name not in a:
        presence = Presence.ONLY_B
    else:
        presence = Presence.SAME if a[name] == b[name] else Presence.DIFFERS
    return ComparedEntry(part, name, a.get(name), b.get(name), presence)


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
