"""The event log: requests, views and ratings as lines on the stream, by the simulated clock.

The clock begins at the end of the history and runs `speed` times as fast as the
wall clock. Minutes and ratings of a view are written when the clock reaches
them, so lines are in order of time; views that are still going on at the end of
the run stay incomplete, unless they are finished.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from batch.arrays import Doubles, Records, Rows
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.history.answers import MAX_PAUSE_SECONDS
from benchmarks.simulator.history.lines import AnswerLines, LineMaker
from benchmarks.simulator.live.audience.viewers import Reaction
from benchmarks.simulator.live.requests.grading import Grade
from benchmarks.simulator.live.requests.messages import Address
from benchmarks.simulator.live.stream.protocol import Stream
from benchmarks.simulator.log_formats import LogFormat
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.views import VIEW
from benchmarks.simulator.world.world import World


class Clock(NamedTuple):
    """The simulated clock.

    Attributes:
        begin: Time at the begin of the run, in seconds after the history's beginning.
        speed: Simulated seconds in a real second.
    """

    begin: int
    speed: float

    def simulated_second(self, elapsed: float) -> int:
        """Return the simulated time at so many real seconds after the begin of the run."""
        return int(self.begin + elapsed * self.speed)

    def simulated_seconds(self, elapsed: Doubles) -> Rows:
        """Return the simulated times at several real seconds after the begin of the run."""
        return np.asarray(self.begin + elapsed * self.speed, np.int64)


class EventLogWriter:
    """Writes the lines of a run.

    Args:
        world: World after its history.
        log_format: Format of the lines.
        stream: Destination of the lines.
        clock: Simulated clock.
    """

    def __init__(self, world: World, log_format: LogFormat, stream: Stream, clock: Clock) -> None:
        self._world = world
        self._log_format = log_format
        self._stream = stream
        self._clock = clock
        self._lines = LineMaker(world, log_format)
        self._ids = world.items.ids
        self._written = clock.begin  # the second up to which all lines are written
        self._day, self._heads = -1, pa.array([], pa.string())
        self._views = np.empty(0, VIEW)
        self._answer_lines: list[tuple[int, str]] = []

    def answer(
        self, second: int, user_id: int, host: Address, grade: Grade, milliseconds: float
    ) -> None:
        """Add an answered or failed request."""
        log_format = self._log_format
        text = grade.result or log_format.between_items.join(map(self._ids.__getitem__, grade.rows))
        fraction = int(milliseconds * 1e6) % 10**log_format.answer_digits
        self._answer_lines.append(
            (
                second,
                f".{fraction:0{log_format.answer_digits}},{user_id},recommendation request {host}, "
                f"status {grade.status}, result: {text}{log_format.after_items}"
                f"{milliseconds:.0f}{log_format.unit}",
            )
        )

    def watch(
        self, second: Rows, user_rows: Rows, reaction: Reaction, rng: np.random.Generator
    ) -> None:
        """Add the views of users after their requests; each begins soon after its request."""
        who = np.flatnonzero(reaction.item >= 0)
        views = np.empty(len(who), VIEW)
        views["user_row"], views["item_row"] = user_rows[who], reaction.item[who]
        views["began"] = second[who] + rng.integers(1, MAX_PAUSE_SECONDS + 1, len(who))
        views["minutes"], views["stars"] = reaction.minutes[who], reaction.stars[who]
        self._views = np.concatenate((self._views, views))

    def write_until(self, elapsed: float, number: int) -> None:
        """Write all lines up to a time; no earlier line may be added afterwards.

        Args:
            elapsed: Seconds since the begin of the run.
            number: Number of the window.
        """
        self._write(self._clock.simulated_second(elapsed), number)

    def finish(self, number: int) -> None:
        """Write all further events of views at once, as the last lines.

        Args:
            number: Number of the window after the last one.
        """
        if len(self._views):
            self._write(int(_ends(self._views).max()) + 1, number)

    def _write(self, until: int, number: int) -> None:
        while self._written < until:
            midnight = (self._written // DAY_SECONDS + 1) * DAY_SECONDS
            self._write_span((self._written, min(until, midnight)), number)
            self._written = min(until, midnight)
        self._views = self._views[_ends(self._views) >= self._written]

    def _write_span(self, span: tuple[int, int], number: int) -> None:
        day = span[0] // DAY_SECONDS
        if day != self._day:
            self._day, self._heads = day, self._lines.heads(day)
        answer_lines = [one for one in self._answer_lines if one[0] < span[1]]
        self._answer_lines = [one for one in self._answer_lines if one[0] >= span[1]]
        texts = pa.array([text for _, text in answer_lines], pa.string())
        seconds = np.array([second for second, _ in answer_lines], np.int64)
        rng = generator(self._world.seed, "live lines", number, span[0])
        self._stream.send(
            _split(
                self._lines.join(
                    self._views, AnswerLines(seconds, texts), span, day, self._heads, rng
                )
            )
        )


def _ends(views: Records) -> Rows:
    return np.asarray(views["began"] + 60 * views["minutes"].astype(np.int64))


def _split(lines: pa.StringArray) -> Sequence[bytes]:
    """Return lines without their ends."""
    _, offsets, data = lines.buffers()
    if data is None:
        return []
    ends = np.frombuffer(offsets, np.int32)
    text = memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]
    return bytes(text).split(b"\n")[:-1]
