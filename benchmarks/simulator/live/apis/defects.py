"""Defective fields in the APIs' answers: missing, null, `{}` or of a wrong type."""

from typing import Any, Final

import numpy as np

_KINDS: Final = ("missing", "null", "empty", "type")


def with_defects(
    answer: dict[str, Any], id_field: str, share: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Return an answer with a share of defective fields; its id stays valid.

    Args:
        answer: Valid answer.
        id_field: Name of the field with the id.
        share: Share of the fields with a defect, from 0 to 1.
        rng: Random generator of this answer, so that it has the same defects each time.
    """
    kinds = _drawn(answer, id_field, share, rng)
    values = {name: _defective(value, kinds.get(name)) for name, value in answer.items()}
    return {name: value for name, value in values.items() if kinds.get(name) != "missing"}


def defects_of(
    answer: dict[str, Any], id_field: str, share: float, rng: np.random.Generator
) -> dict[str, str]:
    """Return the kind of each field's defect, as `with_defects` makes it.

    A field whose valid value is `{}` has no defect if it is replaced by `{}`.

    Args:
        answer: Valid answer.
        id_field: Name of the field with the id.
        share: Share of the fields with a defect, from 0 to 1.
        rng: Random generator of this answer, new as for `with_defects`.
    """
    kinds = _drawn(answer, id_field, share, rng)
    return {name: k for name, k in kinds.items() if not (k == "empty" and answer[name] == {})}


def _drawn(
    answer: dict[str, Any], id_field: str, share: float, rng: np.random.Generator
) -> dict[str, str]:
    """Draw the kind of defect of each defective field."""
    is_defective = rng.random(len(answer)) < share
    kinds = rng.integers(len(_KINDS), size=len(answer))
    return {
        name: _KINDS[kind]
        for name, has_defect, kind in zip(answer, is_defective, kinds, strict=True)
        if has_defect and name != id_field
    }


def _defective(value: Any, kind: str | None) -> Any:
    if kind is None or kind == "missing":
        return value
    return {"null": None, "empty": {}, "type": _with_wrong_type(value)}[kind]


def _with_wrong_type(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, int | float):
        return str(value)
    return "none" if not value else [str(part) for part in value]
