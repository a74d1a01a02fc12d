"""Trouble on command: what is ordered, what goes on now, and what was done, as ground truth.

    "30s flood item=heat+1995 …" ─► waiting ─► active ─► done ─► truth.jsonl
         the command line, or HTTP while it runs     │
                                                     ├─► the stream's lines: TroubledStream
                                                     └─► the world and the traffic: the live loop

Where two of a kind go on at once, factors are multiplied, clocks add up, floods
and viral items go on beside each other; of the rest the later one counts.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.simulator.live.audience.fault_effects import Shift
from benchmarks.simulator.live.errors import TroubleError
from benchmarks.simulator.live.faults.specs import Order, read_order
from benchmarks.simulator.world.fitted import AGES, GENRES, N_TASTES
from benchmarks.simulator.world.items import genre_profiles
from benchmarks.simulator.world.world import World

_EVERYBODY: Final = "all"


@dataclass(slots=True, eq=False)
class Happening:
    """One order on its way.

    Attributes:
        order: What was ordered.
        begins, ends: Seconds after the run's beginning; `ends` None: when the run does.
        state: "waiting", "active" or "done".
        truth: What was done, for tests of whoever should find out.
    """

    order: Order
    begins: float
    ends: float | None
    state: str = "waiting"
    truth: dict[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """Return it for people and for the file of truth."""
        return {
            "kind": self.order.kind,
            "order": self.order.text,
            "state": self.state,
            "begins_seconds": round(self.begins, 3),
            "ends_seconds": None if self.ends is None else round(self.ends, 3),
            **dict(self.truth),  # one step: the live loop may be writing
        }


class Trouble:
    """All trouble of one run; what the live loop reads of it is described in `Disturbance`.

    Args:
        world: Whose items and users are named in orders.
        orders: From the beginning on.

    Attributes:
        seconds: Of the last tick.

    Raises:
        TroubleError: An order names an item, a group or a taste that is none.
    """

    def __init__(self, world: World, orders: Sequence[Order] = ()) -> None:
        self.seconds = 0.0
        self.traffic_factor = 1.0
        self.viral: Mapping[int, float] = {}
        self.shift: Shift | None = None
        self.api_outage = ""
        self._world = world
        self._item_rows = {item_id: row for row, item_id in enumerate(world.items.ids)}
        self._lock = threading.Lock()  # orders come in beside the live loop
        self._happenings: list[Happening] = []
        self._active: list[Happening] = []
        for order in orders:
            self.order(order)

    def order(self, order: Order | str) -> Happening:
        """Take an order; its AT counts from now.

        Raises:
            TroubleError: It cannot be read, or names what is not there.
        """
        if isinstance(order, str):
            order = read_order(order)
        self._check(order)
        begins = self.seconds + order.at_seconds
        ends = None if order.for_seconds is None else begins + order.for_seconds
        happening = Happening(order, begins, ends)
        with self._lock:
            self._happenings.append(happening)
        return happening

    def tick(self, seconds: float) -> None:
        """Begin and end what is due; seconds since the run began."""
        self.seconds = max(seconds, self.seconds)
        with self._lock:
            for happening in self._happenings:
                if happening.state == "waiting" and happening.begins <= self.seconds:
                    happening.state = "active"
                if happening.state == "active" and happening.ends is not None:
                    happening.state = "done" if happening.ends <= self.seconds else "active"
            active = [one for one in self._happenings if one.state == "active"]
        active.sort(key=lambda one: one.begins)
        if active != self._active:
            self._active = active
            self._apply()

    def active(self, kind: str) -> list[Happening]:
        """Return what goes on of a kind, in the order in which it began."""
        return [one for one in self._active if one.order.kind == kind]

    def last(self, kind: str) -> Happening | None:
        """Return what counts of a kind where only one can."""
        return next(reversed(self.active(kind)), None)

    def all(self) -> list[Happening]:
        """Return everything that was ordered."""
        with self._lock:
            return list(self._happenings)

    def write(self, path: Path) -> None:
        """Write one JSON object an order: what was done, when, by which accounts, to which lines.

        Raises:
            OSError: The file cannot be written.
        """
        with path.open("w") as file:
            for happening in self.all():
                file.write(json.dumps(happening.shown()) + "\n")

    def item_row(self, item_id: str) -> int:
        """Return the row of an item that an order names."""
        return self._item_rows[item_id]

    def _apply(self) -> None:
        factors = [one.order.values["factor"] for one in self.active("traffic")]
        self.traffic_factor = float(np.prod(factors))
        viral: dict[int, float] = {}
        for one in self.active("viral"):
            row = self._item_rows[one.order.values["item"]]
            viral[row] = viral.get(row, 1.0) * one.order.values["factor"]
        self.viral = viral
        shift = self.last("shift")
        self.shift = None if shift is None else self._shift(shift)
        api = self.last("api")
        self.api_outage = "" if api is None else api.order.values["how"]

    def _shift(self, happening: Happening) -> Shift:
        values = happening.order.values
        shift = Shift(self._members(values["group"]), self._taste(values["taste"]))
        happening.truth |= {"taste": shift.taste, "n_users": int(shift.users.sum())}
        return shift

    def _check(self, order: Order) -> None:
        values = order.values
        item = values.get("item")
        if item is not None and item not in self._item_rows:
            raise _wrong(order, f"no item {item!r} in the catalogue, of {len(self._item_rows):,}")
        if order.kind == "shift":
            try:
                self._members(values["group"])
                self._taste(values["taste"])
            except ValueError as error:
                raise _wrong(order, str(error)) from None

    def _members(self, group: str) -> npt.NDArray[np.bool_]:
        """Return (n_users,) who is in a group, such as 25-34/F."""
        users = self._world.users
        bands = {f"{low}-{high}": (users.ages >= low) & (users.ages <= high)
                 for low, high, _ in AGES}  # fmt: skip
        known = {**bands, "M": users.is_male, "F": ~users.is_male,
                 _EVERYBODY: np.ones(len(users), bool)}  # fmt: skip
        members = known[_EVERYBODY]
        for part in group.split("/"):
            if part not in known:
                raise ValueError(f"group must be made of {', '.join(known)}; it is {group!r}")
            members = members & known[part]
        return members

    def _taste(self, name: str) -> int:
        """Return a taste by its number, or the one that has most of a genre."""
        if name.isascii() and name.isdecimal() and int(name) < N_TASTES:
            return int(name)
        genres = [genre.lower().replace(" ", "-") for genre in GENRES]
        if name.lower() not in genres:
            known = ", ".join(genres)
            raise ValueError(f"taste must be below {N_TASTES} or one of {known}; it is {name!r}")
        return int(genre_profiles(self._world.seed)[:, genres.index(name.lower())].argmax())


def _wrong(order: Order, what: str) -> TroubleError:
    return TroubleError(f"trouble {order.text!r}", what)
