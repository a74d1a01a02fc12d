"""The figures of all looks: one line of JSON a look, in a file for each month.

var/online/watch/2026-11.jsonl      {"at": "2026-11-28T03:00:00", "figures": [{"name": …}, …]}
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from store.durable import append_durable
from stream.errors import StreamError
from stream.watch.figures import Figure


def keep_figures(folder: Path, end_at: int, figures: Sequence[Figure], keep_days: float) -> None:
    """Append a look, and remove the months that are too old.

    Args:
        folder: Directory of the files, made if it does not exist.
        end_at: End of the 24 hours, seconds since 1970.
        figures: Figures of the look.
        keep_days: Age in days from which a month is removed; 0: any.

    Raises:
        StreamError: It cannot be written.
    """
    at = datetime.fromtimestamp(end_at, UTC)
    look = {"at": f"{at:%Y-%m-%dT%H:%M:%S}", "figures": [figure.as_json() for figure in figures]}
    oldest = at - timedelta(days=keep_days) if keep_days else datetime.min.replace(tzinfo=UTC)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        append_durable(folder / f"{at:%Y-%m}.jsonl", json.dumps(look, ensure_ascii=False) + "\n")
        for path in folder.glob("????-??.jsonl"):
            if path.stem < f"{oldest:%Y-%m}":
                path.unlink()
    except OSError as error:
        remedy = "make room there, or set [watch] folder"
        raise StreamError(folder, f"cannot be written: {error.strerror}", remedy) from error


def kept_figures(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield every look that is kept, oldest first; a torn line is left out.

    Raises:
        StreamError: A file cannot be read.
    """
    for path in sorted(folder.glob("????-??.jsonl")):
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError as error:
            remedy = "check its rights"
            raise StreamError(path, f"cannot be read: {error.strerror}", remedy) from error
        for line in lines:
            try:
                look = json.loads(line)
            except ValueError:
                continue
            yield look
