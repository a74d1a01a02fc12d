"""Lines: a stretch of a day as the stream writes it, built by string kernels, in order of time.

    2026-01-01T12:23:12   ,596363,GET /data/m/the+silent+harbor+1987/   16.mpg
    head, by the second   middle, one a view                            tail, by the minute

Each line joins three strings that exist already, so no line is formatted.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.simulator.clock import DAY_SECONDS, date_of
from benchmarks.simulator.history.answers import Answers, answer_texts
from benchmarks.simulator.log_formats import Edition
from benchmarks.simulator.world.items import Rows
from benchmarks.simulator.world.views import Views
from benchmarks.simulator.world.world import World

_MINUTES: Final = 1500
_RATINGS: Final = 11
_PLAIN: Final = _MINUTES + _RATINGS  # the tail that adds nothing


class _Columns(NamedTuple):
    """Of lines; `middle` counts from the first of their own kind."""

    second: Rows
    middle: Rows
    tail: Rows
    has_fraction: npt.NDArray[np.bool_]


class Said(NamedTuple):
    """Lines of answers.

    Attributes:
        second: (n,) after the history's beginning.
        texts: Each line from the fraction of the second on, without its end.
    """

    second: Rows
    texts: pa.StringArray


class LineMaker:
    """Makes lines of a world's events in one edition."""

    def __init__(self, world: World, edition: Edition) -> None:
        self._edition = edition
        self._users = pa.array(world.users.ids).cast(pa.string())
        self._items = pa.array(world.items.ids, pa.string())
        self._joined = world.users.joined
        tails = [f"/{minute}.mpg\n" for minute in range(_MINUTES)]
        self._tails = pa.array([*tails, *(f"={stars}\n" for stars in range(_RATINGS)), "\n"])
        self._fractions = pa.array(["", *(f".{ms:03d}" for ms in range(1, 1000))])

    def heads(self, day: int) -> pa.StringArray:
        """Return the times of a day by the second: first as they are written, then in full."""
        second = np.datetime64(f"{date_of(day)}T00:00:00", "s") + np.arange(DAY_SECONDS)
        full = pa.array(np.datetime_as_string(second))
        is_whole = pa.array(np.arange(DAY_SECONDS) % 60 == 0)
        short = pc.if_else(is_whole, pc.utf8_slice_codeunits(full, 0, 16), full)
        return pa.concat_arrays([short, full])

    def make(
        self, views: Views, answers: Answers, span: tuple[int, int], day: int,
        heads: pa.StringArray, rng: np.random.Generator,
    ) -> pa.StringArray:  # fmt: skip
        """Return the lines of a span of seconds, line ends included.

        Args:
            views: That begin, go on or end in it, and others.
            answers: In it.
            span: From and to, in seconds after the history's beginning; within `day`.
            day: Of the history.
            heads: Of that day.
            rng: Of this span, for fractions of seconds.
        """
        users = self._users.take(pa.array(answers.user_row))
        texts = answer_texts(answers, users, self._items, self._edition, rng)
        return self.join(views, Said(answers.second, texts), span, day, heads, rng)

    def join(
        self, views: Views, said: Said, span: tuple[int, int], day: int,
        heads: pa.StringArray, rng: np.random.Generator,
    ) -> pa.StringArray:  # fmt: skip
        """Return the lines of a span as `make` does, of answers that are texts already."""
        kinds = (
            self._minutes(views, span),
            self._ratings(views, span),
            self._accounts(span),
            self._answers(said),
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

    def _minutes(self, views: Views, span: tuple[int, int]) -> tuple[_Columns, pa.StringArray]:
        began, n_minutes = views["began"].astype(np.int64), views["minutes"].astype(np.int64)
        first, end = (np.clip(-((began - second) // 60), 0, n_minutes) for second in span)
        is_here = end > first
        began, first, n_lines = began[is_here], first[is_here], (end - first)[is_here]
        view = np.repeat(np.arange(len(began)), n_lines)
        minute = np.arange(len(view)) + np.repeat(first - np.cumsum(n_lines) + n_lines, n_lines)
        columns = _Columns(began[view] + 60 * minute, view, minute, _none(view))
        return columns, self._middles(views[is_here], "GET /data/m/")

    def _ratings(self, views: Views, span: tuple[int, int]) -> tuple[_Columns, pa.StringArray]:
        second = views["began"].astype(np.int64) + 60 * views["minutes"]
        is_here = (views["stars"] > 0) & (second >= span[0]) & (second < span[1])
        rating = ratings(views["stars"][is_here], self._edition).astype(np.int64)
        row = np.arange(len(rating))
        columns = _Columns(second[is_here], row, _MINUTES + rating, _none(row))
        return columns, self._middles(views[is_here], "GET /rate/")

    def _accounts(self, span: tuple[int, int]) -> tuple[_Columns, pa.StringArray]:
        is_here = (self._joined >= span[0]) & (self._joined < span[1]) & self._edition.has_accounts
        rows = np.flatnonzero(is_here)
        second, place = self._joined[rows].astype(np.int64), np.arange(len(rows))
        columns = _Columns(second, place, np.full(len(rows), _PLAIN), _none(place))
        users = self._users.take(pa.array(rows))
        return columns, pc.binary_join_element_wise("", users, "GET /create_account", ",")

    def _answers(self, said: Said) -> tuple[_Columns, pa.StringArray]:
        row = np.arange(len(said.second))
        return _Columns(said.second, row, np.full(len(row), _PLAIN), row >= 0), said.texts

    def _middles(self, views: Views, request: str) -> pa.StringArray:
        users = self._users.take(pa.array(views["user_row"]))
        items = self._items.take(pa.array(views["item_row"]))
        return pc.binary_join_element_wise(
            "", users, pc.binary_join_element_wise(request, items, ""), ","
        )

    def _draw_fractions(self, tail: Rows, rng: np.random.Generator) -> Rows:
        """Return milliseconds, 0 where none are written."""
        if not self._edition.fraction_share:
            return np.zeros(len(tail), np.int64)
        has = (rng.random(len(tail)) < self._edition.fraction_share) & (tail != _PLAIN)
        return np.where(has, rng.integers(1, 1000, len(tail)), 0)


def ratings(stars: npt.NDArray[np.int8], edition: Edition) -> npt.NDArray[np.int8]:
    """Turn half stars, 1 to 10, into ratings on the edition's scale."""
    return stars if edition.best_rating == 10 else (stars + 1) // 2


def _order(second: Rows, fraction: Rows) -> Rows:
    """Return the order in time; what comes at once stays in the order it has."""
    if fraction.any():
        return np.argsort(1000 * second + fraction, kind="stable")
    is_short = len(second) == 0 or int(second.max()) < 1 << 16
    return np.argsort(second.astype(np.uint16) if is_short else second, kind="stable")  # radix


def _none(like: Rows) -> npt.NDArray[np.bool_]:
    return np.zeros(len(like), bool)
