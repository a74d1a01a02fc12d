"""Numbers: whether a column holds ratings, minutes, counts, flags or percentages.

    rating  4.5        a rating on a scale that ends at 5, at 10, or at [batch] max_rating
    minutes 38         watched minutes; hours, seconds and milliseconds by the column's name
    plays   299        a count: share of the item = count / (count + count_half)
    liked   0 / 1      dislike / like: nothing of the item, which still counts as touched / all
    score   0 to 100   a percentage: share of the item

The name of the column says which it is, and its first values may say otherwise: "ratings"
of 0 and 1 are flags, and up to 100 percentages.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.arrays import Doubles, Flags
from batch.columns.names import COUNT, FLAG, MINUTES, PERCENTAGE, RATING
from batch.columns.roles import plain_name
from batch.columns.values import Values, by_distinct, faults, flags, is_text

_TEXT_NUMBER: Final = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$"
_DECIMAL_COMMA: Final = r"^([+-]?\d+),(\d+)$"
_FLAG_WORDS: Final = {
    "true": "1", "false": "0", "yes": "1", "no": "0", "like": "1", "dislike": "0", "t": "1",
    "f": "0", "up": "1", "down": "0", "liked": "1", "disliked": "0",
}  # fmt: skip
_MAX_NOISE_SHARE: Final = 0.01  # of ratings from 5 to 10: more of them, and the scale ends at 10
_MIN_PERCENTAGES: Final = 0.05  # of ratings above 10: more of them, and they are percentages
_MIN_DISTINCT_PERCENTAGES: Final = 5
_MIN_LIKES: Final = 20  # ratings that are all 1 are likes, if there are so many
_MAX_MINUTES: Final = 10**6  # longer ones are cut to this, as in the stream
_MINUTES_OF: Final = (
    ("milliseconds", 1 / 60_000),
    ("ms", 1 / 60_000),
    ("second", 1 / 60),
    ("hour", 60.0),
)


class Meaning(Enum):
    """What the numbers of a column are."""

    RATING = "ratings"
    MINUTES = "minutes"
    COUNT = "counts"
    FLAG = "dislikes and likes"
    PERCENTAGE = "percentages"


@dataclass(frozen=True, slots=True)
class NumberOptions:
    """Settings of what numbers mean; see `BatchSettings`.

    Attributes:
        max_rating: Best rating of the scale; 0: by the first ratings.
        zero_rating: Meaning of a rating of 0: `auto`, `unrated` or `rejected`.
        count_half: Count that weighs half as much as the largest possible one.
    """

    max_rating: float = 0.0
    zero_rating: str = "auto"
    count_half: float = 10.0


DEFAULT_NUMBER_OPTIONS: Final = NumberOptions()


@dataclass(frozen=True, slots=True)
class NumberReader:
    """Reads a column of numbers.

    Attributes:
        meaning: What the numbers are.
        name: Name of the column in messages.
        factor: What a number is multiplied with: minutes of a unit, share of a percentage.
        best: Best rating of the scale; 0 for other numbers.
        low: Least of the first values.
        high: Largest of the first values.
        options: Settings of what numbers mean.
    """

    meaning: Meaning
    name: str
    factor: float
    best: float
    low: float
    high: float
    options: NumberOptions

    @property
    def sentence(self) -> str:
        """What the column was read as, for the summary."""
        on_scale = f" on a scale of {self.best:g}" if self.best else ""
        what = f"{self.name} read as {self.meaning.value}{on_scale}"
        return f"{what}, {self.low:,g} to {self.high:,g}" if self.low <= self.high else what

    @property
    def off_scale(self) -> str:
        """Reason to reject a rating off the scale."""
        return f"rating off the scale of {self.best:g}"

    @property
    def is_zero_unrated(self) -> bool:
        """Whether a rating of 0 is an interaction without a rating."""
        zero = self.options.zero_rating
        return zero == "unrated" or (zero == "auto" and self.best > 5)

    def __call__(self, column: pa.Array) -> Values:
        """Return the numbers: ratings, 0 for none; minutes; or shares of the item, 0 to 1."""
        return by_distinct(column, self._read)

    def _read(self, column: pa.Array) -> Values:
        values = doubles(column).fill_null(np.nan).to_numpy(zero_copy_only=False)
        if self.meaning is Meaning.RATING:
            return self._ratings(values)
        if self.meaning is Meaning.MINUTES:
            return self._minutes(values, is_missing=_is_missing(column))
        if self.meaning is Meaning.COUNT:
            return self._counts(values)
        if self.meaning is Meaning.FLAG:
            is_flag = np.isin(values, (-1, 0, 1))
            likes = np.where(values > 0, 1.0, 0.0)
            return Values(pa.array(likes), faults(("malformed flag", ~is_flag)))
        if _is_ratio(self.name):  # above 1 where the item was played more than once
            values = np.minimum(values, 1)
        is_share = (values >= 0) & (values <= 1 / self.factor)
        shares = np.where(is_share, values * self.factor, 0)
        return Values(pa.array(shares), faults(("malformed percentage", ~is_share)))

    def _counts(self, values: Doubles) -> Values:
        is_count = np.isfinite(values) & (values > 0)
        counts = np.where(is_count, values, 1)
        is_malformed = ~is_count & (values != 0)
        return Values(
            pa.array(counts / (counts + self.options.count_half)),
            faults(("malformed count", is_malformed), ("count of 0", values == 0)),
        )

    def _ratings(self, values: Doubles) -> Values:
        is_number = np.isfinite(values) & (values >= 0)
        is_unrated = (values == 0) & self.is_zero_unrated
        is_off = is_number & ~is_unrated & ((values == 0) | (values > self.best))
        return Values(
            pa.array(values), faults(("malformed rating", ~is_number), (self.off_scale, is_off))
        )

    def _minutes(self, values: Doubles, is_missing: Flags) -> Values:
        is_minute = np.isfinite(values) & (values >= 0)
        minutes = np.floor(np.minimum(np.where(is_minute, values, 0) * self.factor, _MAX_MINUTES))
        return Values(
            pa.array(minutes, mask=~is_minute),
            faults(("malformed minute", ~is_minute & ~is_missing)),
        )


def number_reader(
    role: str, name: str, first: pa.Array, options: NumberOptions = DEFAULT_NUMBER_OPTIONS
) -> NumberReader:
    """Return the reader of a column of numbers, by its name and its first values.

    Args:
        role: Role of the column, one of `roles.VALUES`.
        name: Name of the column in messages; its unit is taken from it.
        first: First values.
        options: Settings of what numbers mean.
    """
    values = by_distinct(first, lambda column: Values(doubles(column))).values.drop_null()
    numbers = values.to_numpy(zero_copy_only=False)
    numbers = numbers[np.isfinite(numbers)]
    meaning = _meaning(role, numbers, options)
    factor, best = 1.0, 0.0
    if meaning is Meaning.MINUTES:
        factor = next((by for unit, by in _MINUTES_OF if unit in plain_name(name)), 1.0)
    elif meaning is Meaning.PERCENTAGE:
        factor = 1.0 if _is_ratio(name) or _are_shares(numbers) else 0.01
    elif meaning is Meaning.RATING:
        best = options.max_rating or (10.0 if _share(numbers, 5, 10) > _MAX_NOISE_SHARE else 5.0)
    low, high = (numbers.min(), numbers.max()) if len(numbers) else (1.0, 0.0)
    return NumberReader(meaning, name, factor, best, float(low), float(high), options)


def doubles(column: pa.Array) -> pa.DoubleArray:
    """Return numbers or text as float64, null where it is not a number; not of a dictionary."""
    if not is_text(column.type):
        return column.cast(pa.float64(), safe=False)
    texts = column.cast(pa.string()) if not pa.types.is_string(column.type) else column
    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        pass
    texts = pc.replace_substring_regex(pc.ascii_trim_whitespace(texts), _DECIMAL_COMMA, r"\1.\2")
    for word, digit in _FLAG_WORDS.items():
        texts = pc.replace_substring_regex(texts, f"^(?i:{word})$", digit)
    texts = pc.replace_substring_regex(texts, r"^\+", "")
    is_number = pc.match_substring_regex(texts, _TEXT_NUMBER)
    return pc.if_else(is_number, texts, None).cast(pa.float64())


def _meaning(role: str, numbers: Doubles, options: NumberOptions) -> Meaning:
    if role == MINUTES:
        return Meaning.MINUTES
    if role == PERCENTAGE:
        return Meaning.PERCENTAGE
    if role == RATING and options.max_rating:
        return Meaning.RATING
    if _are_flags(numbers, role):
        return Meaning.FLAG
    if role == RATING:
        above = numbers[(numbers > 10) & (numbers <= 100)]
        is_percentage = (
            len(above) > _MIN_PERCENTAGES * len(numbers)
            and len(np.unique(above)) >= _MIN_DISTINCT_PERCENTAGES
            and (numbers <= 100).mean() > 1 - _MAX_NOISE_SHARE
        )
        return Meaning.PERCENTAGE if is_percentage else Meaning.RATING
    return Meaning.PERCENTAGE if role == COUNT and _are_shares(numbers) else Meaning.COUNT


def _are_flags(numbers: Doubles, role: str) -> bool:
    distinct = set(np.unique(numbers).tolist())
    if not distinct or not distinct <= {-1.0, 0.0, 1.0}:
        return False
    return role == FLAG or len(distinct) > 1 or (role == RATING and len(numbers) >= _MIN_LIKES)


def _is_ratio(name: str) -> bool:
    return "ratio" in plain_name(name)


def _are_shares(numbers: Doubles) -> bool:
    """Return whether numbers lie between 0 and 1, and not on these two alone."""
    return bool(len(numbers) and numbers.max() <= 1 and (numbers % 1 > 0).any())


def _share(numbers: Doubles, above: float, up_to: float) -> float:
    return float(((numbers > above) & (numbers <= up_to)).mean()) if len(numbers) else 0.0


def _is_missing(column: pa.Array) -> Flags:
    missing = flags(column.is_null())
    if is_text(column.type):
        missing = missing | flags(pc.equal(column.cast(pa.string()), ""))
    return missing
