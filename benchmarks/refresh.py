"""Time a whole refresh, stage by stage, in a process of its own.

python -m benchmarks.refresh --events views.tsv.gz --catalogue movies.jsonl.gz
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from benchmarks.report import print_figure, print_table

_INPUTS = ("events", "catalogue", "profiles")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one refresh into a throw-away store and print what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh", description=__doc__)
    for name in _INPUTS:
        parser.add_argument(
            f"--{name}", nargs="+", action="extend", metavar="PATH", required=name == "events"
        )
    given = parser.parse_args(arguments)
    inputs = [
        part for name in _INPUTS if vars(given)[name] for part in (f"--{name}", *vars(given)[name])
    ]
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "batch", "refresh", "--json", "--store", store, *inputs]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        return run.returncode
    summary = json.loads(run.stdout)
    about = {key: summary[key] for key in ("n_users", "n_items", "n_interactions", "n_events")}
    about["n_cpus"] = len(os.sched_getaffinity(0))
    seconds, peak_mib = summary["seconds"], summary["peak_mib"]
    rows = [(name, f"{seconds[name]:.2f}", f"{peak_mib[name]:,.0f}") for name in seconds]
    total, most = sum(seconds.values()), max(peak_mib.values())
    rows.append(("all", f"{total:.2f}", f"{most:,.0f}"))
    print_table(("stage", "seconds", "peak MiB so far"), rows)
    for name, value in {**seconds, "all": total}.items():
        print_figure("refresh", f"{name}_seconds", value, "s", subject="marquee", **about)
    print_figure("refresh", "peak_memory", most, "MiB", subject="marquee", **about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
