"""The model card: what the model is for, its limits, data, evaluation and footprint.

Source:
    Mitchell et al., "Model Cards for Model Reporting", FAT* 2019; the machine-readable head of
    the Markdown is the one that model hubs read.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>#|~&$])")
_NAMES: Final = {
    "new": "this generation",
    "served": "the lists served before",
    "popular": "popular",
}


def model_card(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the sections of the card, each a title and its paragraphs.

    Args:
        document: Content of `report.json`, without the card.
    """
    sections = {
        "Model": _model(document),
        "Uses": [
            "Ranks up to 20 items for each user, from what users watched, rated or bought.",
            "Not for decisions about people, nor for users whose data may not be used.",
        ],
        "Limits": [
            "A user without interactions gets a list of their segment, or the popular one.",
            "What was shown influences what was watched: a comparison with the served lists "
            "favours these.",
            "An item that few users watched is ranked with little evidence.",
        ],
        "Training data": _data(document),
        "Evaluation": _evaluation(document),
        "Evaluation by group": _groups(document),
        "Footprint": _footprint(document),
    }
    return [{"title": title, "paragraphs": lines} for title, lines in sections.items()]


def markdown(document: Mapping[str, Any]) -> str:
    """Return `MODEL_CARD.md` of a report: a YAML head, then the sections."""
    last_day = document["quality"]["last_day"]
    metrics = [
        {"type": "ndcg@20", "name": f"NDCG@20 of {_NAMES[name]}", "value": found[0]}
        for name, found in (last_day["ndcg"] if last_day else {}).items()
    ]
    results = [{
        "task": {"type": "recommendation", "name": "top-20 items"},
        "dataset": {"type": "events", "name": f"events until {document['data']['data_until']}"},
        "metrics": metrics,
    }] if metrics else []  # fmt: skip
    name = f"marquee-{document['generation']}"
    index = [{"name": name, "results": results}]
    head = [
        "---",
        "library_name: marquee",
        'tags: ["recommender-system", "collaborative-filtering"]',
        f"model-index: {json.dumps(index)}",  # JSON is YAML, and quotes every text
        "---",
        "",
        f"# {name}",
    ]
    body = [
        f"\n## {_escaped(section['title'])}\n\n" + "\n\n".join(map(_escaped, section["paragraphs"]))
        for section in document["model_card"]
    ]
    return "\n".join([*head, *body]) + "\n"


def _model(document: Mapping[str, Any]) -> list[str]:
    found = document["provenance"]
    lines = [
        f"Generation {document['generation']}, built by Marquee {found['code_version']}, "
        f"finished at {found['finished_at']}.",
        f"Model: {found['model']}.",
    ]
    if found["second_stage"]:
        lines.append(f"Second stage: {found['second_stage']}.")
    return lines


def _data(document: Mapping[str, Any]) -> list[str]:
    found = document["data"]
    lines = [f"{found['n_users']:,} users with a list, and {found['n_items']:,} items."]
    if found["n_events"] is not None:
        n_rejected = sum((found["rejected"] or {}).values())
        lines.append(f"{found['n_events']:,} events were read, {n_rejected:,} of them rejected.")
    if found["data_until"]:
        lines.append(f"The latest event is of {found['data_until']}.")
    return lines


def _evaluation(document: Mapping[str, Any]) -> list[str]:
    last_day = document["quality"]["last_day"]
    if not last_day:
        return ["The lists could not be evaluated on the last day of the data."]
    lines = [
        "Trained without the last day of the data, and evaluated on that day, on "
        f"{last_day['n_users']:,} users."
    ]
    return lines + [
        f"NDCG@20 of {_NAMES[name]}: {mean:.4f}, 95 % interval {low:.4f} to {high:.4f}."
        for name, (mean, low, high) in last_day["ndcg"].items()
    ]


def _groups(document: Mapping[str, Any]) -> list[str]:
    found = document["groups"]
    lines = [
        f"{one['group']}: {one['ndcg'][0]:.4f}, 95 % interval {one['ndcg'][1]:.4f} to "
        f"{one['ndcg'][2]:.4f}, "
        f"{one['n_users']:,} users."
        for one in found["shown"]
    ]
    return lines or ["No group was large enough to be evaluated."]


def _footprint(document: Mapping[str, Any]) -> list[str]:
    found = document["cost"]
    lines = [f"The snapshot has {found['n_bytes']:,} bytes."]
    if found["seconds"] is not None:
        lines.append(
            f"The refresh took {found['seconds']:,} seconds and {found['peak_mib']:,} MiB at peak."
        )
    return lines


def _escaped(line: str) -> str:
    return _SPECIAL.sub(r"\\\1", line)
