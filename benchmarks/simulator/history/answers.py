"""Answers: what was recommended before each view, by a service that knew nobody.

It shows 20 random ones of the 100 most popular items, as such services do
whose teams have just begun; some requests time out.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.simulator.clock import DAY_SECONDS
from benchmarks.simulator.log_formats import Edition
from benchmarks.simulator.world.fitted import ANSWER_MEDIAN_MS, ANSWER_SIGMA
from benchmarks.simulator.world.items import Rows
from benchmarks.simulator.world.truth import LIST_LENGTH, Truth
from benchmarks.simulator.world.views import Views

HOST: Final = "recommender-1.example.org:8082"
_N_POPULAR: Final = 100
LONGEST_PAUSE: Final = 60  # seconds between an answer and the view
_LIMIT_MS: Final = 600
TIMED_OUT: Final = f"java.util.concurrent.TimeoutException: Request timeout to {HOST} after 600 ms"


class Answers(NamedTuple):
    """Answered requests.

    Attributes:
        second: (n,) after the history's beginning.
        user_row: (n,)
        items: (n, LIST_LENGTH) rows, best first; fewer where there are fewer items.
        milliseconds: (n,) above 600 where the request failed.
    """

    second: Rows
    user_row: Rows
    items: Rows
    milliseconds: Rows


def make_answers(
    truth: Truth, views: Views, share: float, span: tuple[int, int], rng: np.random.Generator
) -> Answers:
    """Draw the answers within a span of seconds, before a share of the views.

    Which views these are, and how long before, follows from the view itself:
    the answer to a view of the next span is found without that span's numbers.
    """
    mixed = np.uint64(2_654_435_761) * views["user_row"].astype(np.uint64)
    mixed += views["item_row"].astype(np.uint64)
    mixed = (mixed * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    pause = 1 + (mixed % LONGEST_PAUSE).astype(np.int64)
    second = np.maximum(views["began"] - pause, views["began"] // DAY_SECONDS * DAY_SECONDS)
    is_here = (second >= span[0]) & (second < span[1]) & (mixed < share * 2.0**32)
    n_answers = int(is_here.sum())
    popular = truth.popular_list(span[0] // DAY_SECONDS, _N_POPULAR)
    places = np.argsort(rng.random((n_answers, len(popular)), dtype=np.float32), axis=1)
    milliseconds = ANSWER_MEDIAN_MS * rng.lognormal(0, ANSWER_SIGMA, n_answers)
    return Answers(
        second=second[is_here],
        user_row=views["user_row"][is_here].astype(np.int64),
        items=popular[places[:, :LIST_LENGTH]],
        milliseconds=milliseconds.astype(np.int64),
    )


def failed(answers: Answers) -> npt.NDArray[np.bool_]:
    """Tell which requests took longer than whoever asked would wait."""
    return answers.milliseconds > _LIMIT_MS


def joined_items(answers: Answers, items: pa.StringArray, between: str) -> pa.StringArray:
    """Return each answer's list as one text."""
    n_lists, length = answers.items.shape
    values = items.take(pa.array(answers.items.ravel()))
    offsets = pa.array(np.arange(n_lists + 1, dtype=np.int32) * length)
    return pc.binary_join(pa.ListArray.from_arrays(offsets, values), between)


def answer_texts(
    answers: Answers, users: pa.StringArray, items: pa.StringArray, edition: Edition,
    rng: np.random.Generator,
) -> pa.StringArray:  # fmt: skip
    """Return the lines from the fraction of the second on, without their ends."""
    digits = edition.answer_digits
    fraction = rng.integers(10**digits, 2 * 10**digits, len(answers.second))
    is_failed = pa.array(failed(answers))
    text = pc.if_else(is_failed, TIMED_OUT, joined_items(answers, items, edition.between_items))
    return pc.binary_join_element_wise(
        ".",
        pc.utf8_slice_codeunits(pa.array(fraction).cast(pa.string()), 1),
        ",",
        users,
        f",recommendation request {HOST}, status ",
        pc.if_else(is_failed, "0", "200"),
        ", result: ",
        text,
        edition.after_items,
        pa.array(answers.milliseconds).cast(pa.string()),
        edition.unit,
        "",
    )
