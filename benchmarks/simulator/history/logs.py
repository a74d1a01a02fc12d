"""Logs: a history as one file of lines a day, noise included, and the list of broken lines.

events/2026-01-01.log     in order of time, except for lines that noise has moved
broken.tsv                file, line, kind of noise, and the verdict of the strict patterns
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from batch.arrays import Records
from benchmarks.simulator.clock import DAY_SECONDS, date_of
from benchmarks.simulator.history.answers import MAX_PAUSE_SECONDS, make_answers
from benchmarks.simulator.history.lines import LineMaker
from benchmarks.simulator.history.noise import Noise
from benchmarks.simulator.history.noisy_file import Broken, NoisyFile
from benchmarks.simulator.history.spill import Spill
from benchmarks.simulator.log_formats import LogFormat
from benchmarks.simulator.parallel import in_order
from benchmarks.simulator.seeds import generator
from benchmarks.simulator.world.truth import Truth

BROKEN: Final = "broken.tsv"
_SPAN_LINES: Final = 400_000  # lines built at a time


class LogWriter:
    """Writes the days of a history as logs.

    Args:
        truth: Truth of the world.
        spill: Views of the history.
        log_format: Format of the lines.
        answers_share: Share of the views before which a request was answered.
        folder: Directory for `events` and `broken.tsv`.
        noise: Kinds and rates of broken lines.
    """

    def __init__(
        self, truth: Truth, spill: Spill, log_format: LogFormat, answers_share: float, folder: Path,
        noise: Noise,
    ) -> None:  # fmt: skip
        self._truth = truth
        self._spill = spill
        self._lines = LineMaker(truth.world, log_format)
        self._answers_share = answers_share
        self._noise = noise
        self._folder = folder

    def write(self) -> int:
        """Write all days and return the number of lines.

        Raises:
            OSError: A file cannot be written.
        """
        n_lines = 0
        broken: list[Broken] = []
        for day in in_order(self._write_day, range(self._truth.world.n_days)):
            n_lines += day.n_lines
            broken += day.broken
        if self._noise.rates:
            _write_broken(self._folder / BROKEN, broken)
        return n_lines

    def _write_day(self, day: int) -> NoisyFile:
        today = self._spill.day(day)
        before = self._spill.day(day - 1)
        # A view that began yesterday may go on after midnight.
        views = np.concatenate((before[_end(before) >= day * DAY_SECONDS], today))
        heads = self._lines.heads(day)
        name = f"events/{date_of(day)}.log"
        with (self._folder / name).open("wb") as file:
            noisy = NoisyFile(file, name, self._noise, generator(self._seed, "noise", day))
            for span in _spans(views, day):
                rng = generator(self._seed, "lines", day, span[0])
                is_early = views["began"] <= span[1] + MAX_PAUSE_SECONDS
                here = views[is_early & (_end(views) >= span[0])]
                answers = make_answers(self._truth, here, self._answers_share, span, rng)
                noisy.write(self._lines.make(here, answers, span, day, heads, rng))
        return noisy

    @property
    def _seed(self) -> int:
        return self._truth.world.seed


def _spans(views: Records, day: int) -> Iterator[tuple[int, int]]:
    """Yield spans of a day with about the same number of lines."""
    begin, end = day * DAY_SECONDS, (day + 1) * DAY_SECONDS
    per_hour = np.histogram(
        views["began"], bins=24, range=(begin, end), weights=views["minutes"].astype(np.int64)
    )[0]
    n_spans = 1 + 24 * int(per_hour.max()) // _SPAN_LINES
    cuts = np.linspace(begin, end, n_spans + 1).astype(int).tolist()
    yield from pairwise(cuts)


def _end(views: Records) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the second at which each view ends, the time of its rating."""
    return views["began"] + 60 * views["minutes"].astype(np.int64)


def _write_broken(path: Path, broken: Sequence[Broken]) -> None:
    rows = (f"{b.file}\t{b.line}\t{b.kind}\t{b.verdict}\n" for b in broken)
    path.write_text("file\tline\tkind\tverdict\n" + "".join(rows))
