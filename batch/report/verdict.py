"""The verdict: one sentence on a refresh, as green, amber or red."""

from collections.abc import Mapping
from typing import Any, Final

from store.gate_result import OVERRIDDEN, REFUSED, GateResult

GREEN: Final = "green"
AMBER: Final = "amber"
RED: Final = "red"
WORDS: Final = {GREEN: "Good", AMBER: "Look at it", RED: "Refused"}


def verdict(
    generation: int,
    gate: GateResult,
    recorded: Mapping[str, Any] | None,
    last_day: Mapping[str, Any],
) -> dict[str, str]:
    """Return colour, word and sentence.

    Red is what the gate refused. Amber is what a person should look at: an override, a snapshot
    that is not served, no comparison on the last day, a significant loss, or a warning.

    Args:
        generation: Generation of the snapshot.
        gate: Result of the gate.
        recorded: Summary of the refresh; None if it was not recorded.
        last_day: Quality on the last day, as in the manifest; empty if not evaluated.
    """
    subject = f"Generation {generation}"
    if gate.result == REFUSED:
        return _verdict(RED, f"{subject} was refused by the gate: {'; '.join(gate.refusals)}.")
    if gate.result == OVERRIDDEN:
        why = f"{'; '.join(gate.refusals)}; reason: {gate.override}"
        return _verdict(AMBER, f"{subject} was refused by the gate, and overridden: {why}.")
    if looks := _looks(recorded, last_day):
        return _verdict(AMBER, f"{subject} passed the gate, but {'; '.join(looks)}.")
    return _verdict(GREEN, f"{subject} passed the gate and was published; {_quality(last_day)}.")


def _looks(recorded: Mapping[str, Any] | None, last_day: Mapping[str, Any]) -> list[str]:
    """Return what a person should look at."""
    looks = []
    if recorded is None:
        looks.append("the summary of its refresh was not recorded")
    elif not recorded["is_current"]:
        looks.append("it was not made current (pin, experiment or arm)")
    if not last_day:
        looks.append("its quality could not be evaluated on the last day")
    looks += [
        f"it is significantly worse than the {name} lists on the last day"
        for name, (_, _, high) in last_day.get("change", {}).items()
        if high < 0
    ]
    n_warnings = len(recorded["warnings"]) if recorded else 0
    if n_warnings:
        looks.append(f"there {'is 1 warning' if n_warnings == 1 else f'are {n_warnings} warnings'}")
    return looks


def _quality(last_day: Mapping[str, Any]) -> str:
    """Return the comparison with the served lists, or else with the popular ones, in words."""
    name = "served" if "served" in last_day["change"] else "popular"
    mean, low, _ = last_day["change"][name]
    base = last_day["ndcg"][name][0]
    change = f"{100 * mean / base:+.1f} %, ".replace("-0.0", "0.0") if base else ""
    if low > 0:
        compared = f"significantly better than the {name} ones on the last day"
        return f"its lists are {compared} ({change}95 % interval above 0)"
    compared = f"not significantly different from the {name} ones on the last day"
    return f"its lists are {compared} ({change}95 % interval around 0)"


def _verdict(colour: str, sentence: str) -> dict[str, str]:
    return {"colour": colour, "word": WORDS[colour], "sentence": sentence}
