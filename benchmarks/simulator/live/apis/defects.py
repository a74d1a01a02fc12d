"""Odd fields in what the APIs answer: missing, null, `{}` or of the wrong type."""

from typing import Any, Final

import numpy as np

_WAYS: Final = ("missing", "null", "empty", "type")


def with_odd_fields(
    answer: dict[str, Any], id_field: str, share: float, rng: np.random.Generator
) -> dict[str, Any]:
    """Return an answer of whose fields a share is not as it should be; its id always is.

    Args:
        answer: Sound.
        id_field: What it is an answer about.
        share: From 0 to 1.
        rng: Of this answer: it is odd in the same way each time.
    """
    is_odd = rng.random(len(answer)) < share
    ways = rng.integers(len(_WAYS), size=len(answer))
    odd = {}
    for (name, value), spoil, way in zip(answer.items(), is_odd, ways, strict=True):
        if name == id_field or not spoil:
            odd[name] = value
        elif _WAYS[way] != "missing":
            odd[name] = {"null": None, "empty": {}, "type": _of_another_type(value)}[_WAYS[way]]
    return odd


def _of_another_type(value: Any) -> Any:
    if isinstance(value, str):
        return [value]
    if isinstance(value, int | float):
        return str(value)
    return "none" if not value else [str(part) for part in value]
