"""The report's checksums at a remote: by them a pull finds a report that was made again.

    report.sha256     3f…  report.html      of the files that the push sent, which it wrote last
                      9a…  report.json

`SHA256SUMS` leaves the report out, for it may change after the snapshot. A pull of a snapshot
that is in place reads this one small file, and fetches those whose checksum differs here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from store.layout import REPORT_FILES
from store.manifest import sha256

REPORT_CHECKSUMS: Final = "report.sha256"
MAX_REPORT_CHECKSUMS_BYTES: Final = 4096


def report_checksums(folder: Path) -> str:
    """Return a line with checksum and name for each file of the report in a snapshot's directory.

    The form is that of `sha256sum`; empty if there is no report.
    """
    return "".join(f"{sha256(folder / name)}  {name}\n" for name in _existing(folder))


def changed_files(folder: Path, checksums: str) -> dict[str, str]:
    """Return the files of a report whose checksum differs in `folder`, each with that of the other.

    Args:
        folder: Directory of a snapshot.
        checksums: Checksums of the other report, as `report_checksums` returns them. Lines
            that name another file are left out.
    """
    known = set(report_checksums(folder).splitlines())
    lines = (line.split("  ") for line in checksums.splitlines() if line not in known)
    return {line[1]: line[0] for line in lines if len(line) == 2 and line[1] in REPORT_FILES}


def _existing(folder: Path) -> Iterator[str]:
    return (name for name in REPORT_FILES if (folder / name).is_file())
