"""The commands `python -m stream experiment status|check`."""

import argparse
from pathlib import Path
from typing import Any, Final

from batch.errors import BatchError
from store.experiment import read_experiment
from stream.errors import StreamError
from stream.experiments.check import (
    CONTINUED,
    DECIDED,
    PROMOTED,
    STOPPED,
    Checked,
    ExperimentState,
    check,
    state_of,
)
from stream.experiments.command import add_verb, print_result
from stream.experiments.report import figures_as_text
from stream.experiments.status import as_text, status_of
from stream.online.inputs import OnlineInputs

_STATUS: Final = """example:
  python -m stream experiment status --json

Exit status: 0 done, 1 failed, or nothing runs, 2 wrong usage."""
_CHECK: Final = """example, once an hour or once a day:
  python -m stream experiment check

Exit status: 0 it continues, or nothing runs, 1 failed, 2 wrong usage, 4 stopped, 5 promoted,
6 decided: a person has to act, 7 it continues, but the users of the arms are not as planned."""
_EXIT: Final = {CONTINUED: 0, STOPPED: 4, PROMOTED: 5, DECIDED: 6}
_ALARM: Final = 7


def add_looks(verbs: Any) -> None:
    """Add the verbs to the parser of `python -m stream experiment`."""
    about = "Print what runs: arms, generations, shares, and figures of the users so far."
    _add_events(add_verb(verbs, "status", _status, about, _STATUS))
    about = "Look at the experiment, keep the look, and stop or promote where that is decided."
    verb = add_verb(verbs, "check", _check, about, _CHECK)
    _add_events(verb)
    verb.add_argument(
        "--act", action="store_true",
        help="carry out the decision for every kind of experiment, not for canaries alone",
    )  # fmt: skip


def _add_events(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--events", type=Path, metavar="DIR", help="default: [stream] events")


def _status(options: argparse.Namespace, store: Path) -> int:
    running = read_experiment(store)
    if running is None:
        print_result(options, None, ["no experiment is running"])
        return 1
    status, lines, found = status_of(store, running), list[str](), None
    inputs = OnlineInputs.of(options)
    try:
        with inputs.errors_explained():
            state = state_of(inputs, running)
        found = state.figures.as_json() | {"verdicts": dict(state.standing)}
        lines = [*figures_as_text(state.figures), _standing(state)]
    except (StreamError, BatchError) as error:  # what runs is shown without figures, too
        lines = [f"no figures: {error}"]
    return print_result(options, status | {"figures": found}, [*as_text(status), *lines])


def _check(options: argparse.Namespace, _store: Path) -> int:
    inputs = OnlineInputs.of(options)
    with inputs.errors_explained():
        found = check(inputs, act=options.act)
    if found is None:
        return print_result(options, None, ["no experiment is running"])
    print_result(options, found.as_json(), _as_text(found))
    is_alarm = found.outcome == CONTINUED and found.state.figures.is_sample_ratio_alarm
    return _ALARM if is_alarm else _EXIT[found.outcome]


def _as_text(found: Checked) -> list[str]:
    state = found.state
    name = state.experiment.name
    lines = [*figures_as_text(state.figures), f"{name} {found.outcome}: {found.why}"]
    if found.outcome == DECIDED:
        verb = f"promote {state.decision.arm}" if state.decision.arm else "stop"
        lines.append(f"to do so: python -m stream experiment {verb} --why TEXT, or check --act")
    if not state.is_look_due:
        lines.append("a look of this day, or of the planned end, was taken before, and stands")
    return lines


def _standing(state: ExperimentState) -> str:
    verdicts = ", ".join(f"{arm} {verdict}" for arm, verdict in state.standing.items())
    return f"looks kept: {len(state.looks)}; verdict: {verdicts}"
