"""A stream between the simulation and the real one, in which faults change the lines.

    lines ─► flood ─► edition ─► jump ─► schema ─► noise ─► numbered ─► the real stream
                                                                └─ kafka: lines wait here

Without faults lines pass unchanged. The fault log counts lines from 1 in the order in
which they leave here, dropped ones too. In a new file that is the line number, in a
new topic the offset plus 1, unless lines were dropped.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

from benchmarks.simulator.clock import FIRST_DAY
from benchmarks.simulator.live.faults.active import Fault, FaultSchedule
from benchmarks.simulator.live.faults.flood import Flood
from benchmarks.simulator.live.faults.log_format import LogFormatChange
from benchmarks.simulator.live.faults.noise import LineNoise
from benchmarks.simulator.live.faults.schemas import SCHEMAS
from benchmarks.simulator.live.stream.dropped_lines import DroppedLines
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.live.stream.times import TimeShift, seconds_of, split_time
from benchmarks.simulator.log_formats import LOG_FORMATS, LogFormat
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.world import World

_BUFFER_LINES: Final = 500_000
_MAX_HELD_PER_SEND: Final = 20_000  # held lines passed on with each send, to keep it short
_EPOCH: Final = int(FIRST_DAY.astype(np.int64))

Change = Callable[[Sequence[bytes]], list[bytes]]


class Suspendable(Protocol):
    """A destination that can be suspended, such as `Brokers`."""

    def suspend(self) -> None:
        """Stop answering."""

    def resume(self) -> None:
        """Continue to answer."""


class FaultyStream:
    """Passes lines on, changed by the faults that are active when they arrive.

    Args:
        stream: Destination of the lines; closed with this one.
        faults: Schedule of faults; the simulation calls its `tick`.
        world: World whose user ids no account of a flood has.
        log_format: Format of the incoming lines.
        broker: Broker that the fault `kafka` suspends; None: lines wait here, for any
            kind of stream.
        buffer_lines: Number of lines that may wait here.
    """

    def __init__(
        self,
        stream: Stream,
        faults: FaultSchedule,
        world: World,
        log_format: LogFormat,
        *,
        broker: Suspendable | None = None,
        buffer_lines: int = _BUFFER_LINES,
    ) -> None:
        self.n_sent = 0
        self._stream = stream
        self._faults = faults
        self._world = world
        self._log_format = log_format
        self._broker = broker
        self._buffer_lines = buffer_lines
        self._held: list[bytes] = []
        self._dropped = DroppedLines()
        self._down: Fault | None = None
        self._floods: list[tuple[Fault, Flood]] = []
        self._dropped_before = 0
        self._changes: dict[Fault, Change] = {}
        self._noises: dict[Fault, LineNoise] = {}

    @property
    def n_dropped(self) -> int:
        """Lines that were dropped, here or by the real stream."""
        return self._dropped.n_lines + self._stream.n_dropped

    def send(self, lines: Sequence[bytes]) -> None:
        """Accept lines, change them by the active faults, and pass them on."""
        if lines:
            lines = self._flooded(lines)
            changing = [*self._changing(), *self._faults.active("kafka")[-1:]]
            for fault in self._changing():
                lines = self._changed(fault, lines)
            lines = self._broken(lines)
            self._record_lines(changing, len(lines))
        self.n_sent += len(lines)
        self._pass_on(lines)

    def close(self) -> None:
        """End any outage, pass on all waiting lines, and close the real stream.

        Raises:
            StreamError: Lines were dropped; the message has their number.
        """
        if self._down:
            self._set_outage(None)
        self._stream.send(self._held)
        self._held = []
        self._stream.close()
        self._dropped.check("stream with a fault `kafka`", "make the outage shorter")

    def _flooded(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Merge the lines of floods with the others, in order of time."""
        known = [fault for fault, _ in self._floods]
        for fault in self._faults.active("flood"):
            if fault not in known:
                self._begin_flood(fault)
        if not self._floods:
            return lines
        now = seconds_of(lines[-1])
        fake: list[bytes] = []
        for fault, flood in self._floods:
            due = flood.lines(self._faults.seconds - fault.begins, now)
            fake += due
            fault.record |= {"views": flood.n_views, "lines": flood.n_lines}
        self._floods = [one for one in self._floods if not one[1].is_over]
        return sorted([*lines, *fake], key=_second) if fake else lines

    def _begin_flood(self, fault: Fault) -> None:
        spec = fault.spec
        flood = Flood(
            spec.values, spec.for_seconds or 0, self._world.users.ids, self._log_format,
            self._rng(fault),
        )  # fmt: skip
        fault.record |= {"item": spec.values["item"], "accounts": flood.accounts}
        self._floods.append((fault, flood))

    def _changing(self) -> list[Fault]:
        """Return the active faults that change whole lines, in the order of their application."""
        active = self._faults.active
        return [*active("edition")[-1:], *active("jump"), *active("schema")[-1:]]

    def _changed(self, fault: Fault, lines: Sequence[bytes]) -> Sequence[bytes]:
        if fault not in self._changes:
            self._changes[fault] = self._change(fault, lines[0])
        return self._changes[fault](lines)

    def _change(self, fault: Fault, first: bytes) -> Change:
        """Return the change of lines by a fault; `first` is the first affected line."""
        values = fault.spec.values
        if fault.spec.kind == "jump":
            jump = TimeShift(values["by"])
            return lambda lines: [jump.line(line) for line in lines]
        if fault.spec.kind == "schema":
            changed = SCHEMAS[values["change"]]
            return lambda lines: [changed(line) for line in lines]
        users = self._world.users
        is_new = users.joined >= seconds_of(first) - _EPOCH
        new_users = {b"%d" % user for user in users.ids[is_new].tolist()}
        target = LOG_FORMATS[values["to"]]
        log_format = LogFormatChange(self._log_format, target, new_users, self._rng(fault))
        return lambda lines: list(log_format.lines(lines))

    def _broken(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        fault = self._faults.last("noise")
        if fault is None:
            return lines
        if fault not in self._noises:
            self._noises[fault] = LineNoise(fault.spec.values, self._rng(fault))
        lines, broken = self._noises[fault].lines(lines, self.n_sent)
        rows = [(one.line, one.kind, one.verdict) for one in broken]
        fault.record.setdefault("broken", []).extend(rows)
        self._record_lines([fault], len(lines))
        return lines

    def _record_lines(self, faults: Sequence[Fault], n_lines: int) -> None:
        """Record that these faults affect the next lines."""
        for fault in faults:
            fault.record.setdefault("first_line", self.n_sent + 1)
            fault.record["last_line"] = self.n_sent + n_lines

    def _pass_on(self, lines: Sequence[bytes]) -> None:
        down = self._faults.last("kafka")
        if down is not self._down:
            self._set_outage(down)
        if down is None or self._broker:
            self._held += lines
            n_lines = len(lines) + _MAX_HELD_PER_SEND
            self._stream.send(self._held[:n_lines])
            del self._held[:n_lines]
        else:
            room = self._buffer_lines - len(self._held)
            self._held += lines[:room]
            self._dropped.add(lines[room:])
        if down:
            down.record["dropped"] = self.n_dropped - self._dropped_before

    def _set_outage(self, down: Fault | None) -> None:
        """Begin or end an outage."""
        if self._broker and not (self._down and down):
            self._broker.suspend() if down else self._broker.resume()
        self._dropped_before = self.n_dropped
        self._down = down

    def _rng(self, fault: Fault) -> np.random.Generator:
        """Return the generator of a fault, by its text and its number among equal ones."""
        same = [one for one in self._faults.all() if one.spec == fault.spec]
        number = next(number for number, one in enumerate(same) if one is fault)
        return generator(self._world.seed, fault.spec.text, number)


def _second(line: bytes) -> bytes:
    return split_time(line.partition(b",")[0])[0]
