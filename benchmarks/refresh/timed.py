"""One refresh in a process of its own, timed stage by stage."""

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table

DEFAULT_MODEL: Final = "auto"


class Timed(NamedTuple):
    """Time and memory of one refresh.

    Attributes:
        summary: JSON output of the refresh.
        cpu_seconds: Processor time of all threads, user and system.
    """

    summary: dict[str, Any]
    cpu_seconds: float

    @property
    def seconds(self) -> float:
        """Wall-clock time from the first stage to the last."""
        return float(sum(self.summary["seconds"].values()))

    @property
    def peak_mib(self) -> float:
        """Peak memory, MiB."""
        return float(max(self.summary["peak_mib"].values()))


def time_refresh(store: Path, inputs: Sequence[str], model: str = DEFAULT_MODEL) -> Timed:
    """Refresh a store and return its time and memory, without the second stage.

    Args:
        store: Store to publish to; a snapshot in it is the parent.
        inputs: Options of `python -m batch refresh` that name the inputs.
        model: Value of `[batch] model`.

    Raises:
        SystemExit: The refresh failed; the reason is on standard error.
    """
    with refresh_command(store, inputs, model) as command:
        before = _cpu_seconds()
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.returncode)
    return Timed(json.loads(run.stdout), _cpu_seconds() - before)


@contextlib.contextmanager
def refresh_command(store: Path, inputs: Sequence[str], model: str) -> Iterator[list[str]]:
    """Yield the command of a refresh, whose configuration exists until the context ends.

    Args:
        store: Store to publish to.
        inputs: Options of `python -m batch refresh` that name the inputs.
        model: Value of `[batch] model`.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "marquee.toml"
        config.write_text(
            f'[batch]\nquarantine = "{folder}/quarantine"\n'
            f'model = "{model}"\nsecond_stage = "off"\n'
        )
        command = [sys.executable, "-m", "batch", "refresh", "--json", "--store", str(store)]
        yield [*command, "--config", str(config), *inputs]


def print_stages(subject: str, timed: Timed, **details: Any) -> None:
    """Print the table of the stages, and a figure for each stage."""
    summary = timed.summary
    counts = {key: summary[key] for key in ("n_users", "n_items", "n_interactions", "n_events")}
    seconds, peak_mib = summary["seconds"], summary["peak_mib"]
    rows = [(name, f"{seconds[name]:.2f}", f"{peak_mib[name]:,.0f}") for name in seconds]
    rows.append(("all", f"{timed.seconds:.2f}", f"{timed.peak_mib:,.0f}"))
    rows.append(("all, of processor time", f"{timed.cpu_seconds:.2f}", ""))
    print(f"\n{subject}: warm start from {summary['learned_from']}", file=sys.stderr)
    print_table(("stage", "seconds", "peak MiB"), rows)
    figures = {f"{name}_seconds": value for name, value in seconds.items()}
    figures |= {"all_seconds": timed.seconds, "cpu_seconds": timed.cpu_seconds}
    for name, value in figures.items():
        print_figure("refresh", name, value, "s", subject=subject, **counts, **details)
    print_figure(
        "refresh", "peak_memory", timed.peak_mib, "MiB", subject=subject, **counts, **details
    )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
