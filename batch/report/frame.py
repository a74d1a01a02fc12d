"""The frame of a page: head, navigation and sections of one self-contained HTML file."""

from collections.abc import Mapping

from batch.report.html import text
from batch.report.style import STYLE


def frame(title: str, introduction: str, sections: Mapping[str, str], footer: str) -> str:
    """Return a page without a script, which needs nothing from elsewhere.

    Args:
        title: Title, as text.
        introduction: What stands below the title, as HTML.
        sections: HTML by the name of each section, in order.
        footer: What stands below the sections, as HTML.
    """
    links = "".join(f'<li><a href="#{_id(name)}">{text(name)}</a></li>' for name in sections)
    body = "".join(
        f'<section id="{_id(name)}" aria-labelledby="h-{_id(name)}">'
        f'<h2 id="h-{_id(name)}">{text(name)}</h2>{content}</section>'
        for name, content in sections.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{text(title)}</title>
<link rel="icon" href="data:,"><style>{STYLE}</style></head>
<body><header><h1>{text(title)}</h1>
{introduction}
<nav aria-label="Sections"><ul>{links}</ul></nav></header>
<main>{body}</main>
<footer>{footer}</footer></body></html>
"""


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")
