"""Tables: a history as Parquet, partitioned by day, written without making lines.

    events/views/date=2026-01-01/part-0.parquet    user_id item_id minutes first_at last_at
    events/ratings/…                               user_id item_id rating at
    events/accounts/…                              user_id at
    events/answers/…                               user_id at host status items result milliseconds

A view belongs to the day on which it began. Times are those of the wall clock of the
stream, in milliseconds since 1970.
"""

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batch.arrays import Integers, Records, Rows
from benchmarks.simulator.clock import DAY_SECONDS, FIRST_DAY, date_of
from benchmarks.simulator.history.answers import (
    HOST,
    TIMED_OUT,
    Answers,
    failed,
    joined_items,
    make_answers,
)
from benchmarks.simulator.history.lines import ratings
from benchmarks.simulator.history.spill import Spill
from benchmarks.simulator.log_formats import LogFormat
from benchmarks.simulator.parallel import in_order
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.items import ALWAYS
from benchmarks.simulator.world.truth import Truth

KINDS: Final = ("views", "ratings", "accounts", "answers")
_ROW_GROUP_ROWS: Final = 1_000_000
_DICTIONARY_BYTES: Final = 1 << 26  # size limit of one dictionary, the same as the ingest's
_SPAN_ANSWERS: Final = 50_000


class TableWriter:
    """Writes the days of a history as Parquet tables.

    Args:
        truth: Truth of the world.
        spill: Views of the history.
        log_format: Log format that gives the scale of ratings and says whether there are
            accounts.
        answers_share: Share of the views before which a request was answered.
        folder: Directory for `events`.
    """

    def __init__(
        self, truth: Truth, spill: Spill, log_format: LogFormat, answers_share: float, folder: Path
    ) -> None:
        world = truth.world
        self._truth = truth
        self._spill = spill
        self._log_format = log_format
        self._answers_share = answers_share
        self._folder = folder
        self._users = pa.array(world.users.ids).cast(pa.string())
        self._items = pa.array(world.items.ids, pa.string())

    def write(self) -> int:
        """Write all days and return the number of rows.

        Raises:
            OSError: A file cannot be written.
        """
        return sum(in_order(self._write_day, range(self._truth.world.n_days)))

    def _write_day(self, day: int) -> int:
        views = self._spill.day(day)
        folder = self._folder / "events"
        partition = f"date={date_of(day)}/part-0.parquet"
        tables = (
            map(self._views, _parts(views)),
            map(self._ratings, _parts(self._rated(day))),
            self._accounts(day),
            self._answers(views, day),
        )
        return sum(
            _write(folder / kind / partition, table)
            for kind, table in zip(KINDS, tables, strict=True)
        )

    def _views(self, views: Records) -> pa.Table:
        minutes = views["minutes"].astype(np.int32)
        last = views["began"] + 60 * (minutes - 1)
        times = {"first_at": _at(views["began"]), "last_at": _at(last)}
        return pa.table({**self._ids(views), "minutes": minutes, **times})

    def _ratings(self, views: Records) -> pa.Table:
        rating = ratings(views["stars"], self._log_format).astype(np.float32)
        return pa.table({**self._ids(views), "rating": rating, "at": _at(_rated_at(views))})

    def _rated(self, day: int) -> Records:
        """Return the views whose rating falls on a day; some began the day before."""
        views = np.concatenate((self._spill.day(day - 1), self._spill.day(day)))
        at = _rated_at(views)
        return np.asarray(views[(views["stars"] > 0) & (at // DAY_SECONDS == day)])

    def _accounts(self, day: int) -> Iterator[pa.Table]:
        joined = self._truth.world.users.joined
        rows = np.flatnonzero((joined != ALWAYS) & (joined // DAY_SECONDS == day))
        if self._log_format.has_accounts:
            yield pa.table({"user_id": self._users.take(pa.array(rows)), "at": _at(joined[rows])})

    def _answers(self, views: Records, day: int) -> Iterator[pa.Table]:
        rng = generator(self._truth.world.seed, "answers", day)
        n_spans = 1 + int(len(views) * self._answers_share) // _SPAN_ANSWERS
        cuts = np.linspace(0, DAY_SECONDS, n_spans + 1).astype(int) + day * DAY_SECONDS
        for span in pairwise(cuts.tolist() if self._answers_share else ()):
            yield self._answer_table(
                make_answers(self._truth, views, self._answers_share, span, rng)
            )

    def _answer_table(self, answers: Answers) -> pa.Table:
        is_failed = failed(answers)
        items = joined_items(answers, self._items, ",")
        return pa.table(
            {
                "user_id": self._users.take(pa.array(answers.user_row)),
                "at": _at(answers.second),
                "host": pa.repeat(HOST, len(is_failed)),
                "status": np.where(is_failed, 0, 200).astype(np.int32),
                "items": pc.if_else(pa.array(is_failed), "", items),
                "result": pc.if_else(pa.array(is_failed), TIMED_OUT, ""),
                "milliseconds": answers.milliseconds.astype(np.int32),
            }
        )

    def _ids(self, views: Records) -> dict[str, pa.Array]:
        return {
            "user_id": self._users.take(pa.array(views["user_row"])),
            "item_id": self._items.take(pa.array(views["item_row"])),
        }


def _parts(views: Records) -> Iterator[Records]:
    for begin in range(0, len(views), _ROW_GROUP_ROWS):
        yield views[begin : begin + _ROW_GROUP_ROWS]


def _rated_at(views: Records) -> Rows:
    return np.asarray(views["began"] + 60 * views["minutes"].astype(np.int64))


def _at(second: Integers) -> pa.Array:
    """Return wall-clock times of seconds after the history's beginning."""
    return pa.array((FIRST_DAY + second.astype("timedelta64[s]")).astype("datetime64[ms]"))


def _write(path: Path, tables: Iterator[pa.Table]) -> int:
    """Write tables as the row groups of a file, none without rows; return the number of rows."""
    n_rows = 0
    with contextlib.ExitStack() as stack:
        writer = None
        for table in tables:
            if not len(table):
                continue
            if writer is None:
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = stack.enter_context(
                    pq.ParquetWriter(
                        path, table.schema, dictionary_pagesize_limit=_DICTIONARY_BYTES
                    )
                )
            writer.write_table(table)
            n_rows += len(table)
    return n_rows
