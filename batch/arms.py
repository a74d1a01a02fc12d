"""The snapshots of one refresh: one, or one for each arm of the experiment that runs.

    EXPERIMENT, arms with settings ─► options of each arm ─► one snapshot an arm
                                          └─► all passed: the arms move together

The inputs are read once. An arm overrides settings of `[batch]` and `[rules]`, but not
those that say what is read. An experiment over fixed generations holds the store as a pin
does: the new snapshot is kept, and not published.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from batch.errors import InputError
from batch.inputs import RefreshInputs
from batch.interactions.build import Interactions
from batch.interactions.weights import Weighting
from batch.options import RefreshOptions
from batch.prepare import Build, interactions_of
from batch.settings import BatchSettings
from store.arms import move_arms
from store.config import overridden
from store.experiment import Arm, Experiment, read_experiment
from store.gate_result import REFUSED
from store.interleave import interleave
from store.journal import write_journal
from store.manifest import Manifest
from store.publish import publish

OVERRIDES: Final = "overrides"  # parameter in an arm's manifest: its settings by section.key

_OF_INPUTS: Final = {
    *("events", "catalogue", "profiles", "database_password_file", "item_vectors"),
    *("user_vectors", "quarantine", "quarantine_keep", "quarantine_days", "quarantine_mib"),
    *("max_rejected_share", "user_pattern", "item_pattern", "columns", "zero_rating"),
    *("engine", "spark_master", "spark_partitions", "spark_sample", "spark_sweeps"),
    "spark_wait_seconds",
}


def with_overrides(options: RefreshOptions, overrides: Mapping[str, Any]) -> RefreshOptions:
    """Return options in which some settings of `[batch]` and `[rules]` are replaced.

    Args:
        options: Options of the refresh.
        overrides: Values by `section.key`.

    Raises:
        InputError: A setting is not one that an arm may override.
        ConfigError: A value is of the wrong type or out of range.
    """
    by_section: dict[str, dict[str, Any]] = {"batch": {}, "rules": {}}
    for name, value in overrides.items():
        section, _, key = name.partition(".")
        if section not in by_section or (section == "batch" and key in _OF_INPUTS):
            remedy = "override settings of [batch] and [rules] that do not name inputs"
            raise InputError(name, "is not a setting of an arm", remedy)
        by_section[section][key] = value
    return replace(
        options,
        batch=overridden("batch", options.batch, by_section["batch"]),
        rules=overridden("rules", options.rules, by_section["rules"]),
        overrides=dict(overrides),
    )


def builds_of(options: RefreshOptions, experiment: Experiment | None) -> list[RefreshOptions]:
    """Return the options of each snapshot to build, that of the control first.

    Raises:
        InputError, ConfigError: An arm's settings are not valid.
    """
    if experiment is None or not experiment.is_rebuilt:
        return [with_overrides(options, options.overrides)]
    if not experiment.teams:
        return [_of_arm(options, experiment, arm) for arm in experiment.arms]
    # The second team's lists; they are merged with the control's when both are built.
    team = replace(experiment.arms[1], name="treatment", generation=experiment.teams[1])
    return [_of_arm(options, experiment, arm) for arm in (experiment.control, team)]


def interactions_of_all(
    inputs: RefreshInputs, builds: Sequence[RefreshOptions], build: Build
) -> list[Interactions]:
    """Return the interactions for each build; equal ones are made once by `build`.

    The last of them take the views and ratings out of the inputs; see `aggregate_events`.
    """
    distinct = {_basis(options.batch): options.batch for options in builds}
    made: dict[tuple[object, ...], Interactions] = {}
    for basis, settings in distinct.items():
        is_last = len(made) + 1 == len(distinct)
        given = inputs if is_last else replace(inputs, events=copy(inputs.events))
        made[basis] = interactions_of(given, settings, build)
    return [made[_basis(options.batch)] for options in builds]


def _basis(settings: BatchSettings) -> tuple[object, ...]:
    """Return the settings that interactions depend on."""
    weighting = Weighting.from_settings(settings)
    return weighting, settings.max_rating, settings.fold_in, settings.new_items


def publish_builds(
    store: Path,
    options: RefreshOptions,
    experiment: Experiment | None,
    built: Sequence[Manifest],
) -> bool:
    """Publish what was built, or say in the journal why not. The caller holds `writing`.

    Args:
        store: Directory of the store.
        options: Options of the refresh.
        experiment: Experiment that ran when the refresh began.
        built: Manifests of the snapshots, the control's first.

    Returns:
        Whether the first is current now.

    Raises:
        StoreError: A snapshot must not be served, or the store cannot be written.
    """
    first, why = built[0], built[0].gate.why
    if refused := [one for one in built if one.gate.result == REFUSED]:
        for one in refused:
            write_journal(store, one.generation, REFUSED, one.gate.why)
        return False
    if options.arm:
        write_journal(store, first.generation, "built", f"arm {options.arm}: {why}")
        return False
    running = read_experiment(store)
    if running is None:
        return publish(store, first.generation, why=why)
    if experiment is None or not running.is_rebuilt or running.identity != experiment.identity:
        holds = f"experiment {running.name} holds the store"
        write_journal(store, first.generation, "built", f"{why}; {holds}")
        return False
    old = [*running.teams] or [arm.generation for arm in running.arms]
    to = dict(zip(old, (one.generation for one in built), strict=True))
    if running.teams:
        control, treatment = (one.generation for one in built)
        merged = interleave(store, control, treatment, running.salt)
        to[running.arms[1].generation] = merged.generation
    move_arms(store, running.moved(to), why)
    return True


def _of_arm(options: RefreshOptions, experiment: Experiment, arm: Arm) -> RefreshOptions:
    is_control = arm is experiment.control  # an ordinary snapshot, which counts as such
    return replace(
        with_overrides(options, arm.settings),
        arm="" if is_control else arm.name,
        parent=arm.generation,
    )
