"""The NCF and LCFN protocols of ML-1M: our figures beside the published ones.

python -m benchmarks.published --data FOLDER
python -m benchmarks.published --data FOLDER --only lcfn --models marquee als
python -m benchmarks.published --data FOLDER --quick

FOLDER holds `ml-1m` and `ml-1m-protocols`; a protocol whose files are missing is skipped.
`marquee` is the default model with default settings. The parameters of single models are
chosen on the protocol's validation side. Exit status: 0 the goals of `marquee` are met,
1 one is missed, 2 wrong usage.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batch.settings import BatchSettings
from benchmarks.harness.arguments import (
    add_data,
    make_parser,
    non_negative_int,
    positive_int,
)
from benchmarks.harness.errors import BenchmarkError
from benchmarks.harness.report import print_figure
from benchmarks.harness.tables import print_table
from benchmarks.published.candidates import MARQUEE, measured_by_default, offered
from benchmarks.published.lcfn import LCFN
from benchmarks.published.measure import Measured, Plan, measure
from benchmarks.published.ncf import NCF
from benchmarks.published.tasks import EvaluationProtocol

_PROTOCOLS: Final = {protocol.name: protocol for protocol in (NCF, LCFN)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for each protocol and a line for each figure; return the exit status."""
    parser = make_parser("published", __doc__)
    add_data(parser)
    parser.add_argument("--only", nargs="+", choices=list(_PROTOCOLS), default=list(_PROTOCOLS))
    parser.add_argument(
        "--models", nargs="+", choices=offered(), default=measured_by_default(), metavar="MODEL",
        help=f"subjects out of {', '.join(offered())}; default: those that take seconds",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=positive_int, default=3, metavar="N", help="seeds to average; default: 3"
    )
    parser.add_argument(
        "--threads", type=non_negative_int, default=0, metavar="N",
        help="threads; default: one for each processor",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="one set of parameters a model, and one seed"
    )
    args = parser.parse_args(arguments)
    if args.data is None:
        parser.error("--data: no folder of real data sets; name one, or set MARQUEE_SHARED_DATA")
    settings = BatchSettings(n_threads=args.threads)
    plan = Plan(settings, 1 if args.quick else args.seeds, is_quick=args.quick)
    try:
        are_met = [_run(_PROTOCOLS[name], args.data, args.models, plan) for name in args.only]
    except BenchmarkError as error:
        print(f"published failed: {error}", file=sys.stderr)
        return 1
    return 0 if all(are_met) else 1


def _run(protocol: EvaluationProtocol, folder: Path, subjects: Sequence[str], plan: Plan) -> bool:
    """Measure the subjects on one protocol; return whether no goal is missed."""
    if missing := protocol.missing(folder):
        print(f"{protocol.name} SKIPPED: {folder} lacks {', '.join(missing)}", file=sys.stderr)
        return True
    tasks = protocol.read(folder)
    n_users, n_items = tasks.test.train.shape
    print(f"{protocol.name}: {tasks.test.train.nnz:,} training pairs of {n_users:,} users and "
          f"{n_items:,} items", file=sys.stderr, flush=True)  # fmt: skip
    found = {}
    for subject in subjects:
        found[subject] = measure(subject, protocol, tasks, plan)
        _print_figures(subject, protocol, found[subject])
    _print_table(protocol, found)
    missed = _missed(protocol, found.get(MARQUEE))
    for line in missed:
        print(f"{protocol.name} MISSED: {line}", file=sys.stderr)
    return not missed


def _print_figures(subject: str, protocol: EvaluationProtocol, measured: Measured) -> None:
    for metric, value in measured.values.items():
        print_figure(
            "published", metric, round(value.mean, 5), "1",
            subject=subject, data=protocol.name, published=protocol.best_published(metric),
            goal=protocol.goals.get(metric), low=round(value.low, 5), high=round(value.high, 5),
            n_users=measured.n_users, seeds=measured.seeds, parameters=measured.parameters,
            train_seconds=round(measured.train_seconds, 2), about=measured.about,
        )  # fmt: skip


def _print_table(protocol: EvaluationProtocol, found: dict[str, Measured]) -> None:
    metrics = list(next(iter(found.values())).values)
    rows = [
        (row.model, *(_decimals(row.values.get(metric)) for metric in metrics), "", row.source)
        for row in protocol.published
    ]
    rows += [
        (
            subject,
            *(_decimals(measured.values[metric].mean) for metric in metrics),
            f"{measured.train_seconds:.1f}",
            f"measured; {_text(subject, measured.parameters)}",
        )
        for subject, measured in found.items()
    ]
    print(file=sys.stderr)
    print_table((protocol.name, *map(str.upper, metrics), "seconds", "source"), rows)
    print(file=sys.stderr, flush=True)


def _missed(protocol: EvaluationProtocol, marquee: Measured | None) -> list[str]:
    """Return a line for each goal that the default model does not reach."""
    if marquee is None:
        return []
    return [
        f"{metric} of {MARQUEE} is {marquee.values[metric].mean:.4f}, the goal is {goal}"
        for metric, goal in protocol.goals.items()
        if marquee.values[metric].mean < goal
    ]


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _text(subject: str, parameters: dict[str, object]) -> str:
    """Return the parameters without the model's name before theirs."""
    texts = (f"{name.removeprefix(f'{subject}_')} {value}" for name, value in parameters.items())
    return ", ".join(texts) or "defaults"


if __name__ == "__main__":
    sys.exit(main())
