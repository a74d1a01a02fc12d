"""The schedule of faults: waiting, active and done, with a record of what each one did.

    "30s flood item=heat+1995 …" ─► waiting ─► active ─► done ─► faults.jsonl
        command line, or HTTP during the run      │
                                                  ├─► lines of the stream: FaultyStream
                                                  └─► world and traffic: the simulation

Where two faults of a kind are active, factors are multiplied and clock offsets added,
floods and viral items run in parallel; for other kinds the later one counts.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from batch.arrays import Flags
from benchmarks.simulator.live.audience.fault_effects import PreferenceShift
from benchmarks.simulator.live.errors import FaultError
from benchmarks.simulator.live.faults.specs import FaultSpec, read_spec
from benchmarks.simulator.world.fitted import AGES, GENRES, N_TASTES
from benchmarks.simulator.world.items import genre_profiles
from benchmarks.simulator.world.world import World

_ALL_USERS: Final = "all"


@dataclass(slots=True, eq=False)
class Fault:
    """One fault with its state.

    Attributes:
        spec: Specification of the fault.
        begins, ends: Seconds after the begin of the run; `ends` None: the end of the run.
        state: "waiting", "active" or "done".
        record: Ground truth of the effects, for tests of monitoring.
    """

    spec: FaultSpec
    begins: float
    ends: float | None
    state: str = "waiting"
    record: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the fault for the fault log and the HTTP API."""
        return {
            "kind": self.spec.kind,
            "order": self.spec.text,
            "state": self.state,
            "begins_seconds": round(self.begins, 3),
            "ends_seconds": None if self.ends is None else round(self.ends, 3),
            **dict(self.record),  # a copy in one step: the simulation may be writing
        }


class FaultSchedule:
    """All faults of one run; `FaultEffects` describes what the simulation reads.

    Args:
        world: World with the items and users that specifications name.
        specs: Faults known at the begin of the run.

    Attributes:
        seconds: Time of the last tick, seconds since the begin of the run.

    Raises:
        FaultError: A specification names an unknown item, group or taste.
    """

    def __init__(self, world: World, specs: Sequence[FaultSpec] = ()) -> None:
        self.seconds = 0.0
        self.traffic_factor = 1.0
        self.viral: Mapping[int, float] = {}
        self.shift: PreferenceShift | None = None
        self.api_outage = ""
        self._world = world
        self._item_rows = {item_id: row for row, item_id in enumerate(world.items.ids)}
        self._lock = threading.Lock()  # faults are added by other threads
        self._faults: list[Fault] = []
        self._active: list[Fault] = []
        for spec in specs:
            self.add(spec)

    def add(self, spec: FaultSpec | str) -> Fault:
        """Add a fault; its AT counts from now.

        Raises:
            FaultError: The specification is malformed, or names something unknown.
        """
        if isinstance(spec, str):
            spec = read_spec(spec)
        self._check(spec)
        begins = self.seconds + spec.at_seconds
        ends = None if spec.for_seconds is None else begins + spec.for_seconds
        fault = Fault(spec, begins, ends)
        with self._lock:
            self._faults.append(fault)
        return fault

    def tick(self, seconds: float) -> None:
        """Begin and end the faults that are due at so many seconds since the begin of the run."""
        self.seconds = max(seconds, self.seconds)
        with self._lock:
            for fault in self._faults:
                if fault.state == "waiting" and fault.begins <= self.seconds:
                    fault.state = "active"
                if fault.state == "active" and fault.ends is not None:
                    fault.state = "done" if fault.ends <= self.seconds else "active"
            active = [one for one in self._faults if one.state == "active"]
        active.sort(key=lambda one: one.begins)
        if active != self._active:
            self._active = active
            self._apply()

    def active(self, kind: str) -> list[Fault]:
        """Return the active faults of a kind, in the order in which they began."""
        return [one for one in self._active if one.spec.kind == kind]

    def last(self, kind: str) -> Fault | None:
        """Return the latest active fault of a kind, for kinds of which only one counts."""
        return next(reversed(self.active(kind)), None)

    def all(self) -> list[Fault]:
        """Return all faults."""
        with self._lock:
            return list(self._faults)

    def write(self, path: Path) -> None:
        """Write a JSON object for each fault: its effects, times, accounts and affected lines.

        Raises:
            OSError: The file cannot be written.
        """
        with path.open("w") as file:
            for fault in self.all():
                file.write(json.dumps(fault.as_json()) + "\n")

    def item_row(self, item_id: str) -> int:
        """Return the row of an item that a specification names."""
        return self._item_rows[item_id]

    def _apply(self) -> None:
        factors = [one.spec.values["factor"] for one in self.active("traffic")]
        self.traffic_factor = float(np.prod(factors))
        viral: dict[int, float] = {}
        for one in self.active("viral"):
            row = self._item_rows[one.spec.values["item"]]
            viral[row] = viral.get(row, 1.0) * one.spec.values["factor"]
        self.viral = viral
        shift = self.last("shift")
        self.shift = None if shift is None else self._shift(shift)
        api = self.last("api")
        self.api_outage = "" if api is None else api.spec.values["how"]

    def _shift(self, fault: Fault) -> PreferenceShift:
        values = fault.spec.values
        shift = PreferenceShift(self._members(values["group"]), self._taste(values["taste"]))
        fault.record |= {"taste": shift.taste, "n_users": int(shift.users.sum())}
        return shift

    def _check(self, spec: FaultSpec) -> None:
        values = spec.values
        item = values.get("item")
        if item is not None and item not in self._item_rows:
            problem = f"no item {item!r} in the catalogue of {len(self._item_rows):,} items"
            raise _error(spec, problem)
        if spec.kind == "shift":
            try:
                self._members(values["group"])
                self._taste(values["taste"])
            except ValueError as error:
                raise _error(spec, str(error)) from None

    def _members(self, group: str) -> Flags:
        """Return (n_users,) True for members of a group, such as 25-34/F."""
        users = self._world.users
        bands = {f"{low}-{high}": (users.ages >= low) & (users.ages <= high)
                 for low, high, _ in AGES}  # fmt: skip
        known = {**bands, "M": users.is_male, "F": ~users.is_male,
                 _ALL_USERS: np.ones(len(users), bool)}  # fmt: skip
        members = known[_ALL_USERS]
        for part in group.split("/"):
            if part not in known:
                raise ValueError(f"group must be made of {', '.join(known)}; it is {group!r}")
            members = members & known[part]
        return members

    def _taste(self, name: str) -> int:
        """Return a taste by its number, or the taste with the highest share of a genre."""
        if name.isascii() and name.isdecimal() and int(name) < N_TASTES:
            return int(name)
        genres = [genre.lower().replace(" ", "-") for genre in GENRES]
        if name.lower() not in genres:
            known = ", ".join(genres)
            raise ValueError(f"taste must be below {N_TASTES} or one of {known}; it is {name!r}")
        return int(genre_profiles(self._world.seed)[:, genres.index(name.lower())].argmax())


def _error(spec: FaultSpec, problem: str) -> FaultError:
    return FaultError(f"fault {spec.text!r}", problem)
