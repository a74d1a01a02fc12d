"""Lines: a span of a day in the format of the stream, built by string kernels, in order of time.

    2026-01-01T12:23:12   ,596363,GET /data/m/the+silent+harbor+1987/   16.mpg
    head, by the second   middle, one a view                            tail, by the minute

Each line joins three strings that exist already, so no line is formatted.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags, Records, Rows
from benchmarks.simulator.clock import DAY_SECONDS, date_of
from benchmarks.simulator.history.answers import Answers, answer_texts
from benchmarks.simulator.log_formats import LogFormat
from benchmarks.simulator.world.world import World

_N_MINUTES: Final = 1500
_N_RATINGS: Final = 11
_EMPTY_TAIL: Final = _N_MINUTES + _N_RATINGS  # a line end alone


class _Columns(NamedTuple):
    """Columns of lines; `middle` counts from the first line of the same kind."""

    second: Rows
    middle: Rows
    tail: Rows
    has_fraction: Flags


class AnswerLines(NamedTuple):
    """Lines of answers.

    Attributes:
        second: (n,) seconds after the history's beginning.
        texts: Lines from the fraction of the second on, without line ends.
    """

    second: Rows
    texts: pa.StringArray


class LineMaker:
    """Makes lines of a world's events in one log format."""

    def __init__(self, world: World, log_format: LogFormat) -> None:
        self._log_format = log_format
        self._users = pa.array(world.users.ids).cast(pa.string())
        self._items = pa.array(world.items.ids, pa.string())
        self._joined = world.users.joined
        tails = [f"/{minute}.mpg\n" for minute in range(_N_MINUTES)]
        self._tails = pa.array([*tails, *(f"={stars}\n" for stars in range(_N_RATINGS)), "\n"])
        self._fractions = pa.array(["", *(f".{ms:03d}" for ms in range(1, 1000))])

    def heads(self, day: int) -> pa.StringArray:
        """Return the times of a day by the second: first in short form, then in full."""
        second = np.datetime64(f"{date_of(day)}T00:00:00", "s") + np.arange(DAY_SECONDS)
        full = pa.array(np.datetime_as_string(second))
        is_whole = pa.array(np.arange(DAY_SECONDS) % 60 == 0)
        short = pc.if_else(is_whole, pc.utf8_slice_codeunits(full, 0, 16), full)
        return pa.concat_arrays([short, full])

    def make(
        self, views: Records, answers: Answers, span: tuple[int, int], day: int,
        heads: pa.StringArray, rng: np.random.Generator,
    ) -> pa.StringArray:  # fmt: skip
        """Return the lines of a span of seconds, line ends included.

        Args:
            views: Views that begin, go on or end in the span; others are ignored.
            answers: Answers in the span.
            span: Begin and end, in seconds after the history's beginning; within `day`.
            day: Day of the history.
            heads: Times of that day from `heads`.
            rng: Random generator of the span, for fractions of seconds.
        """
        users = self._users.take(pa.array(answers.user_row))
        texts = answer_texts(answers, users, self._items, self._log_format, rng)
        return self.join(views, AnswerLines(answers.second, texts), span, day, heads, rng)

    def join(
        self, views: Records, answer_lines: AnswerLines, span: tuple[int, int], day: int,
        heads: pa.StringArray, rng: np.random.Generator,
    ) -> pa.StringArray:  # fmt: skip
        """Return the lines of a span like `make`, with answers given as texts."""
        kinds = (
            self._minutes(views, span),
            self._ratings(views, span),
            self._accounts(span),
            self._answers(answer_lines),
        )
        columns = [columns for columns, _ in kinds]
        offsets = np.cumsum([0, *(len(middles) for _, middles in kinds)])
        middle = np.concatenate([c.middle + o for c, o in zip(columns, offsets, strict=False)])
        second = np.concatenate([c.second for c in columns])
        tail = np.concatenate([c.tail for c in columns])
        is_full = np.concatenate([c.has_fraction for c in columns])
        fraction = self._draw_fractions(tail, rng)
        order = _order(second - span[0], fraction)
        head = second - day * DAY_SECONDS + DAY_SECONDS * (is_full | (fraction > 0))
        middles = pa.concat_arrays([middles for _, middles in kinds])
        parts = [heads.take(pa.array(head[order])), middles.take(pa.array(middle[order]))]
        if fraction.any():
            parts.insert(1, self._fractions.take(pa.array(fraction[order])))
        return pc.binary_join_element_wise(*parts, self._tails.take(pa.array(tail[order])), "")

    def _minutes(self, views: Records, span: tuple[int, int]) -> tuple[_Columns, pa.StringArray]:
        began, n_minutes = views["began"].astype(np.int64), views["minutes"].astype(np.int64)
        first, end = (np.clip(-((began - second) // 60), 0, n_minutes) for second in span)
        is_here = end > first
        began, first, n_lines = began[is_here], first[is_here], (end - first)[is_here]
        view = np.repeat(np.arange(len(began)), n_lines)
        minute = np.arange(len(view)) + np.repeat(first - np.cumsum(n_lines) + n_lines, n_lines)
        columns = _Columns(began[view] + 60 * minute, view, minute, _all_false(view))
        return columns, self._middles(views[is_here], "GET /data/m/")

    def _ratings(self, views: Records, span: tuple[int, int]) -> tuple[_Columns, pa.StringArray]:
        second = views["began"].astype(np.int64) + 60 * views["minutes"]
        is_here = (views["stars"] > 0) & (second >= span[0]) & (second < span[1])
        rating = ratings(views["stars"][is_here], self._log_format).astype(np.int64)
        row = np.arange(len(rating))
        columns = _Columns(second[is_here], row, _N_MINUTES + rating, _all_false(row))
        return columns, self._middles(views[is_here], "GET /rate/")

    def _accounts(self, span: tuple[int, int]) -> tuple[_Columns, pa.StringArray]:
        is_here = (self._joined >= span[0]) & (self._joined < span[1])
        rows = np.flatnonzero(is_here & self._log_format.has_accounts)
        second, number = self._joined[rows].astype(np.int64), np.arange(len(rows))
        columns = _Columns(second, number, np.full(len(rows), _EMPTY_TAIL), _all_false(number))
        users = self._users.take(pa.array(rows))
        return columns, pc.binary_join_element_wise("", users, "GET /create_account", ",")

    def _answers(self, answer_lines: AnswerLines) -> tuple[_Columns, pa.StringArray]:
        row = np.arange(len(answer_lines.second))
        return _Columns(
            answer_lines.second, row, np.full(len(row), _EMPTY_TAIL), row >= 0
        ), answer_lines.texts

    def _middles(self, views: Records, request: str) -> pa.StringArray:
        users = self._users.take(pa.array(views["user_row"]))
        items = self._items.take(pa.array(views["item_row"]))
        return pc.binary_join_element_wise(
            "", users, pc.binary_join_element_wise(request, items, ""), ","
        )

    def _draw_fractions(self, tail: Rows, rng: np.random.Generator) -> Rows:
        """Return milliseconds, 0 for lines without a fraction."""
        if not self._log_format.fraction_share:
            return np.zeros(len(tail), np.int64)
        has = (rng.random(len(tail)) < self._log_format.fraction_share) & (tail != _EMPTY_TAIL)
        return np.where(has, rng.integers(1, 1000, len(tail)), 0)


def ratings(stars: npt.NDArray[np.int8], log_format: LogFormat) -> npt.NDArray[np.int8]:
    """Return half stars, 1 to 10, as ratings on the scale of the log format."""
    return stars if log_format.best_rating == 10 else (stars + 1) // 2


def _order(second: Rows, fraction: Rows) -> Rows:
    """Return the order in time; lines of the same time keep their order."""
    if fraction.any():
        return np.argsort(1000 * second + fraction, kind="stable")
    is_short = len(second) == 0 or int(second.max()) < 1 << 16
    return np.argsort(second.astype(np.uint16) if is_short else second, kind="stable")  # radix


def _all_false(like: Rows) -> Flags:
    return np.zeros(len(like), bool)
