"""Section of the page on the learning curve: how training got better, sweep by sweep."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from batch.report.html import figure, pair, paragraph, table
from batch.report.svg import line_chart

_WARM_MODELS: Final = ("als", "ials")  # the others begin anew every night


def learning_curve(document: Mapping[str, Any]) -> str:
    """Return the quality after the sweeps of the trial's model, drawn and as a table."""
    found = document["learning_curve"]
    if not found:
        return paragraph(
            "No learning curve is recorded: there was no trial on the last day, "
            "or an earlier version built the snapshot."
        )
    model = document["provenance"]["model"]
    if not found["models"]:
        return paragraph(
            f"{model} is trained without sweeps, in closed form or from counts, "
            "so it has no learning curve."
        )
    caption = f"NDCG@20 of {found['n_users']:,} users on the last day, which was not trained on; "
    caption += "the axis need not begin at 0."
    names = ", ".join(found["models"])
    parts = [
        _of_model(name, points, f"{caption}{_began(name, document['refresh'])}")
        for name, points in found["models"].items()
    ]
    if model not in (names, f"1 × {names}"):
        said = f"The lists are of {model}; of the models trained, {names} alone has sweeps."
        parts.insert(0, paragraph(said))
    return "".join(parts)


def _of_model(name: str, points: Sequence[tuple[int, float]], caption: str) -> str:
    (first, at_first), (last, at_last) = points[0], points[-1]
    best, at_best = max(points, key=lambda point: point[1])
    said = (
        f"{name}: NDCG@20 went from {at_first:.4f} after sweep {first} to {at_last:.4f} after "
        f"sweep {last}; the best, {at_best:.4f}, was after sweep {best}."
    )
    title = f"Learning curve of {name}"
    svg = line_chart(points, title, ("sweeps of training", "NDCG@20"))
    rows = [
        (f"{sweep}", ndcg, None if number == 0 else round(ndcg - points[number - 1][1], 5))
        for number, (sweep, ndcg) in enumerate(points)
    ]
    head = ("After sweep", "NDCG@20", "Change")
    return paragraph(said) + pair(figure(svg, caption), table(title, head, rows))


def _began(model: str, recorded: Mapping[str, Any] | None) -> str:
    """Return which factors the training began with; empty if that was not recorded."""
    learned_from = str((recorded or {}).get("learned_from", ""))
    if not learned_from:
        return ""
    if model not in _WARM_MODELS or learned_from.startswith("none"):
        return " Training began with random factors."
    return f" Training began with the factors of {learned_from}."
