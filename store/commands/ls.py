"""`ls`: the generations of a store, newest first; it reads the manifests and `EXPERIMENT` alone."""

import argparse
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from store.commands.output import add_json, age, remark, report, table
from store.errors import ExperimentError, StoreError
from store.experiment import Experiment, arms_in_words, experiment_beside
from store.layout import generations, snapshot_folder
from store.manifest import read_manifest
from store.partial import absent_files, shards_in_place
from store.pointer import Pin, current, current_or_none, pinned
from store.shards import shards_in_words
from store.takedown import takedowns

_HEAD = ("", "generation", "finished", "age", "users", "items", "MB", "gate")


def add_parser(verbs: Any) -> None:
    """Declare the verb."""
    about = "List the snapshots, newest first; * marks the served one, P a pinned one."
    verb = verbs.add_parser("ls", help=about, description=about)
    add_json(verb)
    verb.set_defaults(run=_ls)


class Listing(NamedTuple):
    """The snapshots of a store, and what is in force.

    Attributes:
        served: Current generation; None if nothing is served.
        pin: Pin; None if the store is not pinned.
        n_takedowns: Number of items that are hidden.
        experiment: Experiment that runs; None without one.
        snapshots: Figures of each snapshot, the newest first.
    """

    served: int | None
    pin: Pin | None
    n_takedowns: int
    experiment: Experiment | None
    snapshots: list[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return the listing for programs."""
        return {
            "current": self.served,
            "pin": self.pin._asdict() if self.pin else None,
            "takedowns": self.n_takedowns,
            "experiment": self.experiment.name if self.experiment else None,
            "snapshots": self.snapshots,
        }

    def lines(self) -> Iterable[str]:
        """Return the listing for people."""
        pin, experiment = self.pin, self.experiment
        held = f"pinned to generation {pin.generation}: {pin.why}" if pin else "not pinned"
        yield f"{held}; takedowns in force: {self.n_takedowns}"
        if experiment:
            yield f"experiment {arms_in_words(experiment)}"
        head = (*_HEAD, "arm") if experiment else _HEAD
        sound = [entry for entry in self.snapshots if "error" not in entry]
        yield from table(head, [_row(entry)[: len(head)] for entry in sound])
        for entry in sound:
            if entry["shards"] is not None:
                shards = shards_in_words(entry["shards"])
                yield f"    {entry['generation']}  partial: shards {shards} of {entry['n_shards']}"
        for entry in self.snapshots:
            if "error" in entry:
                yield f"{_mark(entry):2}  {entry['generation']}  damaged: {entry['error']}"


def listing(store: Path) -> Listing:
    """Return the snapshots of a store.

    Raises:
        StoreError: It has none, or its pointer or pin is damaged.
    """
    served, pin, n_takedowns = current_or_none(store), pinned(store), len(takedowns(store))
    known = generations(store)
    if not known:
        current(store)  # raises: nothing has been published yet
    now = datetime.now(UTC)
    experiment = _experiment(store, served)
    found = [
        _entry(store, generation, served, pin, now) | {"arms": _arms(experiment, generation)}
        for generation in reversed(known)
    ]
    return Listing(served, pin, n_takedowns, experiment, found)


def _ls(store: Path, options: argparse.Namespace) -> int:
    found = listing(store)
    report(options, found.as_json(), found.lines())
    if found.served is None:
        remark("nothing is served; run `python -m store doctor`")
    return 0 if found.served else 1


def _entry(
    store: Path, generation: int, served: int | None, pin: Pin | None, now: datetime
) -> dict[str, Any]:
    entry = {
        "generation": generation,
        "current": generation == served,
        "pinned": pin is not None and generation == pin.generation,
    }
    try:
        folder = snapshot_folder(store, generation)
        about = read_manifest(folder)
        in_place = shards_in_place(folder) if about.n_shards > 1 else None
        absent = absent_files(folder, about.n_shards)
        finished_at = datetime.fromisoformat(about.finished_at)
        return entry | {
            "finished_at": about.finished_at,
            "age_seconds": round((now - finished_at).total_seconds()),
            "n_users": about.counts["recs.mdb/users"],
            "n_items": about.counts["recs.mdb/items"],
            "n_bytes": sum(size for name, size in about.files.items() if name not in absent),
            "gate": about.gate.result,
            "shards": sorted(in_place) if in_place is not None else None,
            "n_shards": about.n_shards,
        }
    except StoreError as error:
        return entry | {"error": str(error)}
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:  # JSON, but with values of other types
        return entry | {"error": f"its manifest is not valid: {error!r}"}


def _experiment(store: Path, served: int | None) -> Experiment | None:
    try:
        return experiment_beside(store, served) if served else None
    except ExperimentError as error:
        remark(str(error))
        return None


def _arms(experiment: Experiment | None, generation: int) -> list[str]:
    arms = experiment.arms if experiment else ()
    return [arm.name for arm in arms if arm.generation == generation]


def _row(entry: dict[str, Any]) -> tuple[object, ...]:
    return (
        f"{_mark(entry):2}",
        str(entry["generation"]),
        entry["finished_at"],
        age(entry["age_seconds"]),
        entry["n_users"],
        entry["n_items"],
        entry["n_bytes"] / 1e6,
        entry["gate"],
        ", ".join(entry["arms"]),
    )


def _mark(entry: dict[str, Any]) -> str:
    return ("*" if entry["current"] else "") + ("P" if entry["pinned"] else "")
