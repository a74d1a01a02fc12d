"""The experiment that the options of `start` describe.

CURRENT ─► control            the arms' manifests ─► the settings that they were built with
--arm NAME=GENERATION ─► the other arms, equal shares unless given
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from store.errors import ExperimentError
from store.experiment import (
    EVERYONE,
    OVERRIDES,
    Arm,
    Experiment,
    GuardrailMargin,
    read_experiment,
)
from store.interleave import INTERLEAVED, interleave
from store.journal import write_journal
from store.layout import snapshot_folder
from store.manifest import read_manifest
from store.pointer import current, pinned
from store.publish import servable, writing

CONTROL: Final = "control"


@dataclass(frozen=True, slots=True)
class ExperimentDesign:
    """What an experiment is to find.

    Attributes:
        kind: One of `store.experiment.KINDS`.
        planned_days: Planned duration.
        metric: Name of the metric that decides.
        min_effect: Smallest relative effect that is to be found.
        alpha: Probability of a false alarm.
        power: Probability of finding `min_effect`.
        guardrails: Largest allowed loss by metric.
        salt: Text that makes the assignment of users independent of others; empty: random.
        population: Users whose figures count, one of `store.experiment.POPULATIONS`.
    """

    kind: str = "ab"
    planned_days: float = 14.0
    metric: str = "click_through"
    min_effect: float = 0.05
    alpha: float = 0.05
    power: float = 0.8
    guardrails: Mapping[str, float] | None = None
    salt: str = ""
    population: str = EVERYONE


def experiment_of(
    store: Path,
    name: str,
    generations: Mapping[str, int],
    shares: Sequence[float] | None,
    design: ExperimentDesign,
) -> Experiment:
    """Return the experiment of the current generation against others.

    Args:
        store: Directory of the store.
        name: Name of the experiment.
        generations: Generation of each arm but the control.
        shares: Share of each arm, the control first; None: equal ones.
        design: What it is to find.

    Raises:
        ExperimentError: The arms, shares or values are not valid.
        NoSnapshotError, CorruptSnapshotError, IncompatibleSnapshotError: A manifest cannot
            be read.
    """
    named = {CONTROL: current(store), **generations}
    if shares is None:
        shares = [1 / len(named)] * len(named)
    if len(shares) != len(named):
        problem = f"{len(shares)} shares for {len(named)} arms"
        raise ExperimentError("--shares", problem, "give one for each arm, the control first")
    arms = [
        Arm(arm, share, generation, settings_of(store, generation))
        for (arm, generation), share in zip(named.items(), shares, strict=True)
    ]
    return checked(
        Experiment(
            name=name,
            kind=design.kind,
            salt=design.salt or secrets.token_hex(8),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            planned_days=design.planned_days,
            arms=tuple(arms),
            metric=design.metric,
            min_effect=design.min_effect,
            alpha=design.alpha,
            power=design.power,
            guardrails=tuple(
                GuardrailMargin(metric, margin)
                for metric, margin in (design.guardrails or {}).items()
            ),
            population=design.population,
        )
    )


def interleaving_of(
    store: Path,
    name: str,
    generations: Mapping[str, int],
    shares: Sequence[float] | None,
    design: ExperimentDesign,
) -> Experiment:
    """Build the merged lists of the current generation and another, and return their experiment.

    Args:
        store: Directory of the store.
        name: Name of the experiment.
        generations: Generation of the one arm beside the control.
        shares: Share of the users with the control's lists, and of those with merged ones;
            None: all get merged ones.
        design: What it is to find.

    Raises:
        ExperimentError: The arms, shares or values are not valid; nothing is built then.
        StoreError: A snapshot cannot be read, or the store not written to.
    """
    if len(generations) != 1:
        remedy = "name one arm; several are compared in several experiments"
        raise ExperimentError("--arm", "an interleaving has two sides", remedy)
    [(arm, treatment)] = generations.items()
    given = list(shares) if shares is not None else [0.0, 1.0]
    plain = replace(design, kind="ab")
    draft = experiment_of(store, name, {arm: treatment}, given, plain)
    control = draft.control
    with writing(store):
        if read_experiment(store) is not None or pinned(store) is not None:
            problem = "an experiment is running, or the store is pinned"
            raise ExperimentError(store, problem, "stop or unpin it first")
        servable(store, treatment)
        merged = interleave(store, control.generation, treatment, draft.salt)
        write_journal(store, merged.generation, "built", f"interleaved for {name}")
    arms = (control, replace(draft.arms[1], name=INTERLEAVED, generation=merged.generation))
    teams = (control.generation, treatment)
    return checked(replace(draft, kind="interleave", arms=arms, teams=teams))


def settings_of(store: Path, generation: int) -> dict[str, Any]:
    """Return the settings that a snapshot was built with beside those in force."""
    found = read_manifest(snapshot_folder(store, generation)).parameters.get(OVERRIDES)
    return dict(found) if isinstance(found, dict) else {}


def checked(experiment: Experiment) -> Experiment:
    """Return an experiment that can be read again.

    Raises:
        ExperimentError: It cannot.
    """
    try:
        return Experiment.from_json(experiment.as_json())
    except ValueError as error:
        remedy = "`python -m stream experiment start --help` lists the options"
        raise ExperimentError(f"experiment {experiment.name!r}", str(error), remedy) from error
