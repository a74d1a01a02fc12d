"""The postmortem of a drill: a template, filled with what was measured; the rest is for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.drill.demo import Impact
from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.harness.tables import table_lines

HEADER: Final = ("second", "time, UTC", "kind", "what")
_TEMPLATE: Final = """\
# Postmortem: {name}, {date}

{about}

| detected after | acted after | recovered after | requests failed | requests sent |
| -------------- | ----------- | --------------- | --------------- | ------------- |
| {alarm} | {action} | {recovery} | {n_failed:,} | {n_requests:,} |

## Time line

{timeline}

## What was told

{told}

## What recovered it

{recovered}

## For people to fill in

- **Cause.** Why could it happen, and why was it not prevented?
- **What went well.**
- **What went wrong, or was luck.**
- **What to change**, who does it, and until when.
"""


@dataclass(frozen=True, slots=True)
class DrillResult:
    """What a drill has measured.

    Attributes:
        name: Name of the drill.
        about: What was injected, one sentence.
        timeline: Time line.
        impact: Requests of clients.
    """

    name: str
    about: str
    timeline: Timeline
    impact: Impact


def timeline_rows(timeline: Timeline) -> list[Sequence[str]]:
    """Return the rows of a time line under `HEADER`."""
    return [
        (f"{one.seconds:.1f}", f"{one.at:%H:%M:%S}", one.kind, one.text.replace("|", "/"))
        for one in timeline.entries()
    ]


def write_postmortem(result: DrillResult, folder: Path) -> Path:
    """Write `DATE-NAME.md` into a folder, which is made, and return its path."""
    date = datetime.now(UTC).date().isoformat()
    timeline = result.timeline
    text = _TEMPLATE.format(
        name=result.name,
        date=date,
        about=result.about,
        alarm=_seconds(timeline, Kind.ALARM),
        action=_seconds(timeline, Kind.ACTION),
        recovery=_seconds(timeline, Kind.RECOVERY),
        n_failed=result.impact.n_failed,
        n_requests=result.impact.n_requests,
        timeline="\n".join(table_lines(HEADER, timeline_rows(timeline))),
        told=_texts(timeline, Kind.ALARM),
        recovered=_texts(timeline, Kind.ACTION),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{date}-{result.name}.md"
    path.write_text(text)
    return path


def _seconds(timeline: Timeline, kind: Kind) -> str:
    seconds = timeline.seconds_to(kind)
    return "never" if seconds is None else f"{seconds:.1f} s"


def _texts(timeline: Timeline, kind: Kind) -> str:
    texts = [f"- {one.text}" for one in timeline.entries() if one.kind is kind]
    return "\n".join(texts) or "- nothing"
