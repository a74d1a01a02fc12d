"""The commands `python -m stream experiment start|stop|promote|status`."""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from store.arms import promote_arm, start_experiment, stop_experiment
from store.config import StoreSettings, load_section
from store.experiment import KINDS, read_experiment
from stream.experiments.start import ExperimentDesign, experiment_of, interleaving_of
from stream.experiments.status import as_text, status_of

_EXAMPLE = """example:
  python -m batch refresh --arm treatment --set batch.model=ials
  python -m stream experiment start --name ials --arm treatment=42 --why "better vectors?"
  python -m stream experiment status
  python -m stream experiment promote treatment --why "5 % more clicks"

Exit status: 0 done, 1 failed, or nothing runs, 2 wrong usage."""


def add_changes(verbs: Any) -> None:
    """Add the verbs to the parser of `python -m stream experiment`."""
    start = _add(
        verbs, "start", _start, "Divide the users among the current and other generations."
    )
    start.add_argument("--name", required=True, help="name of the experiment")
    start.add_argument(
        "--arm", type=_arm, action="append", required=True, metavar="NAME=GENERATION",
        help="an arm beside the control, which is the current generation; may be repeated",
    )  # fmt: skip
    start.add_argument(
        "--shares", type=float, nargs="+", metavar="SHARE",
        help="share of each arm, control first; default: equal shares",
    )  # fmt: skip
    default = ExperimentDesign()
    start.add_argument("--kind", choices=KINDS, default=default.kind, help="default: ab")
    number: Callable[..., Any] = start.add_argument
    number("--days", type=float, default=default.planned_days, metavar="N", help="default: 14")
    number("--metric", default=default.metric, help="metric that decides; default: click_through")
    number("--effect", type=float, default=default.min_effect, metavar="LIFT", help="default: 0.05")
    number("--alpha", type=float, default=default.alpha, help="default: 0.05")
    number("--power", type=float, default=default.power, help="default: 0.8")
    number(
        "--guardrail", type=_guardrail, action="append", default=[], metavar="METRIC=MARGIN",
        help="metric that must not lose more than its margin; may be repeated",
    )  # fmt: skip
    number("--salt", default="", help="salt of the assignment of users; default: random")
    _add_why(start)
    _add_why(_add(verbs, "stop", _stop, "End the experiment: all users get the control's lists."))
    promote = _add(verbs, "promote", _promote, "End the experiment: all users get an arm's lists.")
    promote.add_argument("arm", help="name of the arm")
    _add_why(promote)
    _add(verbs, "status", _status, "Print what runs: arms, generations, shares, since when.")


def _add(
    verbs: Any, name: str, run: Callable[[argparse.Namespace, Path], int], about: str
) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--config", type=Path, metavar="FILE", help="default: marquee.toml")
    verb.add_argument("--store", type=Path, metavar="DIR", help="default: [store] path")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(run=lambda options: run(options, _store(options)))
    return verb


def _add_why(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--why", required=True, help="reason, for the journal")


def _store(options: argparse.Namespace) -> Path:
    return options.store or Path(load_section("store", StoreSettings, options.config).path)


def _start(options: argparse.Namespace, store: Path) -> int:
    design = ExperimentDesign(
        kind=options.kind,
        planned_days=options.days,
        metric=options.metric,
        min_effect=options.effect,
        alpha=options.alpha,
        power=options.power,
        guardrails=dict(options.guardrail),
        salt=options.salt,
    )
    make = interleaving_of if options.kind == "interleave" else experiment_of
    experiment = make(store, options.name, dict(options.arm), options.shares, design)
    start_experiment(store, experiment, options.why)
    status = status_of(store, experiment)
    return _print(options, status, as_text(status))


def _stop(options: argparse.Namespace, store: Path) -> int:
    ended = stop_experiment(store, options.why)
    name = ended.name if ended else None
    shown = f"experiment {name}" if ended else "the damaged experiment"
    return _print(options, {"stopped": name}, [f"{shown} is stopped; all users get the control"])


def _promote(options: argparse.Namespace, store: Path) -> int:
    running = read_experiment(store)
    generation = promote_arm(store, options.arm, options.why)
    arms = running.arms if running else ()
    settings = next((arm.settings for arm in arms if arm.name == options.arm), {})
    lines = [f"generation {generation} is current"]
    if settings:
        lines.append("the next refresh builds without the arm's settings; to keep them, set:")
        lines += [f"  {key} = {json.dumps(value)}" for key, value in settings.items()]
    return _print(options, {"generation": generation, "settings": settings}, lines)


def _status(options: argparse.Namespace, store: Path) -> int:
    running = read_experiment(store)
    if running is None:
        _print(options, None, ["no experiment is running"])
        return 1
    status = status_of(store, running)
    return _print(options, status, as_text(status))


def _print(options: argparse.Namespace, value: Any, lines: Iterable[str]) -> int:
    print(json.dumps(value) if options.json else "\n".join(lines))  # noqa: T201
    return 0


def _arm(text: str) -> tuple[str, int]:
    name, _, generation = text.partition("=")
    if not (name and generation.isascii() and generation.isdecimal() and len(generation) < 13):
        raise argparse.ArgumentTypeError(
            f"write NAME=GENERATION, such as treatment=42, not {text!r}"
        )
    return name, int(generation)


def _guardrail(text: str) -> tuple[str, float]:
    metric, _, margin = text.partition("=")
    try:
        return metric, float(margin)
    except ValueError:
        what = f"write METRIC=MARGIN, such as availability=0.001, not {text!r}"
        raise argparse.ArgumentTypeError(what) from None
