"""A stream between the live loop and the real one, in which trouble changes the lines.

    lines ─► flood ─► edition ─► jump ─► schema ─► noise ─► numbered ─► the real stream
                                                                └─ kafka: they wait here

In quiet times lines pass as they are. The ground truth counts lines from 1 in the
order in which they leave here, dropped ones too: line of a file that was empty, or
offset in such a topic plus 1, unless lines were dropped.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import numpy as np

from benchmarks.simulator.clock import FIRST_DAY
from benchmarks.simulator.live.faults.active import Happening, Trouble
from benchmarks.simulator.live.faults.flood import Flood
from benchmarks.simulator.live.faults.log_format import EditionChange
from benchmarks.simulator.live.faults.noise import LineNoise
from benchmarks.simulator.live.faults.schemas import SCHEMAS
from benchmarks.simulator.live.stream.dropped_lines import Losses
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.live.stream.times import Jump, parts, seconds_of
from benchmarks.simulator.log_formats import EDITIONS, Edition
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.world import World

_BUFFER_LINES: Final = 500_000
_PORTION_LINES: Final = 20_000  # of those held, passed on with each send: it may not last long
_EPOCH: Final = int(FIRST_DAY.astype(np.int64))

Change = Callable[[Sequence[bytes]], list[bytes]]


class Outage(Protocol):
    """A far side that can really be taken down, such as `Brokers`."""

    def go_down(self) -> None:
        """Answer nobody from now on."""

    def come_back(self) -> None:
        """Go on."""


class TroubledStream:
    """Passes lines on, changed by what trouble is active when they come.

    Args:
        stream: Where they go; closed with this one.
        trouble: Ticked by the live loop.
        world: Whose users nobody of a flood may be.
        edition: That the lines come in.
        outage: Taken down by the trouble `kafka`; where it is None, lines wait here,
            whatever the stream is.
        buffer_lines: That wait here.
    """

    def __init__(
        self,
        stream: Stream,
        trouble: Trouble,
        world: World,
        edition: Edition,
        *,
        outage: Outage | None = None,
        buffer_lines: int = _BUFFER_LINES,
    ) -> None:
        self.n_sent = 0
        self._stream = stream
        self._trouble = trouble
        self._world = world
        self._edition = edition
        self._outage = outage
        self._buffer_lines = buffer_lines
        self._held: list[bytes] = []
        self._losses = Losses()
        self._down: Happening | None = None
        self._floods: list[tuple[Happening, Flood]] = []
        self._dropped_before = 0
        self._changes: dict[Happening, Change] = {}
        self._noises: dict[Happening, LineNoise] = {}

    @property
    def n_dropped(self) -> int:
        """Lines that were thrown away, here or further on."""
        return self._losses.n_lines + self._stream.n_dropped

    def send(self, lines: Sequence[bytes]) -> None:
        """Take lines, change them as trouble will have it, and pass them on."""
        if lines:
            lines = self._flooded(lines)
            changing = [*self._changing(), *self._trouble.active("kafka")[-1:]]
            for happening in self._changing():
                lines = self._changed(happening, lines)
            lines = self._broken(lines)
            self._note(changing, len(lines))
        self.n_sent += len(lines)
        self._pass_on(lines)

    def close(self) -> None:
        """Let everything through that waits, whatever is down, and close the real stream.

        Raises:
            StreamError: Lines were lost; it says how many.
        """
        if self._down:
            self._turn(None)
        self._stream.send(self._held)
        self._held = []
        self._stream.close()
        self._losses.check("the stream, held up by trouble", "order a shorter outage")

    def _flooded(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        """Put the lines of floods between the others, in order of time."""
        known = [happening for happening, _ in self._floods]
        for happening in self._trouble.active("flood"):
            if happening not in known:
                self._begin_flood(happening)
        if not self._floods:
            return lines
        now = seconds_of(lines[-1])
        fake: list[bytes] = []
        for happening, flood in self._floods:
            due = flood.lines(self._trouble.seconds - happening.begins, now)
            fake += due
            happening.truth |= {"views": flood.n_views, "lines": flood.n_lines}
        self._floods = [one for one in self._floods if not one[1].is_over]
        return sorted([*lines, *fake], key=_second) if fake else lines

    def _begin_flood(self, happening: Happening) -> None:
        order = happening.order
        flood = Flood(
            order.values, order.for_seconds or 0, self._world.users.ids, self._edition,
            self._rng(happening),
        )  # fmt: skip
        happening.truth |= {"item": order.values["item"], "accounts": flood.accounts}
        self._floods.append((happening, flood))

    def _changing(self) -> list[Happening]:
        """Return what changes whole lines now, in the order in which it does."""
        active = self._trouble.active
        return [*active("edition")[-1:], *active("jump"), *active("schema")[-1:]]

    def _changed(self, happening: Happening, lines: Sequence[bytes]) -> Sequence[bytes]:
        if happening not in self._changes:
            self._changes[happening] = self._change(happening, lines[0])
        return self._changes[happening](lines)

    def _change(self, happening: Happening, first: bytes) -> Change:
        """Return what a kind does to lines; `first` is the first that it concerns."""
        values = happening.order.values
        if happening.order.kind == "jump":
            jump = Jump(values["by"])
            return lambda lines: [jump.line(line) for line in lines]
        if happening.order.kind == "schema":
            changed = SCHEMAS[values["change"]]
            return lambda lines: [changed(line) for line in lines]
        users = self._world.users
        is_new = users.joined >= seconds_of(first) - _EPOCH
        newcomers = {b"%d" % user for user in users.ids[is_new].tolist()}
        written = EDITIONS[values["to"]]
        edition = EditionChange(self._edition, written, newcomers, self._rng(happening))
        return lambda lines: list(edition.lines(lines))

    def _broken(self, lines: Sequence[bytes]) -> Sequence[bytes]:
        happening = self._trouble.last("noise")
        if happening is None:
            return lines
        if happening not in self._noises:
            self._noises[happening] = LineNoise(happening.order.values, self._rng(happening))
        lines, broken = self._noises[happening].lines(lines, self.n_sent)
        rows = [(one.line, one.kind, one.verdict) for one in broken]
        happening.truth.setdefault("broken", []).extend(rows)
        self._note([happening], len(lines))
        return lines

    def _note(self, happenings: Sequence[Happening], n_lines: int) -> None:
        """Note that these concern the next lines."""
        for happening in happenings:
            happening.truth.setdefault("first_line", self.n_sent + 1)
            happening.truth["last_line"] = self.n_sent + n_lines

    def _pass_on(self, lines: Sequence[bytes]) -> None:
        down = self._trouble.last("kafka")
        if down is not self._down:
            self._turn(down)
        if down is None or self._outage:
            self._held += lines
            n_lines = len(lines) + _PORTION_LINES
            self._stream.send(self._held[:n_lines])
            del self._held[:n_lines]
        else:
            room = self._buffer_lines - len(self._held)
            self._held += lines[:room]
            self._losses.add(lines[room:])
        if down:
            down.truth["dropped"] = self.n_dropped - self._dropped_before

    def _turn(self, down: Happening | None) -> None:
        """Let an outage begin or end."""
        if self._outage and not (self._down and down):
            self._outage.go_down() if down else self._outage.come_back()
        self._dropped_before = self.n_dropped
        self._down = down

    def _rng(self, happening: Happening) -> np.random.Generator:
        """Return the generator of one order: by its text, and by its place among the same."""
        same = [one for one in self._trouble.all() if one.order == happening.order]
        place = next(place for place, one in enumerate(same) if one is happening)
        return generator(self._world.seed, happening.order.text, place)


def _second(line: bytes) -> bytes:
    return parts(line.partition(b",")[0])[0]
