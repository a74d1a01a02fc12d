"""The views of files as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from batch.events.read import event_kinds
from batch.inspection.view import FileView, Reading
from batch.records.catalogue import ITEMS
from batch.records.profiles import USERS
from batch.settings import BatchSettings

_MAX_LINE_CHARACTERS: Final = 100
_MAX_CELL_CHARACTERS: Final = 28


def as_text(views: Sequence[FileView], forms: Sequence[str] = ()) -> str:
    """Return some lines for each file, and the known forms.

    Args:
        views: Views of the files.
        forms: One line of each known form, if they are to be shown.
    """
    lines = [line for view in views for line in _view(view)]
    lines += ["known forms", *(f"  {form}" for form in forms)] if forms else []
    return "\n".join(lines)


def _view(view: FileView) -> list[str]:
    lines = [view.file + (f" ({view.form})" if view.form else "")]
    for reading in view.readings:
        lines += _reading(reading)
    if not view.readings:
        for use, problem in view.problems.items():
            lines.append(_line(f"no {use}", problem))
        lines += [_line("begins with", _cut(line)) for line in view.head[:1]]
        lines += [_line("", _cut(line)) for line in view.head[1:]]
    return lines


def _reading(reading: Reading) -> list[str]:
    columns = ", ".join(f"{role} = {name}" for role, name in reading.columns.items())
    counts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in reading.counts.items())
    ranges = "; ".join(f"{name} {low} to {high}" for name, (low, high) in reading.ranges.items())
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in reading.rejected.items())
    rejected = f"{reading.rejected_share:.1%}: {reasons}" if reasons else ""
    facts = [("columns", columns), ("counts", counts), ("ranges", ranges), ("rejected", rejected)]
    rows = _table(reading.rows)
    return [
        _line(reading.use, reading.kind),
        *(_line(name, fact) for name, fact in facts if fact),
        *(_line("rows" if not n else "", row) for n, row in enumerate(rows)),
        *(_line("note", note) for note in reading.notes),
        *(_line("warning", warning) for warning in reading.warnings),
    ]


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return rows as aligned columns under their names."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cell(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= _MAX_CELL_CHARACTERS else text[: _MAX_CELL_CHARACTERS - 1] + "…"


def _cut(line: str) -> str:
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in line.replace("\t", "  "))
    more = "…" if len(shown) > _MAX_LINE_CHARACTERS else ""
    return shown[:_MAX_LINE_CHARACTERS] + more


def _line(name: str, text: str) -> str:
    return f"  {name:<13} {text}".rstrip()


def known_forms(settings: BatchSettings) -> list[str]:
    """Return one line of each form that is read."""
    events = [f"{kind.name}: {kind.example}" for kind in event_kinds(settings)]
    by_use = {
        "events": [*events, "Parquet with a column of users and one of items"],
        "catalogue": ITEMS.forms,
        "profiles": USERS.forms,
    }
    return [f"{use:<10} {form}" for use, forms in by_use.items() for form in forms]
