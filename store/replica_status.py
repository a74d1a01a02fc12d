"""The reports of replicas: one small file of each at the remote, which it alone writes.

    replicas/node-1.json    {"format_version": 1, "seen_at": 1795802400.0, "current": 41,
                             "ready": 42, "ready_at": 1795802399.2, "is_pinned": false,
                             "problem": ""}

A pull reports at its end, and before it waits for others. An unchanged state is
reported every `report_seconds`. The reports are not signed: nothing that is served
depends on them, only when a new generation is.
"""

import contextlib
import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from store.errors import ConfigError, OversizeError, PinnedError, ReplicaError
from store.parse import MAX_GENERATION, excerpt, is_count, parse_json_object
from store.pointer import current_or_none, pinned
from store.remote import CURRENT, Remote
from store.replica_settings import ReplicaSettings, is_replica_name

_FOLDER: Final = "replicas"
_SUFFIX: Final = ".json"
_FORMAT_VERSION: Final = 1
_MAX_BYTES: Final = 8192
_MAX_PROBLEM_CHARACTERS: Final = 1000
_LATEST: Final = 1e11  # seconds since 1970


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """What a replica reports.

    Attributes:
        seen_at: Time of the report, seconds since 1970; 0 if it cannot be read.
        current: Generation that it serves; None for none.
        ready: Newest generation that the remote's state needs and that is complete there; None
            for none.
        ready_at: Time since which it is complete, seconds since 1970; 0 for none.
        is_pinned: Whether its store is pinned.
        problem: Error of its last pull; empty for none.
    """

    seen_at: float
    current: int | None
    ready: int | None = None
    ready_at: float = 0.0
    is_pinned: bool = False
    problem: str = ""

    def has(self, generation: int) -> bool:
        """Return whether that generation is complete there, or a later one."""
        return self.ready is not None and self.ready >= generation

    @property
    def is_readable(self) -> bool:
        """Whether the report could be read."""
        return self.seen_at > 0

    @classmethod
    def unreadable(cls, problem: str) -> "ReplicaStatus":
        """Return the status of a replica whose report cannot be read."""
        return cls(0.0, None, problem=problem)


def check_replica(remote: Remote, replica: ReplicaSettings) -> None:
    """Check that this machine can report to the remote, if it should.

    Raises:
        ConfigError: It has no name, or the remote can only be read.
    """
    if replica.barrier and not replica.name:
        problem = "is missing, but [replica] barrier is set"
        raise ConfigError("[replica] name", problem, "set it, for example by MARQUEE_REPLICA_NAME")
    if replica.name and remote.is_read_only:
        problem = f"reports cannot be written to {remote.url}"
        remedy = "pull from the directory or bucket behind it, or remove name and barrier"
        raise ConfigError("[replica] name", problem, remedy)


def report(
    store: Path, remote: Remote, replica: ReplicaSettings, ready: int | None, problem: str = ""
) -> ReplicaStatus:
    """Write the report of this machine, unless the last one says the same and is not old.

    Args:
        store: Directory of the store.
        remote: Remote that it pulls from.
        replica: Name of the machine, and the time between reports.
        ready: Generation that is complete here; None if this pull failed.
        problem: Why it failed.

    Raises:
        ReplicaError: The remote cannot be reached, or not be written to.
    """
    now = time.time()
    last = read_status(remote, replica.name) or ReplicaStatus(0.0, None)
    if ready is None:
        ready, ready_at = last.ready, last.ready_at
    else:
        ready_at = last.ready_at if last.ready == ready and 0 < last.ready_at <= now else now
    status = ReplicaStatus(
        now,
        current_or_none(store),
        ready,
        ready_at,
        _is_pinned(store),
        problem[:_MAX_PROBLEM_CHARACTERS],
    )
    is_same = dataclasses.replace(last, seen_at=now) == status
    if not is_same or not 0 <= now - last.seen_at < replica.report_seconds:
        if remote.size(CURRENT) is None:  # for example a directory that is not mounted now
            raise ReplicaError(remote.url, "nothing has been pushed there yet")
        document = {"format_version": _FORMAT_VERSION, **dataclasses.asdict(status)}
        remote.write(_name(replica.name), json.dumps(document).encode() + b"\n")
    return status


def read_status(remote: Remote, name: str) -> ReplicaStatus | None:
    """Return the last report of a replica, None if there is none.

    Raises:
        ReplicaError: The remote cannot be reached.
    """
    try:
        content = remote.read(_name(name), _MAX_BYTES)
        return None if content is None else _parsed(content)
    except OversizeError:
        return ReplicaStatus.unreadable(f"its report is larger than {_MAX_BYTES:,} bytes")
    except ValueError as error:
        return ReplicaStatus.unreadable(f"its report is not valid: {error}")


def read_statuses(remote: Remote, listed: tuple[str, ...] = ()) -> dict[str, ReplicaStatus | None]:
    """Return the last report of each replica by name; None for a listed one without a report.

    Raises:
        ReplicaError: The remote cannot be reached.
    """
    found = (Path(name) for name in remote.names(_FOLDER) if name.endswith(_SUFFIX))
    names = {*listed, *(path.stem for path in found if is_replica_name(path.stem))}
    return {name: read_status(remote, name) for name in sorted(names)}


def remove_status(remote: Remote, name: str) -> None:
    """Remove the report of a replica that no longer exists.

    Raises:
        ReplicaError: It has none, or the remote cannot be written to.
    """
    if not is_replica_name(name) or remote.size(_name(name)) is None:
        raise ReplicaError(f"{remote.url}/{_FOLDER}", f"has no report of {excerpt(name)}")
    remote.remove(_name(name))


def _name(replica: str) -> str:
    return f"{_FOLDER}/{replica}{_SUFFIX}"


def _is_pinned(store: Path) -> bool:
    with contextlib.suppress(PinnedError):  # a damaged pin holds the store, too
        return pinned(store) is not None
    return True


def _parsed(content: bytes) -> ReplicaStatus:
    document = parse_json_object(content)
    if document.pop("format_version", None) != _FORMAT_VERSION:
        raise ValueError("another format_version")
    if document.keys() != {field.name for field in dataclasses.fields(ReplicaStatus)}:
        raise ValueError("keys are missing or unknown")
    are_sound = (
        all(_is_time(document[key]) for key in ("seen_at", "ready_at")),
        all(_is_generation(document[key]) for key in ("current", "ready")),
        type(document["is_pinned"]) is bool,
        type(document["problem"]) is str,
    )
    if not all(are_sound):
        raise ValueError("a value is of another type, or out of range")
    return ReplicaStatus(**document)


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < _LATEST


def _is_generation(value: Any) -> bool:
    return value is None or is_count(value, 1, MAX_GENERATION)
