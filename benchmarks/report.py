"""Time and memory of the report of a refresh, for a large simulated store.

    two generations of random lists, with histories ─► report in a process of its own

python -m benchmarks.report
python -m benchmarks.report --users 200000
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.harness.arguments import make_parser, positive_int
from benchmarks.harness.report import print_figure
from benchmarks.harness.snapshots import Extras, Tables, write_snapshot
from benchmarks.harness.tables import print_table
from store.layout import LIST_LENGTH, RECS, REPORT_HTML, SEEN, snapshot_folder
from store.model_files import SERVED_MODEL

_N_HISTORY: Final = 50  # items of a user, as in a service with 50 views a user
_CHUNK: Final = 10_000
_SEED: Final = 7
_POLL_SECONDS: Final = 0.02


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        extras = Extras(parameters={SERVED_MODEL: {"history": ["item_row"]}})
        for _ in range(2):
            write_snapshot(store, lambda generation: _tables(options, generation), extras)
        peak_mib = _run_report(store)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        n_bytes = (snapshot_folder(store, 2) / REPORT_HTML).stat().st_size
    figures = {
        "processor_seconds": (round(used.ru_utime + used.ru_stime, 2), "s"),
        "peak_memory": (round(peak_mib, 1), "MiB"),
        "page_size": (n_bytes, "bytes"),
    }
    size = {"users": options.users, "items": options.items, "seed": _SEED}
    for metric, (value, unit) in figures.items():
        print_figure("report", metric, value, unit, subject="marquee", **size)
    rows = [[metric, f"{value:,} {unit}"] for metric, (value, unit) in figures.items()]
    print_table([f"report of {options.users:,} users", "figure"], rows)
    return 0


def _run_report(store: Path) -> float:
    """Make the report in a process of its own, and return its peak memory in MiB.

    Pages of the mapped store are not counted: the system takes them back at will.
    """
    command = [sys.executable, "-m", "batch", "report", "--store", str(store)]
    peak_kib = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            found = re.search(r"RssAnon:\s+(\d+)", status)
            peak_kib = max(peak_kib, int(found[1]) if found else 0)
            time.sleep(_POLL_SECONDS)
    if process.returncode:
        raise SystemExit(process.returncode)
    return peak_kib / 1024


def _tables(options: argparse.Namespace, generation: int) -> Tables:
    """Return lists and histories of all users, drawn with more weight on lower item numbers."""
    users = [f"{user:08d}".encode() for user in range(options.users)]
    names = [f"film+number+{item:06d}+1990".encode() for item in range(options.items)]
    lists = (
        (user, b",".join(names[item] for item in drawn))
        for user, drawn in zip(users, _draws(options, generation, LIST_LENGTH), strict=True)
    )
    histories = (
        (user, np.sort(drawn).astype("<u4").tobytes())
        for user, drawn in zip(users, _draws(options, 0, _N_HISTORY), strict=True)
    )
    rows = sorted((b"%d" % row, name) for row, name in enumerate(names))
    return {RECS: {"users": lists, "rows": rows}, SEEN: {"users": histories}}


def _draws(options: argparse.Namespace, seed: int, n_items: int) -> Iterator[np.ndarray]:
    """Yield different items for each user."""
    random = np.random.default_rng((_SEED, seed))
    for first in range(0, options.users, _CHUNK):
        shape = (min(_CHUNK, options.users - first), 1)
        start = (random.random(shape) ** 2 * options.items).astype(np.int64)
        step = 1 + random.integers(0, 50, shape)
        yield from (start + step * np.arange(n_items)) % options.items


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("report", __doc__)
    parser.add_argument("--users", type=positive_int, default=1_000_000)
    parser.add_argument("--items", type=positive_int, default=27_000)
    return parser


if __name__ == "__main__":
    sys.exit(main())
