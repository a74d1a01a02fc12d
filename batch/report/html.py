"""Elements of the report's page. Every text goes through `text`, which escapes it."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

UNKNOWN: Final = "–"
_MAX_NARROW_COLUMNS: Final = 3


def text(value: object) -> str:
    """Return a value as HTML: numbers with separators of thousands, None as a dash."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _digits(value)
    return escape(str(value))


def paragraph(value: object, kind: str = "") -> str:
    """Return a paragraph of text."""
    return f'<p class="{kind}">{text(value)}</p>' if kind else f"<p>{text(value)}</p>"


def code(value: str) -> str:
    """Return a command."""
    return f"<p><code>{text(value)}</code></p>"


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Return names with their values."""
    found = "".join(f"<div><dt>{text(n)}</dt><dd>{text(v)}</dd></div>" for n, v in pairs)
    return f'<dl class="facts">{found}</dl>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table whose first column names the rows; numbers are aligned to the right.

    On a narrow screen one of many columns shows each row as a card, and the roles keep it a table.
    """
    rows = [tuple(row) for row in rows]
    if not rows:
        return paragraph(f"{caption}: none", "quiet")
    kinds = [
        ' class="n"' if any(map(_is_number, column)) else "" for column in zip(*rows, strict=True)
    ]
    names = "".join(
        f'<th role="columnheader" scope="col"{kind}>{text(name)}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    is_wide = len(head) > _MAX_NARROW_COLUMNS
    labels = [f' data-label="{text(name)}"' if is_wide else "" for name in head]
    body = "".join(
        f'<tr role="row"><th role="rowheader" scope="row">{text(first)}</th>'
        f"{''.join(map(_cell, rest, kinds[1:], labels[1:]))}</tr>"
        for first, *rest in rows
    )
    kind = ' class="cards"' if is_wide else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table role="table"{kind}><caption>{text(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{names}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def figure(svg: str, caption: str) -> str:
    """Return a drawing with its caption."""
    return f"<figure>{svg}<figcaption>{text(caption)}</figcaption></figure>"


def pair(*parts: str) -> str:
    """Return parts beside each other, where there is room."""
    return f'<div class="pair">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def details(summary: str, content: str) -> str:
    """Return content that opens on demand."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def _digits(value: float) -> str:
    """Return a number with six digits or its whole part, without an exponent for usual sizes."""
    if abs(value) >= 1e6:
        return f"{value:,.0f}"
    if 1e-7 <= abs(value) < 1e-4:
        return f"{value:.7f}".rstrip("0")
    return f"{value:,.6g}"


def _cell(value: object, kind: str, label: str) -> str:
    """Return a cell; a dash stands below the numbers of its column."""
    shown = kind if _is_number(value) or value is None else ""
    return f'<td role="cell"{shown}{label}>{text(value)}</td>'


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
