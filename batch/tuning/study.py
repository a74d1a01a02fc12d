"""One study: trials of parameters, each kept at once, so that a study goes on where it ended.

    studies.db    study auto-3f9a…   trial 0  defaults       0.1820
                                     trial 1  n_factors 32…  0.1907
                                     trial 2  …              interrupted: tried again

A study's name is a fingerprint of all that its figures depend on. What changes any of
it begins another study in the same file.
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
from batch.tuning.nested import Nested
from batch.tuning.space import OneOf, Space

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

_FILE: Final = "studies.db"
_DIGITS: Final = 3  # of a parameter: more would promise what no figure holds

Parameters = Mapping[str, Any]


class Tried(NamedTuple):
    """One finished trial.

    Attributes:
        number: From 0, in the study.
        parameters: What was tried.
        score: The metric on the validation side; None if these parameters cannot be fitted.
        seconds: That it took.
    """

    number: int
    parameters: dict[str, Any]
    score: float | None
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends.

    Attributes:
        trials: Of the study, those of earlier runs included.
        seconds: After which this run begins no other trial; 0: never.
    """

    trials: int
    seconds: float


def check_installed() -> None:
    """Raise early, and not after an hour of reading.

    Raises:
        BatchError: Optuna is not there.
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


def fingerprint(nested: Nested, settings: BatchSettings, space: Space, aim: str) -> str:
    """Return the study's name: equal where every figure of it would be.

    Args:
        nested: Data and splits.
        settings: What is not tuned.
        space: What is.
        aim: The metric, and of what lists.
    """
    digest = hashlib.sha256()
    untouched = dataclasses.asdict(settings)
    for name in ("events", "catalogue", "profiles", "quarantine", "tuned", "n_threads"):
        del untouched[name]  # where it lies changes no figure
    about = [untouched, {name: repr(choice) for name, choice in space.items()}, aim]
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
    folder: Path,
    name: str,
    space: Space,
    defaults: Parameters,
    judge: Callable[[Parameters], float],
    limits: Limits,
    *,
    seed: int,
    on_trial: Callable[[Tried], object] = lambda _: None,
) -> list[Tried]:
    """Try parameters, the defaults first, and return all trials of the study.

    Each trial draws by the seed and by how many were finished before it, so that a
    study that was interrupted tries the same as one that was not.

    Args:
        folder: Where studies are kept.
        name: Of the study.
        space: Of each parameter, where it may lie.
        defaults: Within the space.
        judge: Returns the figure to make large.
        limits: When to end.
        seed: Of what is drawn.
        on_trial: Called with each trial once it is finished.

    Raises:
        BatchError: The defaults cannot be fitted, or the studies cannot be read.
    """
    import optuna

    study = _open(folder, name)
    began = time.monotonic()
    done = _finished(study)
    while len(done) < limits.trials:
        if done and limits.seconds and time.monotonic() - began >= limits.seconds:
            break
        study.sampler = _sampler(seed + len(done))
        if not done and not study.get_trials(states=(optuna.trial.TrialState.WAITING,)):
            study.enqueue_trial(dict(defaults))
        tried = _try(study, space, judge, is_first=not done)
        done.append(tried)
        on_trial(tried)
    return done


def best_of(done: list[Tried]) -> Tried:
    """Return the trial with the best score; of equal ones the first."""
    return max(done, key=lambda tried: -1.0 if tried.score is None else tried.score)


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
        what = f"cannot be used: {str(error).splitlines()[0]}"
        raise BatchError(path, what, "name another --out, or move this file away") from error
    return study


def _sampler(seed: int) -> Any:
    import optuna

    return optuna.samplers.TPESampler(seed=seed)


def _finished(study: "Study") -> list[Tried]:
    return [
        _tried(trial)
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]


def _tried(trial: "FrozenTrial") -> Tried:
    attributes = trial.user_attrs
    return Tried(trial.number, attributes["parameters"], trial.value, attributes["seconds"])


def _try(
    study: "Study", space: Space, judge: Callable[[Parameters], float], *, is_first: bool
) -> Tried:
    import optuna

    began = time.monotonic()
    trial = study.ask()
    parameters = {name: _suggested(trial, name, space) for name in space}
    trial.set_user_attr("parameters", parameters)
    score = None
    try:
        score = judge(parameters)
    except BatchError:  # some parameters cannot be fitted: infinite factors
        if is_first:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
    except BaseException:  # Ctrl-C
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise
    seconds = round(time.monotonic() - began, 3)
    trial.set_user_attr("seconds", seconds)
    states = optuna.trial.TrialState
    study.tell(trial, score, states.PRUNED if score is None else states.COMPLETE)
    return Tried(trial.number, parameters, score, seconds)


def _suggested(trial: "Trial", name: str, space: Space) -> Any:
    choice = space[name]
    if isinstance(choice, OneOf):
        return trial.suggest_categorical(name, choice.values)
    if choice.is_whole:
        return trial.suggest_int(name, int(choice.low), int(choice.high), log=choice.is_log)
    value = trial.suggest_float(name, choice.low, choice.high, log=choice.is_log)
    return float(f"{value:.{_DIGITS}g}")
