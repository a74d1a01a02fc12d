"""Telling: what happens, as lines on the stream, by the simulated clock.

The clock begins where the history ends and runs `speed` times as fast as the
wall's. Minutes and ratings of a view are written when the clock has come to
them, so lines are in the order of time and none is of the future; what goes on
when the run ends is left as it is, like a log that was cut off.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.history.answers import LONGEST_PAUSE
from benchmarks.simulator.history.lines import LineMaker, Said
from benchmarks.simulator.live.audience.viewers import Reaction
from benchmarks.simulator.live.requests.grading import Verdict
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.log_formats import Edition
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.items import Floats, Rows
from benchmarks.simulator.world.views import VIEW, Views
from benchmarks.simulator.world.world import World


class Clock(NamedTuple):
    """The simulated clock.

    Attributes:
        begin: What it shows at first, in seconds after the history's beginning.
        speed: Simulated seconds in a real one.
    """

    begin: int
    speed: float

    def second(self, seconds: float) -> int:
        """Return what it shows so many seconds after the run's beginning."""
        return int(self.begin + seconds * self.speed)

    def seconds(self, seconds: Floats) -> Rows:
        """Return what it shows at each of some moments."""
        return np.asarray(self.begin + seconds * self.speed, np.int64)


class Teller:
    """Writes a run's lines.

    Args:
        world: Its history is over.
        edition: Of the lines.
        stream: Takes them.
        clock: The simulated one.
    """

    def __init__(self, world: World, edition: Edition, stream: Stream, clock: Clock) -> None:
        self._world = world
        self._edition = edition
        self._stream = stream
        self._clock = clock
        self._lines = LineMaker(world, edition)
        self._ids = world.items.ids
        self._told = clock.begin  # the second up to which all lines are written
        self._day, self._heads = -1, pa.array([], pa.string())
        self._views = np.empty(0, VIEW)
        self._said: list[tuple[int, str]] = []

    def answer(
        self, second: int, user_id: int, host: Address, verdict: Verdict, milliseconds: float
    ) -> None:
        """Take an answered or failed request."""
        edition = self._edition
        text = verdict.result or edition.between_items.join(
            map(self._ids.__getitem__, verdict.rows)
        )
        fraction = int(milliseconds * 1e6) % 10**edition.answer_digits
        self._said.append(
            (
                second,
                f".{fraction:0{edition.answer_digits}},{user_id},recommendation request {host}, "
                f"status {verdict.status}, result: {text}{edition.after_items}"
                f"{milliseconds:.0f}{edition.unit}",
            )
        )

    def watch(
        self, second: Rows, user_rows: Rows, reaction: Reaction, rng: np.random.Generator
    ) -> None:
        """Take what users do after their requests at these seconds: each view begins soon after."""
        who = np.flatnonzero(reaction.item >= 0)
        views = np.empty(len(who), VIEW)
        views["user_row"], views["item_row"] = user_rows[who], reaction.item[who]
        views["began"] = second[who] + rng.integers(1, LONGEST_PAUSE + 1, len(who))
        views["minutes"], views["stars"] = reaction.minutes[who], reaction.stars[who]
        self._views = np.concatenate((self._views, views))

    def tell(self, seconds: float, number: int) -> None:
        """Write all lines up to a moment; nothing before it may be taken later.

        Args:
            seconds: Since the run began.
            number: Of the window.
        """
        until = self._clock.second(seconds)
        while self._told < until:
            midnight = (self._told // DAY_SECONDS + 1) * DAY_SECONDS
            self._tell((self._told, min(until, midnight)), number)
            self._told = min(until, midnight)
        self._views = self._views[_ends(self._views) >= self._told]

    def _tell(self, span: tuple[int, int], number: int) -> None:
        day = span[0] // DAY_SECONDS
        if day != self._day:
            self._day, self._heads = day, self._lines.heads(day)
        said = [one for one in self._said if one[0] < span[1]]
        self._said = [one for one in self._said if one[0] >= span[1]]
        texts = pa.array([text for _, text in said], pa.string())
        seconds = np.array([second for second, _ in said], np.int64)
        rng = generator(self._world.seed, "live lines", number, span[0])
        self._stream.send(
            _split(self._lines.join(self._views, Said(seconds, texts), span, day, self._heads, rng))
        )


def _ends(views: Views) -> Rows:
    return np.asarray(views["began"] + 60 * views["minutes"].astype(np.int64))


def _split(lines: pa.StringArray) -> Sequence[bytes]:
    """Return lines without their ends."""
    _, offsets, data = lines.buffers()
    if data is None:
        return []
    ends = np.frombuffer(offsets, np.int32)
    text = memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]
    return bytes(text).split(b"\n")[:-1]
