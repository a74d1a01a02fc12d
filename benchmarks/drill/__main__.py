"""One failure in a running service, its time line, and a postmortem filled with it.

python -m benchmarks.drill --list
python -m benchmarks.drill disk-full

Server, store, scheduler, broker and APIs are real, and so is the failure; clients request
lists all the time. The postmortem is written to var/drills/DATE-NAME.md.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.drill.demo import Impact
from benchmarks.drill.lists import bad_model, disk_full
from benchmarks.drill.postmortem import HEADER, DrillResult, timeline_rows, write_postmortem
from benchmarks.drill.stream import api_gone, flood, kafka_gone
from benchmarks.drill.timeline import Kind, Timeline
from benchmarks.drill.workers import lost_machine, takedown_request, worker_crash_loop
from benchmarks.harness.arguments import make_parser
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from store.errors import MarqueeError

_Drill = Callable[[Path, Timeline], Impact]
DRILLS: Final[Mapping[str, _Drill]] = {
    "worker-crash-loop": worker_crash_loop,
    "bad-model": bad_model,
    "disk-full": disk_full,
    "kafka-gone": kafka_gone,
    "api-gone": api_gone,
    "flood": flood,
    "takedown-request": takedown_request,
    "lost-machine": lost_machine,
}
_FOLDER: Final = Path("var/drills")
_EPILOG: Final = """\
Exit status: 0 the service has recovered, 1 it has not, 2 wrong usage."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a drill; print its time line, and write its postmortem."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.list:
        for name, drill in DRILLS.items():
            print(f"{name:<18} {_about(drill)}")
        return 0
    if args.name is None:
        parser.error("name a drill, or use --list")
    timeline, problem = Timeline(), ""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # nginx's workers are nobody: they reopen the access log
        try:
            impact = DRILLS[args.name](Path(folder), timeline)
        except MarqueeError as error:
            problem, impact = str(error), Impact(0, 0)
        except ModuleNotFoundError as error:
            problem, impact = f"needs {error.name}, which `make check` installs", Impact(0, 0)
    print_table(HEADER, timeline_rows(timeline))
    if problem:
        print(f"{args.name}: {problem}", file=sys.stderr)
        return 1
    result = DrillResult(args.name, _about(DRILLS[args.name]), timeline, impact)
    _print_figures(result)
    print(f"postmortem: {write_postmortem(result, args.out)}", file=sys.stderr)
    return 0


def _about(drill: _Drill) -> str:
    return (drill.__doc__ or "").splitlines()[0]


def _print_figures(result: DrillResult) -> None:
    for kind in (Kind.ALARM, Kind.ACTION, Kind.RECOVERY):
        seconds = result.timeline.seconds_to(kind)
        if seconds is not None:
            print_figure("drill", f"seconds_to_{kind}", round(seconds, 2), "s", subject=result.name)
    impact = result.impact
    print_figure(
        "drill", "failed_requests", impact.n_failed, "1",
        subject=result.name, requests=impact.n_requests,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("drill", __doc__, _EPILOG)
    parser.add_argument("name", nargs="?", choices=DRILLS, metavar="NAME", help="name of a drill")
    parser.add_argument("--list", action="store_true", help="print the drills, and end")
    parser.add_argument(
        "--out", type=Path, default=_FOLDER, metavar="DIR",
        help=f"directory of the postmortems; default: {_FOLDER}",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
