"""Changes of the experiment that runs: start, move, promote, stop.

    start     verify every generation ─► JOURNAL ─► EXPERIMENT
    move      JOURNAL ─► EXPERIMENT ─► CURRENT       all arms get new generations together
    promote   JOURNAL ─► CURRENT ─► EXPERIMENT removed
    stop      JOURNAL ─► EXPERIMENT removed          `CURRENT` is the control's already

After a crash the next writer makes `CURRENT` the control's again while there is an
experiment: a move is completed, and a promotion undone. Servers keep the arms that they
serve while `CURRENT` and `EXPERIMENT` differ for a moment.
"""

import contextlib
import re
from pathlib import Path
from typing import Final

from store.errors import ExperimentError, PinnedError, WriteError
from store.experiment import (
    Experiment,
    arms_in_words,
    experiment_file,
    read_experiment,
    write_experiment,
)
from store.journal import JournalLine, journal, write_journal
from store.pointer import current, current_or_none, pinned, point_at
from store.publish import servable, writing

GUARDRAIL: Final = "guardrail"  # begins the reason where one stops an experiment
_BY_GUARDRAIL: Final = re.compile(f"[^ ]+: {GUARDRAIL}: ")
_ARMS: Final = re.compile(r"(?P<name>[^ ]+): (?P<arms>[^ ]+ \d+(?:, [^ ]+ \d+)*): ")


def start_experiment(store: Path, experiment: Experiment, why: str) -> None:
    """Serve the arms of an experiment from now on.

    Raises:
        ExperimentError: Another one runs, or the control is not current.
        PinnedError: The store is pinned.
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError,
        RefusedSnapshotError: An arm's snapshot must not be served.
        WriteError: The store cannot be written to.
    """
    now = current(store)  # raises before `writing` makes a store at a mistyped path
    with writing(store):
        if pin := pinned(store):
            raise PinnedError(store, f"is pinned to generation {pin.generation}: {pin.why}")
        if running := read_experiment(store):
            problem = f"experiment {running.name} is running"
            raise ExperimentError(store, problem, "stop or promote it first")
        now = current(store)
        if experiment.control.generation != now:
            problem = f"its generation {experiment.control.generation} is not current, {now} is"
            raise ExperimentError(f"arm {experiment.control.name}", problem)
        for generation in experiment.generations:
            servable(store, generation)
        write_journal(store, now, "start", f"{arms_in_words(experiment)}: {why}")
        write_experiment(store, experiment)


def move_arms(store: Path, moved: Experiment, why: str) -> None:
    """Give all arms new generations together. The caller holds `writing`.

    Args:
        store: Directory of the store.
        moved: Experiment that runs, with the new generations; a replica may begin with it.
        why: Reason for the journal.

    Raises:
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError,
        RefusedSnapshotError: A new snapshot must not be served; no arm moves then.
        WriteError: The store cannot be written to.
    """
    for generation in moved.generations:
        servable(store, generation)
    control = moved.control.generation
    write_journal(store, control, "move", f"{arms_in_words(moved)}: {why}")
    write_experiment(store, moved)
    _point_at(store, control)


def promote_arm(store: Path, name: str, why: str, identity: int | None = None) -> int:
    """Make an arm's generation current for all users, and end the experiment.

    Args:
        store: Directory of the store.
        name: Name of the arm.
        why: Reason for the journal.
        identity: Identity of the experiment to end; None for any.

    Returns:
        Generation that is current now.

    Raises:
        ExperimentError: No experiment runs, or another one, or it has no such arm.
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError,
        RefusedSnapshotError: Its snapshot must not be served.
        WriteError: The store cannot be written to.
    """
    current(store)
    with writing(store):
        experiment = _running(store)
        if identity not in (None, experiment.identity):
            raise ExperimentError(store, f"experiment {experiment.name} is running meanwhile")
        generations = experiment.promotable()
        if name not in generations:
            problem = f"experiment {experiment.name} has no such arm"
            raise ExperimentError(name, problem, f"its arms: {', '.join(generations)}")
        generation = generations[name]
        servable(store, generation)
        write_journal(store, generation, "promote", f"{experiment.name}: {name}: {why}")
        _point_at(store, generation)
        write_experiment(store, None)
    return generation


def stop_experiment(store: Path, why: str, identity: int | None = None) -> Experiment | None:
    """End the experiment: all users get the lists of the control.

    Args:
        store: Directory of the store.
        why: Reason for the journal.
        identity: Identity of the experiment to end; None for any, a damaged one included.

    Returns:
        The ended experiment; None if `EXPERIMENT` was damaged, or another runs meanwhile.

    Raises:
        ExperimentError: No experiment runs.
        WriteError: The store cannot be written to.
    """
    current(store)
    with writing(store):
        experiment = None
        with contextlib.suppress(ExperimentError):
            experiment = read_experiment(store)
        if not experiment_file(store).exists():
            raise ExperimentError(store, "no experiment is running", "nothing has to be done")
        if identity is not None and (experiment is None or experiment.identity != identity):
            return None
        name = experiment.name if experiment else "damaged"
        write_journal(store, current_or_none(store), "stop", f"{name}: {why}")
        write_experiment(store, None)
    return experiment


def generations_of_experiments(store: Path, name: str | None = None) -> dict[int, set[str]]:
    """Return the arms that each generation was served to, by the journal.

    Args:
        store: Directory of the store.
        name: Name of an experiment, of whose latest start on the lines count; None: all.

    Raises:
        StoreError: `JOURNAL` exists, but cannot be read.
    """
    found: dict[int, set[str]] = {}
    for line in journal(store):
        words = _ARMS.match(line.why) if line.what in ("start", "move") else None
        if words is None or name not in (None, words["name"]):
            continue
        if line.what == "start" and name is not None:
            found.clear()
        for arm in words["arms"].split(", "):
            of_arm, _, generation = arm.partition(" ")
            found.setdefault(int(generation), set()).add(of_arm)
    return found


def stopped_by_guardrail(store: Path) -> JournalLine | None:
    """Return the end of the last experiment, if a guardrail stopped it and none runs since.

    Raises:
        StoreError: `JOURNAL` exists, but cannot be read.
    """
    lines = (line for line in reversed(journal(store)) if line.what in ("start", "stop", "promote"))
    last = next(lines, None)
    is_stop = last is not None and last.what == "stop" and _BY_GUARDRAIL.match(last.why)
    return last if is_stop else None


def _running(store: Path) -> Experiment:
    experiment = read_experiment(store)
    if experiment is None:
        raise ExperimentError(store, "no experiment is running")
    return experiment


def _point_at(store: Path, generation: int) -> None:
    try:
        point_at(store, generation)
    except OSError as error:
        raise WriteError(store, f"CURRENT cannot be written: {error.strerror}") from error
