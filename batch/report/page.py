"""The page: `report.json` as one self-contained HTML file, without a script."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from batch.report.html import code, paragraph, text
from batch.report.quality_sections import changes, gate, groups, quality
from batch.report.running_sections import cost, data, exposure, online, provenance, search
from batch.report.style import STYLE

_SIGNS: Final = {"green": "✓", "amber": "!", "red": "✗"}  # beside the colour, never it alone
_SECTIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "Gate": gate,
    "Quality": quality,
    "What changed": changes,
    "Data": data,
    "Trials": search,
    "Groups": groups,
    "Exposure": exposure,
    "Online": online,
    "Cost": cost,
    "Provenance": provenance,
}


def page(document: Mapping[str, Any]) -> str:
    """Return the page of a report.

    Args:
        document: Content of `report.json`.
    """
    found = document["verdict"]
    colour = found["colour"]
    sections = {name: make(document) for name, make in _SECTIONS.items()}
    sections["Model card"] = _model_card(document["model_card"])
    links = "".join(f'<li><a href="#{_id(name)}">{text(name)}</a></li>' for name in sections)
    body = "".join(
        f'<section id="{_id(name)}" aria-labelledby="h-{_id(name)}">'
        f'<h2 id="h-{_id(name)}">{text(name)}</h2>{content}</section>'
        for name, content in sections.items()
    )
    title = f"Refresh: generation {document['generation']}"
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{text(title)}</title>
<link rel="icon" href="data:,"><style>{STYLE}</style></head>
<body><header><h1>{text(title)}</h1>
<p class="verdict {colour}"><strong>{_SIGNS[colour]} {text(found["word"])}</strong>
{text(found["sentence"])}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav></header>
<main>{body}</main>
<footer>{paragraph(f"Made at {document['made_at']} from report.json by", "quiet")}
{code(document["provenance"]["report_command"])}</footer></body></html>
"""


def _model_card(sections: list[dict[str, Any]]) -> str:
    return "".join(
        f"<h3>{text(section['title'])}</h3>{''.join(map(paragraph, section['paragraphs']))}"
        for section in sections
    )


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")
