"""A study: trials of parameters, each stored when it ends, so that a later run continues it.

    studies.db    study auto-3f9a…   trial 0  defaults       0.1820
                                     trial 1  n_factors 32…  0.1907
                                     trial 2  …              interrupted: repeated

A study's name is a fingerprint of all that its scores depend on. Any change of the data,
the split, the settings or the metric begins another study in the same file.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from batch.errors import BatchError
from batch.settings import BatchSettings
from batch.tuning.nested import NestedSplit
from batch.tuning.space import OneOf, Space

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

_FILE: Final = "studies.db"
_SIGNIFICANT_DIGITS: Final = 3  # of a parameter; scores do not resolve more

Parameters = Mapping[str, Any]


class TuningTrial(NamedTuple):
    """One finished trial.

    Attributes:
        number: Number in the study, from 0.
        parameters: Parameters of the trial.
        score: Metric on the validation set; None if these parameters cannot be fitted.
        seconds: Duration.
    """

    number: int
    parameters: dict[str, Any]
    score: float | None
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class StudyLimits:
    """Limits of a run.

    Attributes:
        max_trials: Number of trials of the study, those of earlier runs included.
        max_seconds: Time after which this run begins no other trial; 0 means no limit.
    """

    max_trials: int
    max_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class StudyPlan:
    """Definition of a study.

    Attributes:
        folder: Directory of the studies' file.
        name: Name of the study, its fingerprint.
        space: Search space of each parameter.
        defaults: Parameters of the first trial, within the space.
        seed: Random seed of the sampled parameters.
    """

    folder: Path
    name: str
    space: Space
    defaults: Parameters
    seed: int


def check_installed() -> None:
    """Check that Optuna is installed, before any input is read.

    Raises:
        BatchError: Optuna is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise BatchError(
            "tune",
            "needs optuna, which is not installed",
            "install it with `.venv/bin/pip install 'optuna>=4.5'`",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def fingerprint(nested: NestedSplit, settings: BatchSettings, space: Space, objective: str) -> str:
    """Return the name of the study; equal names mean equal scores.

    Args:
        nested: Data and splits.
        settings: Settings that are not tuned.
        space: Search space.
        objective: Metric and length of the lists, such as `ndcg@20`.
    """
    digest = hashlib.sha256()
    fixed = dataclasses.asdict(settings)
    for name in (
        "events",
        "catalogue",
        "profiles",
        "quarantine",
        "quarantine_days",
        "quarantine_mib",
        "tuned",
        "n_threads",
    ):
        del fixed[name]  # paths and threads change no score
    about = [fixed, {name: repr(choice) for name, choice in space.items()}, objective]
    digest.update(json.dumps(about, sort_keys=True).encode())
    evidence = nested.data.evidence
    for split in (nested.outer, nested.inner):
        digest.update(split.name.encode())
        for side in (split.train, split.test):
            for part in (side.indptr, side.indices, side.data):
                digest.update(part.tobytes())
    for array in (evidence.watched, evidence.rating, evidence.last_at, nested.data.at):
        digest.update(b"-" if array is None else array.tobytes())
    return f"{settings.model}-{digest.hexdigest()[:16]}"


def search(
    plan: StudyPlan,
    score: Callable[[Parameters], float],
    limits: StudyLimits,
    *,
    on_trial: Callable[[TuningTrial], object] = lambda _: None,
) -> list[TuningTrial]:
    """Try parameters, the defaults first, and return all trials of the study.

    A trial's sampler is seeded with the seed plus the number of finished trials, so that
    an interrupted study tries the same parameters as an uninterrupted one.

    Args:
        plan: Definition of the study.
        score: Function of the parameters to maximise.
        limits: Limits of this run.
        on_trial: Callback after each trial.

    Raises:
        BatchError: The defaults cannot be fitted, or the studies cannot be read.
    """
    import optuna

    study = _open(plan.folder, plan.name)
    began = time.monotonic()
    trials = _finished(study)
    while len(trials) < limits.max_trials:
        if trials and limits.max_seconds and time.monotonic() - began >= limits.max_seconds:
            break
        study.sampler = _sampler(plan.seed + len(trials))
        if not trials and not study.get_trials(states=(optuna.trial.TrialState.WAITING,)):
            study.enqueue_trial(dict(plan.defaults))
        trial = _run_trial(study, plan.space, score, is_first=not trials)
        trials.append(trial)
        on_trial(trial)
    return trials


def best_of(trials: list[TuningTrial]) -> TuningTrial:
    """Return the trial with the best score; of equal ones the first."""
    return max(trials, key=lambda trial: -1.0 if trial.score is None else trial.score)


def _open(folder: Path, name: str) -> "Study":
    import optuna

    path = folder / _FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", load_if_exists=True
        )
    except Exception as error:  # of sqlite3, sqlalchemy, alembic or the system
        problem = f"cannot be used: {str(error).splitlines()[0]}"
        raise BatchError(path, problem, "name another --out, or move this file away") from error
    return study


def _sampler(seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed)


def _finished(study: "Study") -> list[TuningTrial]:
    return [
        _tuning_trial(trial)
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]


def _tuning_trial(trial: "FrozenTrial") -> TuningTrial:
    attributes = trial.user_attrs
    return TuningTrial(trial.number, attributes["parameters"], trial.value, attributes["seconds"])


def _run_trial(
    study: "Study", space: Space, score: Callable[[Parameters], float], *, is_first: bool
) -> TuningTrial:
    import optuna

    began = time.monotonic()
    trial = study.ask()
    parameters = {name: _suggested(trial, name, space) for name in space}
    trial.set_user_attr("parameters", parameters)
    value = None
    try:
        value = score(parameters)
    except BatchError:  # the model cannot be fitted: its factors became infinite
        if is_first:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
    except BaseException:  # Ctrl-C
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    seconds = round(time.monotonic() - began, 3)
    trial.set_user_attr("seconds", seconds)
    states = optuna.trial.TrialState
    study.tell(trial, value, states.PRUNED if value is None else states.COMPLETE)
    return TuningTrial(trial.number, parameters, value, seconds)


def _suggested(trial: "Trial", name: str, space: Space) -> Any:
    choice = space[name]
    if isinstance(choice, OneOf):
        return trial.suggest_categorical(name, choice.values)
    if choice.is_whole:
        return trial.suggest_int(name, int(choice.low), int(choice.high), log=choice.is_log)
    value = trial.suggest_float(name, choice.low, choice.high, log=choice.is_log)
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
