"""The page: `report.json` as one self-contained HTML file, without a script."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from batch.report.frame import frame
from batch.report.html import code, paragraph, text
from batch.report.learning_section import learning_curve
from batch.report.quality_sections import changes, gate, groups, quality
from batch.report.running_sections import cost, data, exposure, online, provenance, search

_SIGNS: Final = {"green": "✓", "amber": "!", "red": "✗"}  # beside the colour, never it alone
_SECTIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "Gate": gate,
    "Quality": quality,
    "What changed": changes,
    "Data": data,
    "Learning curve": learning_curve,
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
    verdict = (
        f'<p class="verdict {colour}"><strong>{_SIGNS[colour]} {text(found["word"])}</strong>\n'
        f"{text(found['sentence'])}</p>"
    )
    footer = paragraph(f"Made at {document['made_at']} from report.json by", "quiet")
    footer += f"\n{code(document['provenance']['report_command'])}"
    return frame(f"Refresh: generation {document['generation']}", verdict, sections, footer)


def _model_card(sections: list[dict[str, Any]]) -> str:
    return "".join(
        f"<h3>{text(section['title'])}</h3>{''.join(map(paragraph, section['paragraphs']))}"
        for section in sections
    )
