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
    is_defective = rng.random(len(answer)) < share
    kinds = rng.integers(len(_KINDS), size=len(answer))
    result = {}
    for (name, value), has_defect, kind in zip(answer.items(), is_defective, kinds, strict=True):
        if name == id_field or not has_defect:
            result[name] = value
        elif _KINDS[kind] != "missing":
            values = {"null": None, "empty": {}, "type": _of_another_type(value)}
            result[name] = values[_KINDS[kind]]
    return result


def _of_another_type(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, int | float):
        return str(value)
    return "none" if not value else [str(part) for part in value]
