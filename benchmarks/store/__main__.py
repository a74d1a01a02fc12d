"""Write, open and look up a million lists in Marquee's store and in its peers.

    for each round, for each subject:
        write    all lists, until they are durable
        open     until the first answer, with the files in the page cache
        warm     random lookups, after three times as many that are not counted
        cold     random lookups, after the files were dropped from the page cache

The subjects alternate in every round, because the machine is shared. Each figure
is the median of the rounds.
"""

import argparse
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.harness.arguments import make_parser, positive_int
from benchmarks.harness.errors import RefusedError
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.store import timing
from benchmarks.store.data import choose_keys, make_records
from benchmarks.store.marquee import Marquee
from benchmarks.store.pickled_dict import Pickle
from benchmarks.store.redis_server import Redis
from benchmarks.store.sqlite_file import Sqlite
from benchmarks.store.subjects import Records, Subject

Figures = dict[str, float]

_SUBJECTS: Final[tuple[Subject, ...]] = (
    Marquee(),
    Sqlite(),
    Redis(one_core=True),
    Redis(one_core=False),
    Pickle(),
)
_SEED: Final = 7
_WARM_UPS: Final = 3  # until every page is mapped, and figures are stable
_GOALS: Final = (
    ("lists_per_second", "sqlite", 1.4),
    ("lists_per_second", "redis", 2.0),
    ("lookups_per_second", "sqlite", 2.2),
    ("lookups_per_second", "redis", 10.0),
    ("lookups_per_second", "redis-unpinned", 10.0),
)
_UNITS: Final = {  # by ending of the metric; the first match counts
    "bytes_per_second": "B/s",
    "per_second": "1/s",
    "seconds": "s",
    "bytes": "B",
    "ns": "ns",
}
_TABLE_STAGES: Final = ("write", "checksums", "write_with_checksums", "publish",
                        "write_and_publish", "verify", "open_and_verify")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit status."""
    args = _parser().parse_args(arguments)
    subjects = [subject for subject in _SUBJECTS if _is_ready(subject, install=not args.quick)]
    records = make_records(args.users, _SEED)
    n_keys = (5_000, 500) if args.quick else (200_000, 5_000)
    gc.collect()
    gc.freeze()  # else the collector would walk a million lists during a peer's measurement
    rounds: list[dict[str, Figures]] = []
    for number in range(1 if args.quick else 3):
        rounds.append({})
        for subject in subjects:
            print(f"round {number + 1}: {subject.name}", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                rounds[-1][subject.name] = _measure(subject, Path(folder), records, n_keys)
    figures = {
        subject.name: {
            name: median(one[subject.name][name] for one in rounds)
            for name in rounds[0][subject.name]
        }
        for subject in subjects
    }
    details = {
        "clock_ns": timing.clock_overhead(),
        "loop_ns": round(timing.loop_overhead(), 1),
        "n_users": args.users,
        "n_rounds": len(rounds),
        "n_lookups": n_keys[0],
        "seed": _SEED,
        "n_cpus": len(os.sched_getaffinity(0)),
    }
    _print_tables(subjects, figures)
    print(
        f"Medians of {len(rounds)} rounds. Percentiles include one clock call, "
        f"{details['clock_ns']} ns of p50; means include the loop, {details['loop_ns']} ns. "
        "Cold: POSIX_FADV_DONTNEED.",
        file=sys.stderr,
    )
    _print_figures(subjects, figures, details)
    return 0


def _is_ready(subject: Subject, *, install: bool) -> bool:
    package = subject.missing()
    if package and install and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", package], stdout=sys.stderr, check=False)
        package = subject.missing()
    if package:
        print(f"{subject.name} SKIPPED: run `apt-get install {package}`", file=sys.stderr)
    return not package


def _measure(subject: Subject, folder: Path, records: Records, n_keys: tuple[int, int]) -> Figures:
    """Return the figures of one subject in one round."""
    n_warm, n_cold = n_keys
    seconds = subject.write(folder, records)
    figures = {f"{stage}_seconds": value for stage, value in seconds.items()}
    figures["lists_per_second"] = len(records) / seconds["write"]
    if "write_with_checksums" in seconds:
        with_checksums = len(records) / seconds["write_with_checksums"]
        figures["lists_with_checksums_per_second"] = with_checksums
    if files := subject.files(folder):
        figures["file_bytes"] = sum(path.stat().st_size for path in files)
        if "verify" in seconds:
            figures["verify_bytes_per_second"] = figures["file_bytes"] / seconds["verify"]
    gc.freeze()
    start = time.perf_counter()
    with subject.opened(folder) as get:
        answer = get(records[0][0])
        figures["open_seconds"] = time.perf_counter() - start
        if answer != records[0][1] or any(get(key) != body for key, body in records[::997]):
            raise RefusedError(subject.name, "a lookup did not return the list that was written")
        for key in choose_keys(records, _WARM_UPS * n_warm, _SEED + 1):
            get(key)
        keys = choose_keys(records, n_warm, _SEED + 2)
        figures["mean_ns"] = timing.all_at_once(get, keys)
        figures["lookups_per_second"] = 1e9 / figures["mean_ns"]
        figures |= timing.one_by_one(get, keys)
    if files:
        timing.drop_from_page_cache(files)
        with subject.opened(folder) as get:
            cold = timing.one_by_one(get, choose_keys(records, n_cold, _SEED + 3))
        figures |= {f"cold_{name}": value for name, value in cold.items()}
    return figures


def _print_tables(subjects: Sequence[Subject], figures: Mapping[str, Figures]) -> None:
    """Print the tables: configurations, writing, lookups, goals."""
    marquee = figures["marquee"]
    print_table(
        ("subject", "version", "configuration"),
        [(s.name, s.version, s.configuration) for s in subjects],
    )
    writing = [
        (name, _thousands(of["lists_per_second"]), f"{of['write_seconds']:.2f}",
         f"{of['table_seconds']:.2f}", f"{of['sync_seconds']:.2f}",
         f"{marquee['lists_per_second'] / of['lists_per_second']:.2f}",
         f"{marquee['lists_with_checksums_per_second'] / of['lists_per_second']:.2f}")
        for name, of in figures.items()
    ]  # fmt: skip
    print_table(
        ("write", "lists/s", "seconds", "table s", "sync s", "ratio", "with checksums"), writing
    )
    rows = [
        (stage.replace("_", " "), f"{marquee[f'{stage}_seconds']:.2f}") for stage in _TABLE_STAGES
    ]
    print_table(("marquee", "seconds"), rows)
    lookups = [
        (name, f"{of['open_seconds'] * 1e3:,.1f}", _thousands(of["lookups_per_second"]),
         *(f"{of[metric] / 1e3:,.2f}" for metric in ("mean_ns", "p50_ns", "p99_ns", "p99_9_ns")),
         f"{marquee['lookups_per_second'] / of['lookups_per_second']:.2f}")
        for name, of in figures.items()
    ]  # fmt: skip
    print_table(
        ("lookup, warm", "open ms", "1/s", "mean µs", "p50", "p99", "p99.9", "ratio"),
        lookups,
    )
    cold = [
        (
            name,
            *(
                f"{of[f'cold_{metric}'] / 1e3:,.1f}"
                for metric in ("timed_mean_ns", "p50_ns", "p99_ns", "p99_9_ns")
            ),
        )
        for name, of in figures.items()
        if "cold_p50_ns" in of
    ]
    print_table(("lookup, cold", "mean µs", "p50", "p99", "p99.9"), cold)
    goals = [
        (f"{metric} of {peer}", f"{goal:.1f}", f"{ratio:.2f}", "yes" if ratio >= goal else "NO")
        for metric, peer, goal in _GOALS
        if peer in figures
        for ratio in [_ratio(metric, figures, peer)]
    ]
    print_table(("goal: marquee by", "times", "seen", "met"), goals)


def _print_figures(
    subjects: Sequence[Subject], figures: Mapping[str, Figures], details: Mapping[str, float]
) -> None:
    for subject in subjects:
        for metric, value in figures[subject.name].items():
            unit = next(unit for ending, unit in _UNITS.items() if metric.endswith(ending))
            for compared in _compared(subject, metric, figures):
                everything = {**compared, **details, "version": subject.version}
                print_figure("store", metric, value, unit, subject=subject.name, **everything)


def _compared(
    subject: Subject, metric: str, figures: Mapping[str, Figures]
) -> Iterator[dict[str, Any]]:
    """Yield peer and ratio of each line of this figure; one empty dict without peers."""
    peers = [name for name in figures if metric in figures[name] and name != subject.name]
    if subject.name != "marquee" or not peers:
        yield {}
        return
    for peer in peers:
        yield {"peer": peer, "ratio": round(_ratio(metric, figures, peer), 3)}


def _ratio(metric: str, figures: Mapping[str, Figures], peer: str) -> float:
    """Return the ratio of Marquee to `peer`; above 1 Marquee is better."""
    marquee, other = figures["marquee"][metric], figures[peer][metric]
    return marquee / other if metric.endswith("per_second") else other / marquee


def _thousands(value: float) -> str:
    return f"{value:,.0f}"


def _parser() -> argparse.ArgumentParser:
    example = "example:\n  python -m benchmarks.store > store.jsonl"
    parser = make_parser("store", __doc__, example)
    parser.add_argument(
        "--users", type=positive_int, default=1_000_000, metavar="N", help="default: 1000000"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, few lookups, no installation of peers"
    )
    parser.add_argument(
        "--folder", metavar="DIR", help="folder on the disk to measure; default: $TMPDIR"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
