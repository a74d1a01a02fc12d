"""Answers: what was recommended before each view, by a service without personal lists.

It shows 20 random ones of the 100 most popular items, as a new recommender
does; some requests time out.
"""

from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Flags, Records, Rows
from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.log_formats import LogFormat
from benchmarks.simulator.world.fitted import ANSWER_MEDIAN_MS, ANSWER_SIGMA
from benchmarks.simulator.world.truth import LIST_LENGTH, Truth

HOST: Final = "recommender-1.example.org:8082"
_N_POPULAR: Final = 100
MAX_PAUSE_SECONDS: Final = 60  # between an answer and the view
_LIMIT_MS: Final = 600
TIMED_OUT: Final = f"java.util.concurrent.TimeoutException: Request timeout to {HOST} after 600 ms"


class Answers(NamedTuple):
    """Answered requests.

    Attributes:
        second: (n,) seconds after the history's beginning.
        user_row: (n,) rows of users.
        items: (n, LIST_LENGTH) item rows, best first; fewer where there are fewer items.
        milliseconds: (n,) response times, above 600 where the request failed.
    """

    second: Rows
    user_row: Rows
    items: Rows
    milliseconds: Rows


def make_answers(
    truth: Truth, views: Records, share: float, span: tuple[int, int], rng: np.random.Generator
) -> Answers:
    """Draw the answers within a span of seconds, before a share of the views.

    Which views have an answer, and how long before, depends on a hash of the view alone:
    the answer to a view of the next span is known without that span's random numbers.
    """
    hashed = np.uint64(2_654_435_761) * views["user_row"].astype(np.uint64)
    hashed += views["item_row"].astype(np.uint64)
    hashed = (hashed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    pause = 1 + (hashed % MAX_PAUSE_SECONDS).astype(np.int64)
    second = np.maximum(views["began"] - pause, views["began"] // DAY_SECONDS * DAY_SECONDS)
    is_here = (second >= span[0]) & (second < span[1]) & (hashed < share * 2.0**32)
    n_answers = int(is_here.sum())
    popular = truth.popular_list(span[0] // DAY_SECONDS, _N_POPULAR)
    ranks = np.argsort(rng.random((n_answers, len(popular)), dtype=np.float32), axis=1)
    milliseconds = ANSWER_MEDIAN_MS * rng.lognormal(0, ANSWER_SIGMA, n_answers)
    return Answers(
        second=second[is_here],
        user_row=views["user_row"][is_here].astype(np.int64),
        items=popular[ranks[:, :LIST_LENGTH]],
        milliseconds=milliseconds.astype(np.int64),
    )


def failed(answers: Answers) -> Flags:
    """Return (n,) True for requests that took longer than the client's time limit."""
    return answers.milliseconds > _LIMIT_MS


def joined_items(answers: Answers, items: pa.StringArray, between: str) -> pa.StringArray:
    """Return each answer's list as one text."""
    n_lists, length = answers.items.shape
    values = items.take(pa.array(answers.items.ravel()))
    offsets = pa.array(np.arange(n_lists + 1, dtype=np.int32) * length)
    return pc.binary_join(pa.ListArray.from_arrays(offsets, values), between)


def answer_texts(
    answers: Answers, users: pa.StringArray, items: pa.StringArray, log_format: LogFormat,
    rng: np.random.Generator,
) -> pa.StringArray:  # fmt: skip
    """Return the lines from the fraction of the second on, without line ends."""
    digits = log_format.answer_digits
    fraction = rng.integers(10**digits, 2 * 10**digits, len(answers.second))
    is_failed = pa.array(failed(answers))
    text = pc.if_else(is_failed, TIMED_OUT, joined_items(answers, items, log_format.between_items))
    return pc.binary_join_element_wise(
        ".",
        pc.utf8_slice_codeunits(pa.array(fraction).cast(pa.string()), 1),
        ",",
        users,
        f",recommendation request {HOST}, status ",
        pc.if_else(is_failed, "0", "200"),
        ", result: ",
        text,
        log_format.after_items,
        pa.array(answers.milliseconds).cast(pa.string()),
        log_format.unit,
        "",
    )
