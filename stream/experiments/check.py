"""A look at the experiment that runs, and what follows from it.

    guardrail beyond its margin        stops the experiment, whatever its kind
    canary better | worse              promotes itself | stops itself
    canary at its planned end          stops itself: no difference was found
    other kinds, in the same cases     are decided by a person, or with `act` as canaries
    sample ratio alarm                 is reported; nothing is promoted during it

A group sequential design counts one look a day, up to the planned end. A difference that a
look found stays found. Guardrails are looked at every time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from store.arms import GUARDRAIL, promote_arm, stop_experiment
from store.errors import ExperimentError
from store.experiment import Experiment, read_experiment
from store.figure_names import metric_name
from store.pointer import current_or_none
from stream.experiments.figures import (
    ANY_TIME,
    BETTER,
    INTERLEAVE,
    UNDECIDED,
    WORSE,
    ExperimentFigures,
    analyse,
)
from stream.experiments.looks import ExperimentLook, identity_of, keep_look, kept_looks, looking
from stream.experiments.observed import observe
from stream.experiments.statistics.guardrail import STOP
from stream.online.inputs import OnlineInputs

CONTINUED: Final = "continued"
STOPPED: Final = "stopped"
PROMOTED: Final = "promoted"
DECIDED: Final = "decided"
_CANARY: Final = "canary"
_DAY: Final = slice(10)  # of a time in ISO 8601


class Decision(NamedTuple):
    """What follows from the looks so far.

    Attributes:
        outcome: CONTINUED, or STOPPED or PROMOTED where that is to be done.
        arm: Arm to be promoted; empty for none.
        why: Reason in words.
    """

    outcome: str
    arm: str
    why: str


class ExperimentState(NamedTuple):
    """The experiment at the newest event.

    Attributes:
        experiment: Experiment that runs.
        figures: Figures until now.
        looks: Looks that were kept, oldest first.
        is_look_due: Whether figures count as a new look.
        standing: Verdict that stands, by arm beside the control.
        decision: What follows.
    """

    experiment: Experiment
    figures: ExperimentFigures
    looks: Sequence[ExperimentLook]
    is_look_due: bool
    standing: Mapping[str, str]
    decision: Decision


class Checked(NamedTuple):
    """The result of a check.

    Attributes:
        outcome: CONTINUED, STOPPED, PROMOTED, or DECIDED where a person has to act.
        why: Reason in words.
        state: State that it follows from.
    """

    outcome: str
    why: str
    state: ExperimentState

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        return {
            "name": self.state.experiment.name,
            "outcome": self.outcome,
            "why": self.why,
            "is_new_look": self.state.is_look_due,
            "verdicts": dict(self.state.standing),
            "figures": self.state.figures.as_json(),
        }


def state_of(inputs: OnlineInputs, experiment: Experiment) -> ExperimentState:
    """Return the state of an experiment; nothing is kept but the hours.

    Raises:
        StreamError: There are no events, or the hours or looks are damaged.
        InputError: A file of events is damaged.
    """
    users = observe(inputs, experiment)
    looks = kept_looks(inputs.folder, experiment)
    today = _earlier(experiment, looks, users.until_text)
    figures = analyse(experiment, users, looks[:today])
    is_due = today == len(looks)
    counted = [*(look.verdicts for look in looks), *([figures.verdicts] if is_due else [])]
    standing = {arm: _first(counted, arm) for arm in experiment.promotable()}
    del standing[experiment.control.name]
    decision = _decide(experiment, figures, standing)
    return ExperimentState(experiment, figures, looks, is_due, standing, decision)


def check(inputs: OnlineInputs, *, act: bool = False) -> Checked | None:
    """Take a look at the experiment that runs, act, and keep the look; None if nothing runs.

    Args:
        inputs: Store, events and hours.
        act: Whether a decision is carried out for every kind, not for canaries alone.

    Raises:
        ExperimentError: The experiment is not in force, or ended meanwhile.
        StoreError: The store cannot be written to, the arm's snapshot must not be served, or
            another check runs.
        OSError: The directory of the hours cannot be written to.
        StreamError: There are no events, or the hours or looks are damaged.
        InputError: A file of events is damaged.
    """
    if read_experiment(inputs.store) is None:
        return None
    with looking(inputs.folder):
        experiment = read_experiment(inputs.store)
        return _checked(inputs, experiment, act=act) if experiment else None


def _checked(inputs: OnlineInputs, experiment: Experiment, *, act: bool) -> Checked:
    if experiment.control.generation != current_or_none(inputs.store):
        problem = f"experiment {experiment.name} is not in force: its control is not current"
        raise ExperimentError(inputs.store, problem, "look with `python -m store doctor`")
    state = state_of(inputs, experiment)
    decision, figures = state.decision, state.figures
    is_safety = any(one.found.verdict == STOP for one in figures.guardrails)
    outcome = decision.outcome
    if outcome != CONTINUED and not (is_safety or act or experiment.kind == _CANARY):
        outcome = DECIDED
    by = GUARDRAIL if is_safety else "check"
    _act(inputs, experiment, outcome, decision._replace(why=f"{by}: {decision.why}"))
    if state.is_look_due or outcome in (STOPPED, PROMOTED):
        look = ExperimentLook(
            experiment=identity_of(experiment),
            at=figures.until,
            elapsed=figures.elapsed,
            n_planned=figures.n_planned,
            n_users=[arm.n_users for arm in figures.arms],
            information={one.arm: one.information for one in figures.comparisons},
            verdicts=dict(state.standing),
            outcome=outcome,
            figures=figures.as_json(),
            why=decision.why,
        )
        keep_look(inputs.folder, experiment, look)
    return Checked(outcome, decision.why, state)


def _act(inputs: OnlineInputs, experiment: Experiment, outcome: str, decision: Decision) -> None:
    why = decision.why
    if outcome == PROMOTED:
        promote_arm(inputs.store, decision.arm, why, experiment.identity)
    elif outcome == STOPPED and not stop_experiment(inputs.store, why, experiment.identity):
        raise ExperimentError(inputs.store, f"experiment {experiment.name} ended meanwhile")


def _decide(
    experiment: Experiment, figures: ExperimentFigures, standing: Mapping[str, str]
) -> Decision:
    for one in figures.guardrails:
        if one.found.verdict == STOP:
            why = f"“{one.arm}” loses more than {one.margin:g} of {metric_name(one.metric)}"
            return Decision(STOPPED, "", f"{why}: {-one.found.high:.4g} at least")
    better = [arm for arm, verdict in standing.items() if verdict == BETTER]
    if better:
        gains = {one.arm: abs(one.found.effect) for one in figures.comparisons}
        best = max(better, key=lambda arm: gains.get(arm, 0.0))
        why = f"“{best}” is better{_in_what(experiment)}"
        if figures.is_sample_ratio_alarm:
            alarm = "the arms do not have the users that their shares promise"
            return Decision(CONTINUED, "", f"{why}, but {alarm}")
        return Decision(PROMOTED, best, why)
    if all(verdict == WORSE for verdict in standing.values()):
        arms = ", ".join(f"“{arm}”" for arm in standing)
        are = "is" if len(standing) == 1 else "are"
        return Decision(STOPPED, "", f"{arms} {are} worse{_in_what(experiment)}")
    if figures.elapsed >= 1:
        return Decision(STOPPED, "", f"no arm is better{_in_what(experiment)} by the planned end")
    return Decision(CONTINUED, "", "no decision yet")


def _in_what(experiment: Experiment) -> str:
    by_users = ", by the preference of users"
    return by_users if experiment.kind == INTERLEAVE else f" in {metric_name(experiment.metric)}"


def _earlier(experiment: Experiment, looks: Sequence[ExperimentLook], until: str) -> int:
    """Return the number of looks before this one: a daily design has one a day, and an end."""
    if experiment.kind in ANY_TIME or not looks:
        return len(looks)
    is_taken = looks[-1].elapsed >= 1 or looks[-1].at[_DAY] == until[_DAY]
    return len(looks) - is_taken


def _first(verdicts: Sequence[Mapping[str, str]], arm: str) -> str:
    """Return the first verdict on an arm that is one."""
    found = (of_look.get(arm, UNDECIDED) for of_look in verdicts)
    return next((verdict for verdict in found if verdict != UNDECIDED), UNDECIDED)
