"""The experiment that runs: which users get the lists of which generation.

    EXPERIMENT      {"name": "ials", "salt": "…", "arms": [control 41, treatment 42], …}
    CURRENT         41, the generation of the first arm, which is the control

    user_id, salt ─► the number of the user's arm      see `assignment`

A small JSON file beside `CURRENT`, replaced atomically and removed at the end. It is in
force while `CURRENT` names its control. The server and the analysis assign users by the
same function.
"""

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from store.arm_name import is_arm_name
from store.assignment import Assignment, arm_by_bucket, arm_function
from store.durable import fsync_path, replace_durable
from store.errors import ExperimentError, WriteError
from store.parse import (
    MAX_EXPERIMENT_BYTES,
    MAX_GENERATION,
    excerpt,
    is_count,
    parse_json_object,
    parse_time,
    read_small,
)

MAX_ARMS: Final = 4  # the scoreboard has room for so many
KINDS: Final = ("ab", "canary", "interleave")
EVERYONE: Final = "all"
NEW_USERS: Final = "new"
POPULATIONS: Final = (EVERYONE, NEW_USERS)
VERSION: Final = 1  # of the file's format; a newer one is refused

OVERRIDES: Final = "overrides"  # parameter in an arm's manifest: its settings by section.key

_FILE: Final = "EXPERIMENT"
_SETTING: Final = re.compile(r"[a-z]+\.[a-z0-9_]+")
_METRIC: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_SALT: Final = re.compile(r"[!-~]{1,64}")
_SHARE_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of an experiment.

    Attributes:
        name: Name, also in headers and metrics.
        share: Share of the users, 0 to 1.
        generation: Generation that its users are served.
        settings: Settings that differ from those in force, by `section.key`; a refresh
            builds the arm's next generation with them.
    """

    name: str
    share: float
    generation: int
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GuardrailMargin:
    """A metric that must not become worse than by a margin.

    Attributes:
        metric: Name of the metric.
        margin: Largest loss that is allowed, in the unit of the metric.
    """

    metric: str
    margin: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """The content of `EXPERIMENT`.

    Attributes:
        name: Name of the experiment.
        kind: One of `KINDS`.
        salt: Text that makes its assignment independent of that of other experiments.
        started_at: Time of the start, ISO 8601 with its zone.
        planned_days: Planned duration.
        arms: Two arms to `MAX_ARMS`; the first is the control.
        metric: Name of the metric that decides.
        min_effect: Smallest relative effect that is to be found.
        alpha: Probability of a false alarm.
        power: Probability of finding `min_effect`.
        guardrails: Metrics that must not become worse.
        teams: Generations whose lists the last arm interleaves, that of team 0 first;
            empty for other kinds.
        population: Users whose figures count: `all`, or `new`, those without a view or a
            rating before the start. All users are divided among the arms.
    """

    name: str
    kind: str
    salt: str
    started_at: str
    planned_days: float
    arms: tuple[Arm, ...]
    metric: str
    min_effect: float
    alpha: float
    power: float
    guardrails: tuple[GuardrailMargin, ...] = ()
    teams: tuple[int, ...] = ()
    population: str = EVERYONE

    @property
    def control(self) -> Arm:
        """The first arm."""
        return self.arms[0]

    @property
    def generations(self) -> list[int]:
        """Generations that the experiment needs, ascending."""
        return sorted({*(arm.generation for arm in self.arms), *self.teams})

    @property
    def tag(self) -> int:
        """Number of 64 bits, not 0, that differs for another content."""
        digest = hashlib.blake2b(self.as_text().encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") or 1

    @property
    def identity(self) -> int:
        """Number of 64 bits, not 0, that stays while the arms move to new generations."""
        about = json.dumps([self.name, self.salt, self.started_at]).encode()
        return int.from_bytes(hashlib.blake2b(about, digest_size=8).digest(), "big") or 1

    @property
    def is_rebuilt(self) -> bool:
        """Whether a refresh builds new generations: each arm behind the control has settings."""
        return all(arm.settings for arm in self.arms[1:])

    def promotable(self) -> dict[str, int]:
        """Return the generations that may become current for all users, by arm.

        A merged list belongs to no generation: the teams of an interleaving stand for it.
        """
        if self.teams:
            return {self.control.name: self.teams[0], "treatment": self.teams[1]}
        return {arm.name: arm.generation for arm in self.arms}

    @property
    def assignment(self) -> Assignment:
        """Which generation each user is served."""
        generations = tuple(arm.generation for arm in self.arms)
        return Assignment(generations, self.salt, tuple(arm.share for arm in self.arms))

    def arm_function(self) -> Callable[[bytes], int]:
        """Return the function from a user id to the number of the user's arm."""
        return arm_function(self.salt, [arm.share for arm in self.arms])

    def arm_by_bucket(self) -> bytes:
        """Return the table of that function: the number of the arm for each bucket of users."""
        return arm_by_bucket(self.salt, tuple(arm.share for arm in self.arms))

    def moved(self, to: Mapping[int, int]) -> Self:
        """Return the experiment with other generations, by the old ones."""
        arms = [
            dataclasses.replace(arm, generation=to.get(arm.generation, arm.generation))
            for arm in self.arms
        ]
        teams = tuple(to.get(generation, generation) for generation in self.teams)
        return dataclasses.replace(self, arms=tuple(arms), teams=teams)

    def as_json(self) -> dict[str, Any]:
        """Return the document that the file holds."""
        document = {"format_version": VERSION, **dataclasses.asdict(self)}
        return {
            key: [*value] if isinstance(value, tuple) else value for key, value in document.items()
        }

    def as_text(self) -> str:
        """Return the content of the file."""
        return json.dumps(self.as_json(), indent=2) + "\n"

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Return the experiment that a JSON object describes.

        Raises:
            ValueError: The format is newer, a field is missing or unknown, or a value is
                not valid; the message names it.
        """
        version = document.get("format_version", VERSION) if isinstance(document, dict) else VERSION
        if version != VERSION:
            raise ValueError(f"format version {excerpt(version)}, but this code reads {VERSION}")
        values = _fields(cls, document, _VALID, ignored={"format_version"})
        parse_time(values["started_at"])
        values["arms"] = tuple(_fields_of(Arm, arm, _VALID_ARM) for arm in values["arms"])
        given = values.get("guardrails", ())
        values["guardrails"] = tuple(
            _fields_of(GuardrailMargin, one, _VALID_GUARDRAIL) for one in given
        )
        values["teams"] = tuple(values.get("teams", ()))
        experiment = cls(**values)
        _check_arms(experiment)
        return experiment


def experiment_file(store: Path) -> Path:
    """Return the path of the experiment, which need not exist."""
    return store / _FILE


def read_experiment(store: Path) -> Experiment | None:
    """Return the experiment of a store; None without one.

    Raises:
        ExperimentError: The file exists, but cannot be read, or is not valid.
    """
    path = experiment_file(store)
    try:
        return parse_experiment(read_small(path, MAX_EXPERIMENT_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ExperimentError(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ExperimentError(path, f"is not a valid experiment: {error}") from error


def experiment_beside(store: Path, current: int) -> Experiment | None:
    """Return the experiment that divides the users of the current generation, if one does.

    Raises:
        ExperimentError: `EXPERIMENT` is damaged.
    """
    experiment = read_experiment(store)
    is_in_force = experiment is not None and experiment.control.generation == current
    return experiment if is_in_force else None


def parse_experiment(content: bytes) -> Experiment:
    """Return the experiment in the content of a file.

    Raises:
        ValueError: It is not valid.
    """
    return Experiment.from_json(parse_json_object(content))


def write_experiment(store: Path, experiment: Experiment | None) -> None:
    """Replace the experiment, or remove it for None, so that it survives a power cut.

    The caller holds `writing`.

    Raises:
        WriteError: It could not be written.
    """
    path = experiment_file(store)
    try:
        if experiment is not None:
            replace_durable(path, experiment.as_text())
        elif path.exists():
            path.unlink()
            fsync_path(store)
    except OSError as error:
        raise WriteError(path, f"cannot be written: {error.strerror}") from error


def arms_in_words(experiment: Experiment) -> str:
    """Return name and arms in one line: `ials: control 41, treatment 42`."""
    arms = ", ".join(f"{arm.name} {arm.generation}" for arm in experiment.arms)
    return f"{experiment.name}: {arms}"


def _check_arms(experiment: Experiment) -> None:
    names = [arm.name for arm in experiment.arms]
    if not 2 <= len(names) <= MAX_ARMS or len({*names}) < len(names):
        raise ValueError(f"arms: 2 to {MAX_ARMS} arms of different names are required")
    total = math.fsum(arm.share for arm in experiment.arms)
    if abs(total - 1) > _SHARE_TOLERANCE:
        raise ValueError(f"arms: the shares add up to {total:g} instead of 1")
    if (experiment.kind == "interleave") != (len(experiment.teams) == 2):
        raise ValueError("teams: two generations are required to interleave, and else none")


def _fields_of(kind: type[Any], document: Any, valid: Mapping[str, Callable[[Any], bool]]) -> Any:
    return kind(**_fields(kind, document, valid))


def _fields(
    kind: type[Any],
    document: Any,
    valid: Mapping[str, Callable[[Any], bool]],
    ignored: frozenset[str] | set[str] = frozenset(),
) -> dict[str, Any]:
    """Return the checked fields of a dataclass; those with a default may be missing."""
    if not isinstance(document, dict):
        raise ValueError(f"{excerpt(document)} is not an object")  # noqa: TRY004 - damaged file
    known = {one.name: one for one in dataclasses.fields(kind)}
    if unknown := sorted(document.keys() - known.keys() - ignored):
        raise ValueError(f"{excerpt(', '.join(unknown))}: unknown; a newer version may write it")
    required = {
        name
        for name, one in known.items()
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - document.keys()):
        raise ValueError(f"{', '.join(missing)}: missing")
    for name in known.keys() & document.keys():
        if not valid[name](document[name]):
            raise ValueError(f"{name}: {excerpt(document[name])} is not a valid value")
    return {name: document[name] for name in known if name in document}


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in (int, float) and low <= value <= high


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_generation(value: object) -> bool:
    return is_count(value, 1, MAX_GENERATION)


def _are_settings(value: object) -> bool:
    return isinstance(value, dict) and all(_SETTING.fullmatch(key) for key in value)


_TINY: Final = 1e-12
_VALID: Final[dict[str, Callable[[Any], bool]]] = {
    "name": is_arm_name,
    "kind": lambda value: value in KINDS,
    "salt": _matches(_SALT),
    "started_at": lambda value: isinstance(value, str),
    "planned_days": _within(_TINY, 3650),
    "arms": _is_list,
    "metric": _matches(_METRIC),
    "min_effect": _within(_TINY, 100),
    "alpha": _within(_TINY, 0.5),
    "power": _within(0.5, 1 - _TINY),
    "guardrails": _is_list,
    "teams": lambda value: isinstance(value, list) and all(map(_is_generation, value)),
    "population": lambda value: value in POPULATIONS,
}
_VALID_ARM: Final[dict[str, Callable[[Any], bool]]] = {
    "name": is_arm_name,
    "share": _within(0, 1),
    "generation": _is_generation,
    "settings": _are_settings,
}
_VALID_GUARDRAIL: Final[dict[str, Callable[[Any], bool]]] = {
    "metric": _matches(_METRIC),
    "margin": _within(0, 1e9),
}
