"""The commands `python -m stream experiment start|stop|promote`."""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from store.arms import promote_arm, start_experiment, stop_experiment
from store.config import StoreSettings, load_section
from store.experiment import KINDS, POPULATIONS, read_experiment
from stream.experiments.figures import METRIC_NAMES
from stream.experiments.presets import PRESETS
from stream.experiments.start import ExperimentDesign, experiment_of, interleaving_of
from stream.experiments.status import as_text, status_of

_EXAMPLE = """example:
  python -m batch refresh --arm treatment --set batch.model=ials
  python -m stream experiment start --name ials --arm treatment=42 --why "better vectors?"
  python -m stream experiment check
  python -m stream experiment promote treatment --why "5 % more clicks"

Exit status: 0 done, 1 failed, 2 wrong usage."""


def add_changes(verbs: Any) -> None:
    """Add the verbs to the parser of `python -m stream experiment`."""
    start = add_verb(
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
    number("--metric", choices=METRIC_NAMES, help="metric that decides; default: click_through")
    number("--effect", type=float, default=default.min_effect, metavar="LIFT", help="default: 0.05")
    number("--alpha", type=float, default=default.alpha, help="default: 0.05")
    number("--power", type=float, default=default.power, help="default: 0.8")
    number(
        "--guardrail", type=_guardrail, action="append", default=[], metavar="METRIC=MARGIN",
        help="metric that must not lose more than its margin; may be repeated",
    )  # fmt: skip
    number(
        "--preset", choices=PRESETS,
        help="metric, guardrails and population of a common question; each can be replaced",
    )  # fmt: skip
    number(
        "--population", choices=POPULATIONS,
        help="users whose figures count: all, or those without a view or rating before; "
        "default: all",
    )  # fmt: skip
    number("--salt", default="", help="salt of the assignment of users; default: random")
    _add_why(start)
    _add_why(
        add_verb(verbs, "stop", _stop, "End the experiment: all users get the control's lists.")
    )
    promote = add_verb(
        verbs, "promote", _promote, "End the experiment: all users get an arm's lists."
    )
    promote.add_argument("arm", help="name of the arm")
    _add_why(promote)


def add_verb(
    verbs: Any,
    name: str,
    run: Callable[[argparse.Namespace, Path], int],
    about: str,
    epilog: str = _EXAMPLE,
) -> argparse.ArgumentParser:
    """Add a verb that runs on a store.

    Args:
        verbs: Parsers of `python -m stream experiment`.
        name: Name of the verb.
        run: Function of the options and the store that returns the exit status.
        about: Description, a sentence.
        epilog: Examples and exit status.
    """
    verb: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=about[0].lower() + about[1:].rstrip("."),
        description=about,
        epilog=epilog,
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
    preset = PRESETS.get(options.preset)
    default = ExperimentDesign()
    metric = preset.metric if preset else default.metric
    population = preset.population if preset else default.population
    guardrails = preset.guardrails if preset else {}
    design = ExperimentDesign(
        kind=options.kind,
        planned_days=options.days,
        metric=options.metric or metric,
        min_effect=options.effect,
        alpha=options.alpha,
        power=options.power,
        guardrails={**guardrails, **dict(options.guardrail)},
        salt=options.salt,
        population=options.population or population,
    )
    make = interleaving_of if options.kind == "interleave" else experiment_of
    experiment = make(store, options.name, dict(options.arm), options.shares, design)
    if preset:
        preset.check(experiment)
    start_experiment(store, experiment, options.why)
    status = status_of(store, experiment)
    return print_result(options, status, as_text(status))


def _stop(options: argparse.Namespace, store: Path) -> int:
    ended = stop_experiment(store, options.why)
    name = ended.name if ended else None
    shown = f"experiment {name}" if ended else "the damaged experiment"
    return print_result(
        options, {"stopped": name}, [f"{shown} is stopped; all users get the control"]
    )


def _promote(options: argparse.Namespace, store: Path) -> int:
    running = read_experiment(store)
    generation = promote_arm(store, options.arm, options.why)
    arms = running.arms if running else ()
    settings = next((arm.settings for arm in arms if arm.name == options.arm), {})
    lines = [f"generation {generation} is current"]
    if settings:
        lines.append("the next refresh builds without the arm's settings; to keep them, set:")
        lines += [f"  {key} = {json.dumps(value)}" for key, value in settings.items()]
    return print_result(options, {"generation": generation, "settings": settings}, lines)


def print_result(options: argparse.Namespace, value: Any, lines: Iterable[str]) -> int:
    """Print a value as JSON, or its lines; return 0."""
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
    if metric not in METRIC_NAMES:
        known = ", ".join(METRIC_NAMES)
        raise argparse.ArgumentTypeError(f"{metric!r} is not a metric; the metrics: {known}")
    try:
        return metric, float(margin)
    except ValueError:
        what = f"write METRIC=MARGIN, such as availability=0.001, not {text!r}"
        raise argparse.ArgumentTypeError(what) from None
