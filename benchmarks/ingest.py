"""Time the ingest of a log on one core: parse, validate, fold minutes into views, write Parquet.

python -m benchmarks.ingest [--quick]

Peers do the same work and must produce the same views, ratings and rejected lines: a
loop over lines with Python's `re`, and pandas with `read_csv` and `str.extract`. Each
runs in a process of its own, pinned to one core. `marquee-4x` reads four times the
days: its peak memory shows whether memory grows with the log.
"""

import multiprocessing
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.harness.arguments import make_parser
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table

_SEED: Final = 7
_NOISE: Final = 0.0005
_N_ITEMS: Final = 3_000
_N_DAYS: Final = 3
_MONTHS: Final = ("02", "03", "04")  # months of the additional days of the larger log
_CHUNK_LINES: Final = 200_000  # lines of one data frame
_TIME: Final = r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)"
_ID: Final = r"([a-z0-9+._*-]{1,109})"
_LINE: Final = (
    rf"^{_TIME},(\d+),GET (?:/data/m/{_ID}/(\d+)\.mpg|/rate/{_ID}=(\d+)|/create_account)\r?\n?$"
)


class Outcome(NamedTuple):
    """Counts of what a log holds; equal for all subjects."""

    n_lines: int
    n_rejected: int
    n_views: int
    n_ratings: int


class Run(NamedTuple):
    """One measured run.

    Attributes:
        outcome: Counts of what the log holds.
        seconds: Wall-clock time.
        cpu_seconds: Processor time.
        peak_mib: Peak memory of the process, imports included, MiB.
    """

    outcome: Outcome
    seconds: float
    cpu_seconds: float
    peak_mib: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a log, read it with every subject, and print lines per second and memory."""
    parser = make_parser("ingest", __doc__)
    parser.add_argument("--quick", action="store_true", help="a small log, one round")
    args = parser.parse_args(arguments)
    n_users, n_rounds = (1_500, 1) if args.quick else (5_000, 3)
    with tempfile.TemporaryDirectory() as folder:
        log, large = _write_logs(Path(folder), n_users)
        runs = {
            name: [_measure(subject, logs, Path(folder, "out")) for _ in range(n_rounds)]
            for name, subject, logs in (
                ("marquee", _marquee, log),
                ("marquee-4x", _marquee, large),
                ("python-re", _python_re, log),
                ("pandas", _pandas, log),
            )
        }
    _check(runs)
    _report(runs, {"users": n_users, "noise": _NOISE, "seed": _SEED})
    return 0


def _write_logs(folder: Path, n_users: int) -> tuple[Path, Path]:
    """Write a log of some days, and one of four times as many.

    The simulator runs in a process of its own: a child's peak memory starts at its parent's.
    """
    command = [sys.executable, "-m", "benchmarks.simulator", "history", "--out", str(folder)]
    for name, value in (("users", n_users), ("items", _N_ITEMS), ("days", _N_DAYS),
                        ("noise", _NOISE), ("seed", _SEED), ("answers", 0)):  # fmt: skip
        command += [f"--{name}", str(value)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    log, large = folder / "events", folder / "large"
    shutil.copytree(log, large)
    for path in sorted(log.iterdir()):
        for month in _MONTHS:
            later = path.read_bytes().replace(b"2026-01-", f"2026-{month}-".encode())
            (large / path.name.replace("-01-", f"-{month}-", 1)).write_bytes(later)
    return log, large


def _measure(subject: Callable[[list[Path], Path], Outcome], log: Path, out: Path) -> Run:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(subject, sorted(log.iterdir()), out, there))
    process.start()
    there.close()
    try:
        run: Run = here.recv()
        return run
    finally:
        process.join()


def _run(
    subject: Callable[[list[Path], Path], Outcome], logs: list[Path], out: Path, to: Any
) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    subject([], out)  # imports are not timed
    cpu, wall = time.process_time(), time.perf_counter()
    outcome = subject(logs, out)
    seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    to.send(Run(outcome, seconds, cpu_seconds, peak / 1024))


def _marquee(logs: list[Path], out: Path) -> Outcome:
    import pyarrow as pa

    from batch.events.ingest import ingest
    from batch.settings import BatchSettings

    pa.set_cpu_count(1)
    if not logs:
        return Outcome(0, 0, 0, 0)
    events = tuple(str(path) for path in logs)
    done = ingest(BatchSettings(events=events, quarantine=str(out / "quarantine")), out / "events")
    rows = done.rows
    return Outcome(done.n_lines, sum(done.rejected.values()), rows["views"], rows["ratings"])


def _python_re(logs: list[Path], out: Path) -> Outcome:
    """The simplest program: a pattern, a loop, dictionaries."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    match = re.compile(_LINE).match
    views: dict[tuple[str, str, str], list[Any]] = {}
    ratings: set[tuple[str, str, str, str]] = set()
    n_lines = n_rejected = 0
    for log in logs:
        with log.open(newline="\n", errors="replace") as file:
            for line in file:
                n_lines += 1
                try:
                    at, user, item, minute, rated, rating = match(line).groups()  # type: ignore[union-attr]
                    moment = datetime.fromisoformat(at)
                except (AttributeError, ValueError):  # no match, or an invalid time
                    n_rejected += 1
                    continue
                if item:
                    number, key = int(minute), (at[:10], user, item)
                    if seen := views.get(key):
                        seen[0] = max(seen[0], number)
                        seen[1] = min(seen[1], moment)
                        seen[2] = max(seen[2], moment)
                    else:
                        views[key] = [number, moment, moment]
                elif rated:
                    ratings.add((user, rated, rating, at))
    for name, rows in (("views", [(*k, *v) for k, v in views.items()]), ("ratings", list(ratings))):
        columns = [list(column) for column in zip(*rows, strict=True)]
        names = [str(number) for number in range(len(columns))]
        pq.write_table(pa.table(columns, names=names), out / f"{name}.parquet")
    return Outcome(n_lines, n_rejected, len(views), len(ratings))


def _pandas(logs: list[Path], out: Path) -> Outcome:
    """The usual program: a data frame of lines, and its string methods."""
    import pandas as pd

    n_lines = n_rejected = 0
    views, ratings = [], []
    for log in logs:
        for lines in pd.read_csv(
            log, sep="\x01", header=None, names=["line"], quoting=3, chunksize=_CHUNK_LINES,
            encoding_errors="replace", skip_blank_lines=False, na_filter=False,
        ):  # fmt: skip
            fields = lines["line"].str.extract(_LINE)
            fields.columns = ["at", "user", "item", "minute", "rated", "rating"]
            moment = pd.to_datetime(fields["at"], format="ISO8601", errors="coerce")
            n_lines += len(fields)
            n_rejected += int(moment.isna().sum())
            fields = fields.assign(at=moment, day=moment.dt.normalize())[moment.notna()]
            seen = fields[fields["item"].notna()].assign(
                minute=lambda part: part["minute"].astype(int)
            )
            views.append(_folded(seen, first="at", last="at"))
            ratings.append(fields.loc[fields["rated"].notna(), ["user", "rated", "rating", "at"]])
    if not logs:
        return Outcome(0, 0, 0, 0)
    seen, rated = _folded(pd.concat(views), "first", "last"), pd.concat(ratings).drop_duplicates()
    seen.to_parquet(out / "views.parquet")
    rated.to_parquet(out / "ratings.parquet")
    return Outcome(n_lines, n_rejected, len(seen), len(rated))


def _folded(views: Any, first: str, last: str) -> Any:
    return views.groupby(["day", "user", "item"], sort=False, as_index=False).agg(
        minute=("minute", "max"), first=(first, "min"), last=(last, "max")
    )


def _check(runs: dict[str, list[Run]]) -> None:
    outcomes = {
        name: {run.outcome for run in rounds} for name, rounds in runs.items() if "4x" not in name
    }
    if len(set.union(*outcomes.values())) != 1:
        raise SystemExit(f"ingest: the subjects' outcomes differ; compare them: {outcomes}")


def _report(runs: dict[str, list[Run]], inputs: dict[str, float]) -> None:
    def rate(name: str, clock: str) -> float:
        elapsed: float = statistics.median(getattr(run, clock) for run in runs[name])
        return runs[name][0].outcome.n_lines / elapsed

    rows = []
    for name, rounds in runs.items():
        n_lines = rounds[0].outcome.n_lines
        peak_mib = statistics.median(run.peak_mib for run in rounds)
        details: dict[str, Any] = {"lines": n_lines, "rounds": len(rounds), **inputs}
        rates = {clock: rate(name, clock) for clock in ("seconds", "cpu_seconds")}
        ratios = {clock: rate("marquee", clock) / rates[clock] for clock in rates}
        for clock, value in rates.items():
            compared: dict[str, Any] = {"peer": "marquee", "ratio": round(1 / ratios[clock], 3)}
            metric = f"lines_per_{clock.removesuffix('s')}"
            rounded = round(value)
            print_figure("ingest", metric, rounded, "1/s", subject=name, **details, **compared)
        print_figure("ingest", "peak_memory", round(peak_mib), "MiB", subject=name, **details)
        shown = [f"{value:,.0f}" for value in rates.values()]
        ratio = f"{ratios['cpu_seconds']:.1f}"
        rows.append((name, f"{n_lines:,}", *shown, ratio, f"{peak_mib:,.0f}"))
    print_table(("subject", "lines", "lines/s", "lines/CPU s", "ratio", "peak MiB"), rows)


if __name__ == "__main__":
    sys.exit(main())
