"""The looks at an experiment: one line of JSON a look, in a file for each name.

var/online/experiments/ials.jsonl     {"experiment": "5f…", "at": "2026-11-28T03:00:00", …}

A group sequential bound and the sample ratio need what earlier looks found. A name may be
used again: each line has the identity of its experiment.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from store.durable import append_durable
from store.experiment import Experiment
from store.locks import locked
from stream.errors import StreamError

_FOLDER: Final = "experiments"
_LOCK: Final = "LOCK"


@dataclass(frozen=True, slots=True)
class ExperimentLook:
    """One look at an experiment.

    Attributes:
        experiment: Identity of the experiment, hexadecimal.
        at: Time of the newest event by its clock, ISO 8601.
        elapsed: Share of the planned duration.
        n_planned: Users of all arms at which the always-valid intervals are narrowest.
        n_users: Users of each arm.
        information: 1 / variance of the effect, by arm beside the control.
        verdicts: `better`, `worse` or `n.s.`, by arm beside the control.
        outcome: What the check did or said.
        figures: Figures as JSON has them.
        why: Reason of the outcome in words; empty in looks that were kept without it.
    """

    experiment: str
    at: str
    elapsed: float
    n_planned: int
    n_users: Sequence[int]
    information: Mapping[str, float]
    verdicts: Mapping[str, str]
    outcome: str
    figures: Mapping[str, Any]
    why: str = ""


def identity_of(experiment: Experiment) -> str:
    """Return the identity of an experiment, as its looks have it."""
    return f"{experiment.identity:016x}"


@contextlib.contextmanager
def looking(online: Path) -> Iterator[None]:
    """Take looks alone: two at once would count as one and be kept as two.

    Raises:
        StoreBusyError: Another process takes one.
        OSError: The directory cannot be written to.
    """
    folder = online / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / _LOCK):
        yield


def keep_look(online: Path, experiment: Experiment, look: ExperimentLook) -> None:
    """Append a look. The caller holds `looking`.

    Args:
        online: Directory of the hours.
        experiment: Experiment.
        look: Look at it.

    Raises:
        StreamError: It cannot be written.
    """
    path = _path(online, experiment)
    try:
        append_durable(path, json.dumps(asdict(look)) + "\n")
    except OSError as error:
        remedy = "make room there, or set [online] path"
        raise StreamError(path, f"cannot be written: {error.strerror}", remedy) from error


def kept_looks(online: Path, experiment: Experiment) -> list[ExperimentLook]:
    """Return the looks at an experiment, oldest first; a torn line is left out.

    Raises:
        StreamError: The file cannot be read, or a line is not of a look.
    """
    path = _path(online, experiment)
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StreamError(path, f"cannot be read: {error.strerror}", "check its rights") from error
    looks = []
    for line in lines:
        try:
            looks.append(ExperimentLook(**json.loads(line)))
        except ValueError:
            continue
        except TypeError as error:
            remedy = "move the file away; looks are counted anew then"
            raise StreamError(path, f"has a line that is not a look: {error}", remedy) from error
    return [look for look in looks if look.experiment == identity_of(experiment)]


def _path(online: Path, experiment: Experiment) -> Path:
    return online / _FOLDER / f"{experiment.name}.jsonl"
